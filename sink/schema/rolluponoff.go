package schema

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A rollup that is turned off keeps its tables. When it is turned on again, they have rows already, and Fill must not
// count the flows of these again. So two more marks stand in FillTable beside the hours: countedMark says up to which
// insert_time a rollup has counted all rows when its view was dropped, and earlierMark that its tables had rows when a
// view was made. Fill then counts from the first to the second. Where the first is missing, as the view was dropped by
// other means, it counts nothing.

var (
	earlierMark = allHours.Add(time.Second)
	countedMark = allHours.Add(3 * time.Second)
)

// untilText is the bound that a view has before it is dropped, as the server writes it.
var untilText = regexp.MustCompile(`insert_time < toDateTime64\('([0-9: .-]{23})', 3, 'UTC'\)`)

// markStatement puts a mark of a rollup into FillTable.
func (s *Settings) markStatement(rollup string, since, mark time.Time) string {
	return fmt.Sprintf("INSERT INTO %s (rollup, since, hour, flow_count) VALUES (%s, %s, toDateTime('%s', 'UTC'), 0)",
		s.qualified(FillTable), literal(rollup), sinceLiteral(since), mark.Format(time.DateTime))
}

// rollupsAgain marks the rollups whose views are about to be made for tables that have rows. It is done before the
// views: a mark without a view does no harm.
func (p *planner) rollupsAgain() {
	for _, r := range p.s.rollups() {
		since := p.s.RollupsSince[r.Name]
		if !p.s.RollupsUnmade[r.Name] || since.IsZero() || !p.have.hasRows(p.s, &r) {
			continue
		}
		p.do(p.s.markStatement(r.Name, since, earlierMark), "rollup %s: turned on again; rows that came meanwhile: "+
			"collector schema rollups fill", r.Name)
		p.optional("rows would count twice: do not fill the rollup")
	}
}

// hasRows reports whether a table of a rollup has rows.
func (have *state) hasRows(s *Settings, r *Rollup) bool {
	for _, step := range r.Steps {
		if old, there := have.tables[s.local(r.Table(step))]; there && old.hasRows() {
			return true
		}
	}
	return false
}

// readCounted finds out which of the earlier rows the tables of a rollup had already when its view was made.
func (s *Settings) readCounted(ctx context.Context, conn driver.Conn, f *Filling) error {
	var counted, earlier time.Time
	mark := func(at time.Time) string {
		return fmt.Sprintf("maxIf(since, hour = toDateTime('%s', 'UTC'))", at.Format(time.DateTime))
	}
	if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE rollup = %s AND since < %s",
		mark(countedMark), mark(earlierMark), s.qualified(FillTable), literal(f.Rollup), sinceLiteral(f.Since))).
		Scan(&counted, &earlier); err != nil {
		return fmt.Errorf("read what rollup %s has counted: %w", f.Rollup, err)
	}
	f.After = counted.UTC()
	f.Unclear = !counted.After(allHours) || earlier.After(counted)
	return nil
}

// unclear is the error of a rollup that cannot be filled.
func (s *Settings) unclear(f *Filling, r *Rollup) error {
	var drops []string
	for _, step := range r.Steps {
		drops = append(drops, s.qualified(r.Table(step)+viewSuffix), s.qualified(r.Table(step)))
	}
	return fmt.Errorf("rollup %s: its tables have rows of flows from before %s, and which ones is not known, as its "+
		"view was dropped without collector schema apply: nothing is filled, they could count twice. To have it "+
		"count all rows of %s anew: DROP TABLE %s%s, restart the collector, and call this again", r.Name,
		f.Since.UTC().Format(time.DateTime), s.Tables.Flow, strings.Join(drops, ", "), s.onCluster())
}

// endRollup has the view of a rollup count rows up to a time soon, and notes that time if the rollup has all rows
// before. The view is to be dropped then.
func endRollup(ctx context.Context, conn driver.Conn, s *Settings, r *Rollup) error {
	name := r.Table(r.Steps[0]) + viewSuffix
	var query string
	var soon time.Time
	if err := conn.QueryRow(ctx, "SELECT as_select, now64(3, 'UTC') FROM system.tables WHERE database = "+
		literal(s.Database)+" AND name = "+literal(name)).Scan(&query, &soon); err != nil {
		return fmt.Errorf("read view %s: %w", name, err)
	}
	until := soon.UTC().Add(sinceDelay)
	if m := untilText.FindStringSubmatch(query); m != nil { // it was interrupted
		var err error
		if until, err = time.Parse(sinceLayout, m[1]); err != nil {
			return fmt.Errorf("view %s: until when it counts rows: %w", name, err)
		}
	} else if ended := endedQuery(query, until); ended == "" {
		return nil // made by somebody else: what it counts is not known
	} else if err := conn.Exec(ctx, "ALTER TABLE "+s.qualified(name)+s.onCluster()+" MODIFY QUERY "+
		ended); err != nil {
		return fmt.Errorf("end view %s: %w", name, err)
	}
	if err := waitForInserts(ctx, conn, until); err != nil {
		return err
	}
	f := Filling{Rollup: r.Name}
	if m := sinceText.FindStringSubmatch(query); m != nil {
		var err error
		if f.Since, err = time.Parse(sinceLayout, m[1]); err != nil {
			return fmt.Errorf("view %s: since when it counts rows: %w", name, err)
		}
		done, err := s.filledHours(ctx, conn, &f)
		if err != nil || !done[allHours] {
			return err
		}
	}
	table := fillTable()
	if err := conn.Exec(ctx, table.create(s)); err != nil {
		return fmt.Errorf("make table %s: %w", FillTable, err)
	}
	if err := conn.Exec(ctx, s.markStatement(r.Name, until, countedMark)); err != nil {
		return fmt.Errorf("note until when rollup %s counted rows: %w", r.Name, err)
	}
	return nil
}

// endedQuery is the query of a rollup's finest view with a bound for the rows that it counts; "" for another query.
func endedQuery(query string, until time.Time) string {
	bound := "insert_time < " + sinceLiteral(until)
	if since := sinceText.FindString(query); since != "" {
		return strings.Replace(query, since, since+" AND "+bound, 1)
	}
	const end = " AS f GROUP BY ALL"
	if !strings.Contains(query, end) {
		return ""
	}
	return strings.Replace(query, end, " AS f WHERE "+bound+" GROUP BY ALL", 1)
}

// rollupOfView returns the rollup whose finest table a view fills; nil if there is none.
func rollupOfView(name string) *Rollup {
	for _, r := range RollupSets() {
		if name == r.Table(r.Steps[0])+viewSuffix {
			return &r
		}
	}
	return nil
}
