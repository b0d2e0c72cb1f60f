package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The view of a rollup counts the rows that are inserted after it was made. Fill counts the older rows, some hours at a
// time, into the rollup's finest table; the views of the wider tables take them from there. insert_time decides whether
// the view or Fill counts a row, so that each row is counted once. FillTable records the hours that are done. After an
// interruption the same hours are inserted again with the same deduplication token, and the server stores only what is
// missing.
//
// data_flow is sorted by AS, not by time, so counting one hour reads its whole day. Fill therefore counts several hours
// of a day at once, as many as keep the number of flows small. FillTable records this number before the first of them,
// because a token must stand for the same hours after an interruption.

// FillTable has a row for each hour of each rollup that Fill has counted.
const FillTable = "collector_rollup"

// fillTable describes FillTable.
func fillTable() table {
	return table{
		name: FillTable, engine: "MergeTree", orderBy: []string{"rollup", "since", "hour"},
		columns: []column{
			{name: "rollup", typ: typeText, codec: codecPlain, comment: "Name of the rollup."},
			{name: "since", typ: typeMillis, codec: codecPlain,
				comment: "Since when its view counts rows: the hour is of rows that came before."},
			{name: "hour", typ: "DateTime('UTC')", codec: codecPlain,
				comment: "The hour of start_time. 1970-01-01 00:00:00: all rows that came before are counted. N " +
					"minutes after midnight: N hours of the day are counted at a time."},
			{name: "flow_count", typ: "UInt64", codec: codecPlain, comment: "How many flows were counted."},
			{name: "filled_at", typ: typeMillis, defaults: "now64()", codec: codecPlain, comment: "When that was."},
		},
	}
}

// Filling is the progress of Fill with one rollup.
type Filling struct {
	Rollup      string
	Since       time.Time // rows inserted before this time are to be counted; zero: there are none
	After       time.Time // rows inserted before this time are counted, as it was on before; zero: it was not
	Unclear     bool      // it was on before, and which rows are counted is not known
	Hour        time.Time // the hour that was counted last
	Done, Hours int       // number of hours that are done, and of all
	Flows       uint64    // flows of Hour
	Complete    bool
	Unmade      bool // its view is not there yet, so Since is not known
}

// Fillings says for each rollup of the settings whether older rows are still to be counted.
func Fillings(ctx context.Context, conn driver.Conn, s Settings) ([]Filling, error) {
	return fillings(ctx, conn, &s)
}

// fillings is Fillings, and leaves in the settings what it reads on the server.
func fillings(ctx context.Context, conn driver.Conn, s *Settings) ([]Filling, error) {
	if _, err := look(ctx, conn, s); err != nil {
		return nil, err
	}
	var all []Filling
	for _, r := range s.rollups() {
		f := Filling{Rollup: r.Name, Since: s.RollupsSince[r.Name], Complete: true, Unmade: s.RollupsUnmade[r.Name]}
		if !f.Since.IsZero() {
			done, err := s.filledHours(ctx, conn, &f)
			if err != nil {
				return nil, err
			}
			f.Complete = done[allHours]
			if done[earlierMark] {
				if err := s.readCounted(ctx, conn, &f); err != nil {
					return nil, err
				}
			}
			for hour := range done {
				if noted(hour.Truncate(time.Hour)).Equal(hour) {
					f.Done++
				}
			}
		}
		all = append(all, f)
	}
	return all, nil
}

// allHours is the time in FillTable that marks a rollup as complete. The hour that starts at this time, which also has
// all flows before 1970, is recorded as two seconds later.
var allHours = time.Unix(0, 0).UTC()

// noted returns the time in FillTable that stands for an hour.
func noted(hour time.Time) time.Time {
	if hour.Equal(allHours) {
		return hour.Add(2 * time.Second)
	}
	return hour
}

func (s *Settings) filledHours(ctx context.Context, conn driver.Conn, f *Filling) (map[time.Time]bool, error) {
	var rows []struct {
		Hour time.Time `ch:"hour"`
	}
	err := conn.Select(ctx, &rows, fmt.Sprintf("SELECT DISTINCT hour FROM %s WHERE rollup = %s AND since = %s",
		s.qualified(FillTable), literal(f.Rollup), sinceLiteral(f.Since)))
	if err != nil {
		return nil, fmt.Errorf("read which hours of rollup %s are filled: %w", f.Rollup, err)
	}
	done := map[time.Time]bool{}
	for _, row := range rows {
		done[row.Hour.UTC()] = true
	}
	return done, nil
}

