package schema

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// sumsView is a view with the sums of a rollup's dimensions over a range of time, read from the tables that have them
// at the least cost: whole days from the table of days, the hours before and after from the table of hours, then those
// of five minutes, and what is left from data_flow. Without rollups it reads data_flow alone. Queries of dashboards
// read it with parameters:
//
//	FROM sums_src_as(from = 1796000000, to = 1796600000, step = 3600, rows = 0)
//
// from and to are Unix seconds; to is not in the range. A range of at least fewestSteps steps of the finest table is
// widened to whole steps of it, as Choose does; the sums of a shorter one are exact. step is the width of a graph's
// points in seconds, each of which begins at a multiple of it; 0 is one sum of all. rows = 1 reads data_flow alone: for
// conditions on filterColumns that the rollup does not have: they are empty in its rows. So does a query with Grafana's
// ad-hoc filters, which are on columns of data_flow.
type sumsView struct{ name, query string }

// sumsPrefix begins the names of these views.
const sumsPrefix = "sums_"

// filterColumns are what conditions of dashboards are on, with what stands for them in rows of rollups.
var filterColumns = []struct{ name, none string }{
	{"device_id", "CAST('', 'LowCardinality(String)')"}, {"src_ip", "toIPv6('::')"}, {"dst_ip", "toIPv6('::')"},
	{"src_as_id", "toUInt32(0)"}, {"dst_as_id", "toUInt32(0)"},
}

// summed says what a view of sums has.
type summed struct {
	*Rollup
	on      bool  // the tables of the rollup are read
	edge    bool  // flows over the edge alone
	known   bool  // flows of which both interfaces are in metadata alone
	largest bool  // the largest alone
	base    *View // the aggregate that is read where the rollup has nothing; nil: data_flow
	named   bool  // applications have their names instead of protocol and port
}

// Names of further views begin with these. edge_<name> has the flows over the edge alone, of which the reference has an
// aggregate: without the rollup that is read, and with rows = 1. known_<name> has the flows of which metadata has both
// interfaces, of which there is an aggregate too. largest_<name> has the largest of the set.
const edgePrefix, knownPrefix, largestPrefix = "edge_", "known_", "largest_"

// sumsViews are the views of all sets, so that no panel fails for want of one. Without its extension the paths of a set
// are empty.
func (s *Settings) sumsViews() []sumsView {
	if s.MetadataOnly {
		return nil
	}
	var all []sumsView
	for _, r := range RollupSets() {
		all = append(all, s.sumsViewsOf(&r, s.isOn(&r))...)
	}
	return all
}

// sumsViewsOf are the views of one set. They read the tables of the rollup if that is on. The sums of a set that has
// the largest alone are read from rows.
func (s *Settings) sumsViewsOf(r *Rollup, on bool) []sumsView {
	all := []sumsView{{sumsPrefix + r.Name, s.sumsQuery(&summed{Rollup: r, on: on && !r.folds()})}}
	if r.folds() {
		all = append(all, sumsView{largestPrefix + r.Name, s.sumsQuery(&summed{Rollup: r, on: on, largest: true})})
	}
	if r.edgeCondition() != "" {
		all = append(all, sumsView{edgePrefix + r.Name, s.sumsQuery(&summed{Rollup: r, on: on, largest: r.folds(),
			edge: true, base: s.aggregate(ByEdgeAS), named: slices.Contains(r.Dimensions, "application_port")})})
	}
	if slices.Contains(r.Dimensions, inRef) && slices.Contains(r.Dimensions, outRef) {
		all = append(all, sumsView{knownPrefix + r.Name,
			s.sumsQuery(&summed{Rollup: r, on: on, known: true, base: s.aggregate(ByInterface)})})
	}
	return all
}

// aggregate is the reference's aggregate of a kind with the shortest window; nil if there is none.
func (s *Settings) aggregate(kind Kind) *View {
	var finest *View
	for i := range s.Views {
		v := &s.Views[i]
		if v.Kind == kind && (finest == nil || v.duration() < finest.duration()) {
			finest = v
		}
	}
	return finest
}

// isOn reports whether the settings have the rollup.
func (s *Settings) isOn(r *Rollup) bool {
	return slices.ContainsFunc(s.rollups(), func(other Rollup) bool { return other.Name == r.Name })
}

// replaceViews has views read something else from now on.
func (s *Settings) replaceViews(ctx context.Context, conn driver.Conn, views []sumsView, read string) error {
	for _, v := range views {
		if err := conn.Exec(ctx, v.create(s, "CREATE OR REPLACE VIEW")); err != nil {
			return fmt.Errorf("have view %s read %s: %w", v.name, read, err)
		}
	}
	return nil
}

func (v *sumsView) create(s *Settings, verb string) string {
	return fmt.Sprintf("%s %s%s\nAS %s", verb, s.qualified(v.name), s.onCluster(), v.query)
}

// span is a range of start_time that a table answers, as expressions of the parameters in Unix seconds. It is empty
// unless used is true and begin is before end.
type span struct{ table, used, begin, end string }

// constants are the expressions of a query's parameters alone, with their names, as they stand behind WITH. A name is
// analyzed once, however often it is used: expressions within expressions took ten times as long as reading a rollup.
type constants []string

