package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
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

// sumsViews are the views of all sets, so that no panel fails for want of one. Without its extension the paths of a set
// are empty.
func (s *Settings) sumsViews() []sumsView {
	if s.MetadataOnly {
		return nil
	}
	on := s.rollups()
	var all []sumsView
	for _, r := range RollupSets() {
		isOn := slices.ContainsFunc(on, func(other Rollup) bool { return other.Name == r.Name })
		all = append(all, s.sumsView(&r, isOn))
	}
	return all
}

// sumsView is the view of one set. It reads the tables of the rollup if that is on.
func (s *Settings) sumsView(r *Rollup, on bool) sumsView {
	return sumsView{sumsPrefix + r.Name, s.sumsQuery(r, on)}
}

func (v *sumsView) create(s *Settings, verb string) string {
	return fmt.Sprintf("%s %s%s\nAS %s", verb, s.qualified(v.name), s.onCluster(), v.query)
}

// span is a range of start_time that a table answers, as expressions of the parameters in Unix seconds. It is empty
// unless used is true and begin is before end.
type span struct{ table, used, begin, end string }

// sumsQuery reads every part of the range from one table. The conditions on the parameters alone are constants of a
// query: a part that is empty by them is not read.
func (s *Settings) sumsQuery(r *Rollup, on bool) string {
	const from, to = "{from:UInt32}", "{to:UInt32}"
	// The condition is always true. It names the parameters, so that views without rollups take them too.
	all := span{table: s.Tables.Flow, used: "{step:UInt32} >= 0 AND {rows:UInt8} >= 0", begin: from, end: to}
	spans := []span{all}
	for _, step := range r.Steps {
		if !on || !s.sumsUse(step) {
			continue
		}
		seconds := int64(stepDuration(step) / time.Second)
		used := fmt.Sprintf("{rows:UInt8} = 0 AND {step:UInt32} %% %d = 0 AND "+
			"empty(getSetting('additional_table_filters'))", seconds)
		if len(spans) == 1 { // the finest
			long := fmt.Sprintf("%s AND %s >= %s + %d", used, to, from, fewestSteps*seconds)
			all.begin = fmt.Sprintf("if(%s, %s, %s)", long, wholeSteps(from, 0, seconds), from)
			all.end = fmt.Sprintf("if(%s, %s, %s)", long, wholeSteps(to, seconds-1, seconds), to)
			spans[0] = all
		}
		of := span{table: r.Table(step), used: used, begin: wholeSteps(all.begin, seconds-1, seconds),
			end: wholeSteps(all.end, 0, seconds)}
		if since := s.RollupsSince[r.Name]; !since.IsZero() && !s.RollupsFilled[r.Name] {
			of.begin = fmt.Sprintf("greatest(%s, %d)", of.begin, firstStep(since, stepDuration(step)).Unix())
		}
		spans = append(spans, of)
	}
	var parts []string
	for i, of := range slices.Backward(spans) {
		where := between(of.begin, of.end)
		if i+1 < len(spans) { // less the range that the wider table answers, which is within this one
			wider := spans[i+1]
			isRead := wider.used + " AND " + wider.begin + " < " + wider.end
			where = "(" + between(of.begin, fmt.Sprintf("if(%s, %s, %s)", isRead, wider.begin, of.end)) + " OR " +
				between(fmt.Sprintf("if(%s, %s, %s)", isRead, wider.end, of.end), of.end) + ")"
		}
		parts = append(parts, s.sumsPart(r, i == 0, of.table, of.used+" AND "+where))
	}
	return strings.Join(parts, "\nUNION ALL\n")
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

// sumsUse reports whether the views read tables of this step. They do not if the TTL drops its rows before those of
// data_flow: a query cannot see where the rows of such a table end.
func (s *Settings) sumsUse(step string) bool {
	kept, flows := s.rollupTTL(step).Duration(), s.FlowTTL.Duration()
	return kept == 0 || flows > 0 && kept >= flows
}

// pathType returns the type that a path of ext has with its extension.
func pathType(path string) string {
	typed := FlowExtPaths(slices.Collect(maps.Keys(flowExtensions())), []string{"scireg"})
	return typed[path]
}

// sumsPart selects the columns of a view from data_flow or from a table of a rollup.
func (s *Settings) sumsPart(r *Rollup, rows bool, table, where string) string {
	columns := []string{"start_time"}
	flows := "flow_count"
	if rows {
		columns, flows = []string{"toDateTime(f.start_time, 'UTC') AS start_time"}, "toUInt64(1) AS flow_count"
		where = strings.ReplaceAll(where, startTime, "f."+startTime)
	}
	for _, d := range r.Dimensions {
		name := ident(columnName(d))
		path, isPath := strings.CutPrefix(d, "ext.")
		switch {
		case rows && isCountry(d) && s.countriesJoined():
			columns = append(columns, fmt.Sprintf("toLowCardinality(ifNull(%s.country, '')) AS %s",
				countryJoin(d), name))
		case rows && derivedOf(d) != nil:
			columns = append(columns, derivedOf(d).of("f")+" AS "+name)
		case !rows || !isPath:
			columns = append(columns, name)
		case s.flowPaths()[path] == "":
			columns = append(columns, fmt.Sprintf("defaultValueOfTypeName(%s) AS %s", literal(pathType(path)), name))
		default:
			columns = append(columns, d+" AS "+name)
		}
	}
	for _, c := range filterColumns {
		switch {
		case slices.Contains(r.Dimensions, c.name):
		case rows:
			columns = append(columns, c.name)
		default:
			columns = append(columns, c.none+" AS "+c.name)
		}
	}
	if slices.Contains(r.Dimensions, NamedScope) {
		// For dashboards of earlier versions.
		columns = append(columns, "named_scope AS policy_scope")
	}
	columns = append(columns, flows, "bit_count", "packet_count")
	from := s.qualified(table)
	if rows {
		from += " AS f"
		for _, d := range r.Dimensions {
			if isCountry(d) && s.countriesJoined() {
				from += s.joinCountry(d)
			}
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + "\nFROM " + from + "\nWHERE " + where
}