// Fill counts the rows that are older than the rollups of the settings, and calls progress after every hour. It may be
// interrupted and called again, and collectors may insert rows meanwhile. Do not run two at the same time. It takes
// since when a rollup counts rows from its view alone: without the view it fills nothing. Rows that are beyond the TTL
// of the finest table still reach the wider ones.
func Fill(ctx context.Context, conn driver.Conn, s Settings, progress func(Filling)) error {
	if s.Distributed {
		return fmt.Errorf("rollups of distributed tables are filled shard by shard: not done by this command")
	}
	if err := s.fillCountries(ctx, conn, progress); err != nil {
		return err
	}
	fillings, err := Fillings(ctx, conn, s)
	if err != nil {
		return err
	}
	var unmade []string
	for _, f := range fillings {
		if f.Unmade {
			unmade = append(unmade, f.Rollup)
		}
	}
	if len(unmade) > 0 {
		return fmt.Errorf("the views of rollups %s are not there yet; a collector that starts makes them",
			strings.Join(unmade, ", "))
	}
	var unclear []error
	for _, f := range fillings {
		if f.Complete {
			continue
		}
		for _, r := range s.rollups() {
			if r.Name != f.Rollup {
				continue
			}
			if s.CountriesLater && slices.ContainsFunc(r.Dimensions, isCountry) {
				return fmt.Errorf("fill rollup %s: rows from before the columns of countries do not have them, and in "+
					"replicated tables they are not looked up", r.Name)
			}
			if f.Unclear {
				unclear = append(unclear, s.unclear(&f, &r))
				continue
			}
			if err := s.fill(ctx, conn, &r, f, progress); err != nil {
				return fmt.Errorf("fill rollup %s: %w", r.Name, err)
			}
		}
	}
	return errors.Join(unclear...)
}

func (s *Settings) fill(ctx context.Context, conn driver.Conn, r *Rollup, f Filling, progress func(Filling)) error {
	if err := waitForInserts(ctx, conn, f.Since); err != nil {
		return err
	}
	done, err := s.filledHours(ctx, conn, &f)
	if err != nil {
		return err
	}
	var hours []fillHour
	if err := conn.Select(ctx, &hours, fmt.Sprintf(
		"SELECT toDateTime(%s, 'UTC') AS hour, count() AS flows FROM %s WHERE %s GROUP BY hour ORDER BY hour",
		s.fillTerm(r), s.qualified(s.local(s.Tables.Flow)), f.before())); err != nil {
		return fmt.Errorf("read which hours have rows: %w", err)
	}
	f.Hours, f.Done = len(hours), 0
	for len(hours) > 0 {
		day := hours[0].Hour.UTC().Truncate(24 * time.Hour)
		n := 0
		for n < len(hours) && hours[n].Hour.UTC().Truncate(24*time.Hour).Equal(day) {
			n++
		}
		if err := s.fillDay(ctx, conn, r, &f, day, hours[:n], done, progress); err != nil {
			return err
		}
		hours = hours[n:]
	}
	f.Hour, f.Flows, f.Complete = allHours, 0, true
	if err := s.noteFilled(ctx, conn, &f, []fillHour{{Hour: allHours}}); err != nil {
		return err
	}
	return s.replaceSums(ctx, conn, r)
}

// replaceSums replaces the view of sums of a rollup that is filled now: the new one reads the rollup for all times.
func (s *Settings) replaceSums(ctx context.Context, conn driver.Conn, r *Rollup) error {
	filled := *s
	filled.RollupsFilled = map[string]bool{r.Name: true}
	return s.replaceViews(ctx, conn, filled.sumsViewsOf(r, true), "the rollup")
}

// fillHour is an hour with rows to be counted.
type fillHour struct {
	Hour  time.Time `ch:"hour"`
	Flows uint64    `ch:"flows"`
}

// mostFilled is the maximum number of flows of several hours that are counted at once. It limits the server's memory
// for their keys.
const mostFilled = 4_000_000

