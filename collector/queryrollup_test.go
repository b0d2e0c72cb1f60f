package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/schema"
)

// The same question has the same answer from a rollup and from the rows, and the command says which table it asked.
func TestQueryRollup(t *testing.T) {
	cfg := testkit.Config(t)
	cfg.Schema.Rollups = []string{"src_as", "scireg"}
	conn, _, done, err := openTables(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn
	done()
	const sql = "INSERT INTO data_flow (start_time, device_id, src_as_id, src_port, bit_count, packet_count, ext) " +
		"SELECT now64() - number % 3600 * 20, 'r' || number % 2, number % 5, number % 3, number, 1, " +
		`CAST(('{"src_ip_scireg_ref":"s' || toString(number % 2) || '"}') AS JSON) FROM numbers(10000)`
	if err := setup.Query(t.Context(), cfg, sql, "TSV", &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	for name, c := range map[string]struct {
		query       rollupQuery
		table, want string
	}{
		"an AS of one device": {rollupQuery{by: "src_as_id", where: "device_id = 'r1' AND src_as_id != 3"},
			"rollup_edge_src_as_1d",
			"1\t1000\t4996000\t1000\n"},
		"by what only rows have": {rollupQuery{by: "src_port", where: "device_id = 'r0' AND src_as_id = 2", top: 1},
			"data_flow", "2\t334\t"},
		"a path of ext": {rollupQuery{by: "device_id", where: "ext.src_ip_scireg_ref = 's1'"}, "rollup_scireg_1d",
			"r1\t5000\t25000000\t5000\n"},
		"a text like a column": {rollupQuery{by: "device_id", where: "device_id != 'src_port'"}, "rollup_scireg_1d",
			"r0\t5000\t"},
	} {
		c.query.from, c.query.to = tomorrow.Add(-96*time.Hour), tomorrow
		var out, notes bytes.Buffer
		if err := c.query.run(t.Context(), cfg, "TSV", &out, &notes); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(notes.String(), c.table+": ") {
			t.Errorf("%s: %s, want %s", name, notes.String(), c.table)
		}
		if !strings.Contains("\n"+out.String(), "\n"+c.want) {
			t.Errorf("%s: %q, want %q in it", name, out.String(), c.want)
		}
	}
	var rows, notes bytes.Buffer
	r := rollupQuery{by: "src_as_id", step: "1h", from: tomorrow.Add(-48 * time.Hour), to: tomorrow}
	if err := r.run(t.Context(), cfg, "TSV", &rows, &notes); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(rows.String(), "\n"); n < 100 || !strings.HasPrefix(notes.String(), "rollup_edge_src_as_1h") {
		t.Errorf("%d rows from %s", n, notes.String())
	}
}

func TestRollupQuery_question(t *testing.T) {
	s := schema.Default()
	now := time.Date(2026, 11, 29, 10, 17, 30, 0, time.UTC)
	for name, c := range map[string]struct {
		query rollupQuery
		err   string
		from  time.Time
		step  time.Duration
	}{
		"last": {query: rollupQuery{last: "2w"}, from: now.Add(-14 * 24 * time.Hour)},
		"minutes": {query: rollupQuery{last: "90m", step: "5m"}, from: now.Add(-90 * time.Minute),
			step: 5 * time.Minute},
		"from":      {query: rollupQuery{from: now.Add(-time.Hour), last: "1d"}, from: now.Add(-time.Hour)},
		"no column": {query: rollupQuery{by: "src_as_id, colour", last: "1d"}, err: "no column colour"},
		"no time":   {query: rollupQuery{last: "often"}, err: `"often" is not a time`},
		"no step":   {query: rollupQuery{last: "1d", step: "1.5s"}, err: "--step"},
		"wrong order": {query: rollupQuery{from: now, to: now.Add(-time.Hour)},
			err: "--from 2026-11-29 10:17:30 is not before --to 2026-11-29 09:17:30"},
		"fewer than none": {query: rollupQuery{last: "1d", top: -1}, err: "--top -1"},
	} {
		q, err := c.query.question(&s, now)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		case c.err == "" && (err != nil || !q.From.Equal(c.from) || q.Step != c.step || !q.To.Equal(now)):
			t.Errorf("%s: %+v, error %v", name, q, err)
		}
	}
}
