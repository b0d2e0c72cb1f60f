package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// repeat copies the generated days to the days before them, in data_flow and in the tables that sum it up. Copying a
// row takes a fraction of the time of generating it.
func (r *run) repeat(ctx context.Context) error {
	missing := r.o.Days - 1 - r.o.Distinct
	if missing <= 0 {
		return nil
	}
	tables, views, err := r.summing(ctx)
	if err != nil {
		return err
	}
	// Without the views the copies are not counted twice. The server attaches them at its next start in any case.
	for _, view := range views {
		if _, err := r.store.Read(ctx, "DETACH TABLE "+view); err != nil {
			return err
		}
	}
	today := r.o.Until.Add(-1).Truncate(day)
	for back := 1; back <= missing; back += r.o.Distinct {
		shift := back - 1 + r.o.Distinct
		first := today.Add(-time.Duration(min(r.o.Distinct, missing-back+1)) * day)
		for _, table := range tables {
			if err := r.copyDays(ctx, table, first, today, shift); err != nil {
				return fmt.Errorf("copy days of %s: %w", table, err)
			}
		}
	}
	for _, view := range views {
		if _, err := r.store.Read(ctx, "ATTACH TABLE "+view); err != nil {
			return err
		}
	}
	return nil
}

// summing returns the table of flows with those that sum it up, and the views that fill the latter.
func (r *run) summing(ctx context.Context) (tables, views []string, err error) {
	lines, err := r.store.Ask(ctx, "SELECT name, engine FROM system.tables WHERE database = currentDatabase() AND "+
		"(name LIKE 'data_flow%' OR name LIKE 'rollup_%') ORDER BY name")
	for _, line := range lines {
		switch name, engine := line[0], line[1]; {
		case engine == "MaterializedView":
			views = append(views, name)
		case strings.HasSuffix(engine, "MergeTree"):
			tables = append(tables, name)
		}
	}
	return tables, views, err
}

// copyDays copies the rows of first up to end, exclusive, to shift days earlier.
func (r *run) copyDays(ctx context.Context, table string, first, end time.Time, shift int) error {
	r.o.Log("%s, %d days earlier", table, shift)
	times := fmt.Sprintf("t.start_time - INTERVAL %d DAY AS start_time", shift)
	if table == schema.Default().Tables.Flow {
		times += fmt.Sprintf(", t.end_time - INTERVAL %d DAY AS end_time", shift)
	}
	columns, err := r.store.Ask(ctx, "SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() "+
		"AND table = '"+table+"'")
	if err != nil {
		return err
	}
	list := strings.NewReplacer("[", "", "]", "", "'", "`").Replace(columns[0][0])
	for at := first; at.Before(end); at = at.Add(day) {
		if err := r.copyDay(ctx, fmt.Sprintf("%s %d %s", table, shift, at.Format(time.DateOnly)), fmt.Sprintf(
			"INSERT INTO %s (%s) SELECT * REPLACE (%s) FROM %s AS t WHERE "+
				"t.start_time >= toDateTime(%d, 'UTC') AND t.start_time < toDateTime(%d, 'UTC') SETTINGS "+
				"insert_deduplicate = 0, max_memory_usage = 0, "+
				"max_execution_time = 0, optimize_on_insert = 0, min_insert_block_size_rows = 1000000, "+
				"min_insert_block_size_bytes = 0", table, list, times, table, at.Unix(),
			at.Add(day).Unix())); err != nil {
			return err
		}
	}
	return nil
}

// copyDay runs a statement that copies a day, and records under the name that it did, so that a later call continues.
func (r *run) copyDay(ctx context.Context, name, statement string) error {
	begun, err := r.o.note(name, false)
	if err != nil || begun == copied {
		return err
	}
	if begun == copying {
		return fmt.Errorf("an earlier call was interrupted: name another --dir")
	}
	if _, err := r.store.Read(ctx, statement); err != nil {
		return err
	}
	_, err = r.o.note(name, true)
	return err
}

// mergeDays merges the flows of each day before yesterday into one part, as the server does by itself a day after the
// last rows of a day have come.
func (r *run) mergeDays(ctx context.Context) error {
	table := schema.Default().Tables.Flow
	yesterday := r.o.Until.Add(-1).Truncate(day).Add(-day)
	lines, err := r.store.Ask(ctx, "SELECT partition FROM system.parts WHERE active AND database = currentDatabase() "+
		"AND table = '"+table+"' AND partition < '"+yesterday.Format("20060102")+"' GROUP BY partition "+
		"HAVING count() > 1 ORDER BY partition")
	if err != nil {
		return err
	}
	for _, line := range lines {
		r.o.Log("merging the flows of %s", line[0])
		if _, err := r.store.Read(ctx, "OPTIMIZE TABLE "+table+" PARTITION "+line[0]+" FINAL"); err != nil {
			return fmt.Errorf("merge the flows of %s: %w", line[0], err)
		}
	}
	return nil
}