// spans are the numbers of hours that may be counted at once.
var spans = []int{24, 12, 6, 3, 1}

// spanMark returns the time in FillTable that says how many hours of a day are counted at once.
func spanMark(day time.Time, span int) time.Time { return day.Add(time.Duration(span) * time.Minute) }

// spanOf returns how many hours of a day are counted at once. isNew says that FillTable does not have it yet.
func spanOf(day time.Time, hours []fillHour, done map[time.Time]bool) (span int, isNew bool) {
	flows := uint64(0)
	for _, h := range hours {
		if flows += h.Flows; done[noted(h.Hour.UTC())] {
			isNew = true // the day has begun: its span is in done, or an earlier version counted hour by hour
		}
	}
	for _, span := range spans {
		if done[spanMark(day, span)] {
			return span, false
		}
	}
	if isNew {
		return 1, true
	}
	for _, span := range spans {
		if flows*uint64(span) <= 24*mostFilled {
			return span, true
		}
	}
	return 1, true
}

// fillDay counts the hours of a day that are not done yet.
func (s *Settings) fillDay(ctx context.Context, conn driver.Conn, r *Rollup, f *Filling, day time.Time,
	hours []fillHour, done map[time.Time]bool, progress func(Filling)) error {
	span, isNew := spanOf(day, hours, done)
	if isNew {
		if err := s.noteFilled(ctx, conn, f, []fillHour{{Hour: spanMark(day, span)}}); err != nil {
			return err
		}
	}
	for len(hours) > 0 {
		begin := hours[0].Hour.UTC().Truncate(time.Duration(span) * time.Hour)
		end := begin.Add(time.Duration(span) * time.Hour)
		n, open := 0, false
		for n < len(hours) && hours[n].Hour.UTC().Before(end) {
			open = open || !done[noted(hours[n].Hour.UTC())]
			n++
		}
		if open {
			f.Hour = begin
			if err := s.fillSpan(ctx, conn, r, f, end, hours[:n]); err != nil {
				return err
			}
		}
		for _, h := range hours[:n] {
			f.Hour, f.Flows = h.Hour.UTC(), h.Flows
			f.Done++
			progress(*f)
		}
		hours = hours[n:]
	}
	return nil
}

// fillSettings make an insert one part, which is stored as a whole or not at all and is deduplicated by its token.
func fillSettings(token string) chgo.Settings {
	return chgo.Settings{
		"insert_deduplicate": 1, "deduplicate_blocks_in_dependent_materialized_views": 1, "optimize_on_insert": 0,
		"insert_deduplication_token": token, "max_insert_threads": 1, "min_insert_block_size_rows": 1 << 40,
		"min_insert_block_size_bytes": 0, "max_partitions_per_insert_block": 0, "max_execution_time": 0,
	}
}

// fillSpan counts the flows of the hours, which are those from f.Hour to end.
func (s *Settings) fillSpan(ctx context.Context, conn driver.Conn, r *Rollup, f *Filling, end time.Time,
	hours []fillHour) error {
	token := fmt.Sprintf("fill %s %d %d", r.Name, f.Since.UnixMilli(), f.Hour.Unix())
	hour := s.fillTerm(r)
	where := fmt.Sprintf("%s AND toDateTime(%s, 'UTC') >= toDateTime('%s', 'UTC') AND toDateTime(%s, 'UTC') < "+
		"toDateTime('%s', 'UTC')", f.before(), hour, f.Hour.Format(time.DateTime), hour, end.Format(time.DateTime))
	if f.Hour.After(allHours) && end.Year() < 2038 {
		// The first and the last hour also have all flows before and after them. For all other hours, a condition on
		// start_time lets the server read only the partition of the day.
		where += fmt.Sprintf(" AND start_time >= %s AND start_time < %s", sinceLiteral(f.Hour), sinceLiteral(end))
	}
	columns := append(append([]string{startTime}, r.columns()...), "flow_count", "bit_count", "packet_count")
	err := conn.Exec(chgo.Context(ctx, chgo.WithSettings(fillSettings(token))), fmt.Sprintf(
		"INSERT INTO %s (%s)\n%s\nORDER BY ALL", s.qualified(r.Table(r.Steps[0])), identList(columns),
		s.finestQuery(r, where)))
	if err != nil {
		return fmt.Errorf("hour %s: %w", f.Hour.Format(time.DateTime), err)
	}
	return s.noteFilled(ctx, conn, f, hours)
}