// name adds an expression and returns its name.
func (c *constants) name(name, expression string) string {
	*c = append(*c, expression+" AS "+name)
	return name
}

// clause is what stands before SELECT.
func (c constants) clause() string {
	if len(c) == 0 {
		return ""
	}
	return "WITH\n    " + strings.Join(c, ",\n    ") + "\n"
}

// sumsQuery reads every part of the range from one table. The conditions on the parameters alone are constants of a
// query: a part that is empty by them is not read.
func (s *Settings) sumsQuery(r *summed) string {
	const from, to = "{from:UInt32}", "{to:UInt32}"
	// The condition is always true. It names the parameters, so that views without rollups take them too.
	all := span{table: r.rows(s), used: "{step:UInt32} >= 0 AND {rows:UInt8} >= 0", begin: from, end: to}
	spans := []span{all}
	var with constants
	for _, step := range r.Steps {
		kept, use := s.sumsUse(r, step)
		if !r.on || !use {
			continue
		}
		seconds := int64(stepDuration(step) / time.Second)
		used := with.name("used_"+step, fmt.Sprintf("{rows:UInt8} = 0 AND {step:UInt32} %% %d = 0 AND "+
			"empty(getSetting('additional_table_filters'))%s", seconds, kept))
		if len(spans) == 1 { // the finest
			long := with.name("is_long", fmt.Sprintf("%s AND %s >= %s + %d", used, to, from, fewestSteps*seconds))
			all.begin = with.name("begin_all", fmt.Sprintf("if(%s, %s, %s)", long, wholeSteps(from, 0, seconds), from))
			all.end = with.name("end_all", fmt.Sprintf("if(%s, %s, %s)", long, wholeSteps(to, seconds-1, seconds), to))
			spans[0] = all
		}
		begin := wholeSteps(all.begin, seconds-1, seconds)
		if since := s.RollupsSince[r.Name]; !since.IsZero() && !s.RollupsFilled[r.Name] {
			begin = fmt.Sprintf("greatest(%s, %d)", begin, firstStep(since, r.whole(step)).Unix())
		}
		spans = append(spans, span{table: r.Table(step), used: used, begin: with.name("begin_"+step, begin),
			end: with.name("end_"+step, wholeSteps(all.end, 0, seconds))})
	}
	var parts []string
	for i, of := range slices.Backward(spans) {
		where := between(of.begin, of.end)
		if wider := spans[i+1:]; len(wider) > 0 {
			if r.base == nil { // who reads one of them reads all that are finer
				wider = wider[:1]
			}
			begin, end := readOf(wider, of.end)
			where = "(" + between(of.begin, begin) + " OR " + between(end, of.end) + ")"
		}
		parts = append(parts, s.sumsPart(r, with, i == 0, of.table, of.used+" AND "+where))
	}
	if r.named {
		parts = s.nameApplications(r, parts)
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

// readOf is the range that the first of the spans answers that is read, within which those of the others are; an empty
// one at none where none is read.
func readOf(spans []span, none string) (begin, end string) {
	begin, end = none, none
	for _, of := range slices.Backward(spans) {
		isRead := of.used + " AND " + of.begin + " < " + of.end
		begin, end = fmt.Sprintf("if(%s, %s, %s)", isRead, of.begin, begin), fmt.Sprintf("if(%s, %s, %s)", isRead,
			of.end, end)
	}
	return begin, end
}

// whole is the length of a step, and of a window of the aggregate if that is longer: of a window in which a table
// begins, the aggregate has all.
func (r *summed) whole(step string) time.Duration {
	if r.base == nil {
		return stepDuration(step)
	}
	return max(stepDuration(step), r.base.duration())
}

// wholeSteps is the expression of a time plus a number of seconds, rounded down to whole steps.
func wholeSteps(at string, plus, seconds int64) string {
	return fmt.Sprintf("intDiv(%s + %d, %d) * %d", at, plus, seconds, seconds)
}

// between is the condition that start_time is in a range. The comparison of its bounds is a constant: without it the
// server would read what is around an empty range.
func between(begin, end string) string {
	return fmt.Sprintf("(%s < %s AND start_time >= toDateTime(%s, 'UTC') AND "+
		"start_time < toDateTime(%s, 'UTC'))", begin, end, begin, end)
}

// sumsUse reports whether a view reads tables of this step. It does not if the TTL drops its rows before those of
// data_flow: a query cannot see where the rows of such a table end. Aggregates are kept for years: of these it reads
// ranges that begin before the table's rows, which the condition leaves out.
func (s *Settings) sumsUse(r *summed, step string) (condition string, use bool) {
	kept, rows := s.keptIn(r.Table(step), s.rollupTTL(step)), s.keptIn(s.Tables.Flow, s.FlowTTL)
	if r.base != nil {
		rows = s.keptIn(r.base.Table, r.base.TTL)
	}
	switch {
	case kept == 0 || rows > 0 && kept >= rows:
		return "", true
	case r.base == nil:
		return "", false
	}
	return fmt.Sprintf(" AND {from:UInt32} > toUnixTimestamp(now()) - %d", int64(kept/time.Second)), true
}

// pathType returns the type that a path of ext has with its extension.
func pathType(path string) string {
	typed := FlowExtPaths(slices.Collect(maps.Keys(flowExtensions())), []string{"scireg"})
	return typed[path]
}
