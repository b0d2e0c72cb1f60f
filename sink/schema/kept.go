package schema

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// readKept reads the TTLs of the tables that are there. Those that it does not understand are left out.
func (have *state) readKept(s *Settings) {
	s.Kept = map[string]time.Duration{}
	for name, t := range have.tables {
		if ttl, known := parseTTL(ttlOf(storageClauses(t.EngineFull))); known && t.hasParts() {
			s.Kept[name] = ttl.Duration()
		}
	}
}

// keptIn is for how long a table keeps rows: by its own TTL, or by that of the settings where it is not known.
func (s *Settings) keptIn(table string, ttl TTL) time.Duration {
	if kept, known := s.Kept[s.local(table)]; known {
		return kept
	}
	return ttl.Duration()
}

// readFirst finds out which tables have no rows of times of which another one has: their rows have gone by a TTL that
// is longer now, or to make room on a disk. They are complete since their first row.
func (s *Settings) readFirst(ctx context.Context, conn driver.Conn, sources []Source) error {
	var tables []struct {
		Name  string    `ch:"table"`
		First time.Time `ch:"first"`
	}
	err := conn.Select(ctx, &tables, "SELECT table, toDateTime(min(min_time), 'UTC') AS first FROM system.parts WHERE "+
		"active AND database = "+literal(s.Database)+" AND max_time > 0 GROUP BY table")
	if isDenied(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the first rows of tables: %w", err)
	}
	first := map[string]time.Time{}
	for _, t := range tables {
		first[t.Name] = t.First.UTC()
	}
	var earlier time.Time // before this time some table has rows
	for _, source := range sources {
		if at, there := first[s.local(source.Table)]; there {
			if end := at.Add(max(source.Step, time.Second)); earlier.IsZero() || end.Before(earlier) {
				earlier = end
			}
		}
	}
	for i := range sources {
		source := &sources[i]
		at, there := first[s.local(source.Table)]
		if there && source.Many == "" && !at.Before(earlier) && at.After(source.From) {
			source.From = at
		}
	}
	return nil
}
