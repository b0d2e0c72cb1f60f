package schema

import (
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A table has rows for as long as its own TTL says, not the settings, and only since its first row where another table
// has earlier ones.
func TestReadSources_kept(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = []string{"traffic"}
	apply(t, conn, s)
	if err := insertFlowsOf(conn, "a", 0, 5000, 4*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, source := range sourcesByTable(t, conn, s) {
		if !source.From.IsZero() || source.Kept != 0 {
			t.Errorf("%s is complete since %s and keeps rows for %s", source.Table, source.From, source.Kept)
		}
	}
	run(t, conn,
		"ALTER TABLE golden.rollup_traffic_1m MODIFY TTL start_time + INTERVAL 9000 DAY",
		"ALTER TABLE golden.rollup_traffic_5m DROP PARTITION 20260130",
		"ALTER TABLE golden.rollup_traffic_1h DROP PARTITION 202601")
	sources := sourcesByTable(t, conn, s)
	for table, want := range map[string]struct {
		from time.Time
		kept time.Duration
	}{
		"data_flow":         {},
		"rollup_traffic_1m": {kept: 9000 * 24 * time.Hour},
		"rollup_traffic_5m": {from: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		"rollup_traffic_1h": {from: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		"rollup_traffic_1d": {},
	} {
		if got := sources[table]; !got.From.Equal(want.from) || got.Kept != want.kept {
			t.Errorf("%s is complete since %s and keeps rows for %s, want %s, %s", table, got.From, got.Kept, want.from,
				want.kept)
		}
	}
	apply(t, conn, s)
	const view = "SELECT create_table_query FROM system.tables WHERE database = 'golden' AND name = 'sums_traffic'"
	if got := ask(t, conn, view); strings.Contains(got, "rollup_traffic_1m") ||
		!strings.Contains(got, "rollup_traffic_5m") {
		t.Errorf("the view of sums is %s", got)
	}
}

func sourcesByTable(t *testing.T, conn driver.Conn, s Settings) map[string]Source {
	t.Helper()
	sources, err := ReadSources(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Source{}
	for _, source := range sources {
		all[source.Table] = source
	}
	return all
}