// fillTerm returns the expression for the hour of a row. Times before 1970 and after 2106 belong to the first and the
// last hour, as in the rollup's table.
func (s *Settings) fillTerm(r *Rollup) string {
	return (&View{Window: "1h", TTL: s.rollupTTL(r.Steps[len(r.Steps)-1])}).startTerm()
}

// before returns the condition for the rows that Fill counts.
func (f *Filling) before() string {
	condition := "insert_time < " + sinceLiteral(f.Since)
	if f.After.After(allHours) {
		condition += " AND insert_time >= " + sinceLiteral(f.After)
	}
	return condition
}

// noteFilled records hours in FillTable with one insert, so that either all of them are recorded or none.
func (s *Settings) noteFilled(ctx context.Context, conn driver.Conn, f *Filling, hours []fillHour) error {
	var rows []string
	for _, h := range hours {
		at := h.Hour.UTC()
		if !f.Complete {
			at = noted(at)
		}
		rows = append(rows, fmt.Sprintf("(%s, %s, toDateTime('%s', 'UTC'), %d)", literal(f.Rollup),
			sinceLiteral(f.Since), at.Format(time.DateTime), h.Flows))
	}
	err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s (rollup, since, hour, flow_count) VALUES %s",
		s.qualified(FillTable), strings.Join(rows, ", ")))
	if err != nil {
		return fmt.Errorf("note that hour %s is filled: %w", f.Hour.Format(time.DateTime), err)
	}
	return nil
}

// insertPatience is the assumed maximum duration of an insert that began before a view was made. It applies if the
// server does not say which inserts run.
const insertPatience = 10 * time.Minute

// waitForInserts waits until all inserts that began before a time have ended, so that their rows can be read.
func waitForInserts(ctx context.Context, conn driver.Conn, since time.Time) error {
	for {
		var now time.Time
		if err := conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&now); err != nil {
			return fmt.Errorf("read the server's time: %w", err)
		}
		age := now.Sub(since)
		if age > insertPatience {
			return nil
		}
		var running uint64
		err := conn.QueryRow(ctx, fmt.Sprintf(
			"SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND elapsed > %f",
			age.Seconds())).Scan(&running)
		if age > 0 && err == nil && running == 0 {
			return nil
		}
		if err != nil && !isDenied(err) {
			return fmt.Errorf("read which inserts run: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// ReadSources returns the tables of the settings that exist on the server, for Choose. A rollup that is not filled yet
// is complete only since it was made.
func ReadSources(ctx context.Context, conn driver.Conn, s Settings) ([]Source, error) {
	fillings, err := fillings(ctx, conn, &s)
	if err != nil {
		return nil, err
	}
	var tables []struct {
		Name      string `ch:"name"`
		Partition string `ch:"partition_key"`
	}
	if err := conn.Select(ctx, &tables, "SELECT name, partition_key FROM system.tables WHERE database = "+
		literal(s.Database)); err != nil {
		return nil, fmt.Errorf("read the names of tables: %w", err)
	}
	partitions := map[string]string{}
	for _, t := range tables {
		partitions[t.Name] = t.Partition
	}
	sources := s.sourcesOf(partitions, fillings)
	return sources, s.readFirst(ctx, conn, sources)
}

// sourcesOf returns those of the settings' tables that are there. partitions has the expression of the partitions of
// each table of the database, by its name.
func (s *Settings) sourcesOf(partitions map[string]string, fillings []Filling) []Source {
	from := map[string]time.Time{}
	for _, f := range fillings {
		if !f.Complete {
			from[f.Rollup] = f.Since
		}
	}
	var sources []Source
	for _, source := range s.Sources() {
		partition, there := partitions[source.Table]
		if source.Step > 0 && !there {
			continue
		}
		if since := from[source.Set]; source.Set != "" && !since.IsZero() {
			source.From = firstStep(since, source.Step)
		}
		source.Daily = partition == dailyPartition
		sources = append(sources, source)
	}
	return sources
}
