package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// rollupSettings have every rollup, and rows of any time.
func rollupSettings() Settings {
	s := goldenSettings()
	s.Rollups = []string{AllRollups}
	s.RollupTTLs = map[string]string{"1m": "", "5m": "", "1h": "", "6h": "", "1d": ""}
	s.FlowTTL.Interval = ""
	for i := range s.Views {
		s.Views[i].TTL.Interval = ""
	}
	return s
}

// insertFlows inserts rows whose dimensions have few values, over two days in four hours, with the settings of a
// collector's insert.
func insertFlows(conn driver.Conn, token string, first, rows int) error {
	return insertFlowsOf(conn, token, first, rows, 4*time.Hour)
}

// insertFlowsOf is insertFlows over another time, from two hours before the end of a day on.
func insertFlowsOf(conn driver.Conn, token string, first, rows int, length time.Duration) error {
	ctx := chgo.Context(context.Background(), chgo.WithSettings(chgo.Settings{
		"insert_deduplication_token": token, "insert_deduplicate": 1,
		"deduplicate_blocks_in_dependent_materialized_views": 1, "optimize_on_insert": 0,
		"max_partitions_per_insert_block": 0,
	}))
	var countries uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.columns WHERE database = 'golden' AND "+
		"table = 'data_flow' AND name LIKE '%_country'").Scan(&countries); err != nil {
		return err
	}
	names, values := ", src_country, dst_country",
		", if(n % 4, 'C' || n % 13 % 3, '') AS s, if(n % 3, 'C' || n % 5 % 3, '') AS d"
	if countries == 0 { // the table of an earlier version
		names, values = "", ""
	}
	return conn.Exec(ctx, fmt.Sprintf(`INSERT INTO golden.data_flow (start_time, end_time, device_id, flow_type, `+
		`protocol,
		ip_version, policy_originator, policy_level, policy_scope, src_as_id, dst_as_id, src_ip_ref, dst_ip_ref,
		in_interface_id, out_interface_id, in_interface_ref, out_interface_ref, in_interface_edge, peer_as_id, peer_ip,
		application_port, bit_count, packet_count, ext%s)
	SELECT toDateTime64('2026-01-30 22:00:00', 3, 'UTC') + sipHash64(n, 1) %% %d AS t, t, 'r' || n %% 3, 'netflow',
		if(n %% 2, 'tcp', 'udp'), if(n %% 5, 4, 6), 'us', 'tlp:amber',
		['comm:' || n %% 2, 'as:' || n %% 7, 'as:' || n %% 11], n %% 7, n %% 11,
		if(n %% 4, 'net' || n %% 13, NULL), if(n %% 3, 'net' || n %% 5, NULL), if(n %% 3, 'if' || n %% 4, NULL), 'if9',
		if(n %% 3 AND n %% 4, 'if' || n %% 4 || '__v' || n %% 2, NULL), if(n %% 7, 'if9__v1', NULL), n %% 2 = 0,
		if(n %% 2, n %% 5, NULL), if(n %% 2, toIPv6('2001:db8::1'), NULL), n %% 3 * 80, n * 1000, n,
		CAST(('{"bgp_as_path_id":[' || toString(n %% 4) || ',7],"src_ip_scireg_ref":"s' || toString(n %% 3) || '",'
			|| '"bgp_community":["1:' || toString(n %% 3) || '","2:' || toString(n %% 5) || '"],'
			|| '"rpki_dst":"' || ['valid', 'invalid', 'unknown'][n %% 3 + 1] || '","bgp_source":"bgp",'
			|| '"bgp_router":"r' || toString(n %% 2) || '","bgp_dst_prefix":"10.0.' || toString(n %% 9) || '.0/24"}')
			AS JSON)%s
	FROM (SELECT number + %d AS n FROM numbers(%d)) ORDER BY ALL`, names, int(length.Seconds()), values, first, rows))
}

// insertCountries inserts the prefixes of insertFlows with their countries, one of them by its name alone.
func insertCountries(t *testing.T, conn driver.Conn) {
	t.Helper()
	run(t, conn, "INSERT INTO golden.meta_ip (id, ref, hash, ip_subnet, country_code, country_name) SELECT "+
		"'net' || number AS id, id, '', [], if(number % 3 = 2, NULL, 'C' || number % 3), "+
		"if(number % 3 = 1, NULL, if(number % 3 = 2, 'C2', 'Country')) FROM numbers(13)")
}

// compareRollups compares every rollup with data_flow, by step and dimensions.
func compareRollups(t *testing.T, conn driver.Conn, s Settings, when string) {
	t.Helper()
	tables := 0
	for _, r := range s.rollups() {
		for _, step := range r.Steps {
			tables++
			interval, err := windowInterval(step)
			if err != nil {
				t.Fatal(err)
			}
			var of, from []string
			for _, d := range r.Dimensions {
				if !slices.Contains(r.Largest, d) { // these have rows of all together
					of, from = append(of, columnName(d)), append(from, ofRows(d, ""))
				}
			}
			if r.folds() {
				compareLargest(t, conn, &r, step, when)
			}
			const sums = "toUInt64(%s) AS f, sum(bit_count) AS b, sum(packet_count) AS p FROM golden.%s GROUP BY ALL"
			rolled := fmt.Sprintf("SELECT start_time AS s, %s, "+sums, strings.Join(of, ", "), "sum(flow_count)",
				r.Table(step))
			rows := fmt.Sprintf("SELECT toDateTime(toStartOfInterval(start_time, INTERVAL %s), 'UTC') AS s, %s, "+sums,
				interval,
				strings.Join(from, ", "), "count()", "data_flow")
			got := ask(t, conn,
				fmt.Sprintf("SELECT (SELECT count() FROM (%[1]s)), (SELECT count() FROM (%[1]s EXCEPT %[2]s)), "+
					"(SELECT count() FROM (%[2]s EXCEPT %[1]s))", rolled, rows))
			if counts := strings.Split(got, "\t"); counts[0] == "0" || counts[1] != "0" || counts[2] != "0" {
				t.Errorf("%s: %s: rows, rows that data_flow does not make, rows that are missing: %s", when,
					r.Table(step), got)
			}
		}
	}
	if want := 2 * len(s.Rollups); tables < want {
		t.Errorf("%d tables compared, want %d and more", tables, want)
	}
}

// compareLargest compares what a rollup of the largest has of single keys with data_flow: it is never more.
func compareLargest(t *testing.T, conn driver.Conn, r *Rollup, step, when string) {
	t.Helper()
	interval, err := windowInterval(step)
	if err != nil {
		t.Fatal(err)
	}
	var of, from []string
	for _, d := range r.Dimensions {
		of, from = append(of, columnName(d)), append(from, ofRows(d, "")+" AS "+columnName(d))
	}
	list := strings.Join(of, ", ")
	kept := fmt.Sprintf("SELECT start_time AS s, %s, sum(bit_count) AS b, sum(flow_count) AS f FROM golden.%s WHERE "+
		"NOT folded GROUP BY ALL", list, r.Table(step))
	rows := fmt.Sprintf("SELECT toDateTime(toStartOfInterval(start_time, INTERVAL %s), 'UTC') AS s, %s, "+
		"sum(bit_count) AS b, count() AS f FROM golden.data_flow GROUP BY ALL", interval, strings.Join(from, ", "))
	got := ask(t, conn, "SELECT count() > 0, sum(kept.b > rows.b OR kept.f > rows.f), sum(rows.f = 0) FROM ("+kept+
		") AS kept LEFT JOIN ("+rows+") AS rows USING (s, "+list+")")
	if got != "1\t0\t0" {
		t.Errorf("%s: %s: there are some, have more than the rows, are in no row: %s", when, r.Table(step), got)
	}
}

// What one insert leaves are the largest of each device, and the sums of all others.
func TestRollups_largest(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = []string{"as_pair", "talkers"}
	apply(t, conn, s)
	if err := insertFlows(conn, "a", 0, 5000); err != nil {
		t.Fatal(err)
	}
	compareRollups(t, conn, s, "after an insert")
	const pairs = "SELECT device_id, edge, src_as_id, dst_as_id, sum(bit_count) AS b, %s AS f FROM golden.%s " +
		"WHERE %s GROUP BY ALL"
	rows := fmt.Sprintf(pairs, "count()", "data_flow",
		"toStartOfHour(start_time) = toDateTime('2026-01-30 23:00:00', 'UTC')")
	rows = strings.Replace(rows, " edge,", " in_interface_edge OR out_interface_edge AS edge,", 1)
	want := ask(t, conn, "SELECT * FROM ("+rows+") ORDER BY b DESC, src_as_id, dst_as_id LIMIT 20 BY device_id, edge")
	got := ask(t, conn, fmt.Sprintf(pairs, "sum(flow_count)", "rollup_largest_as_pair_1h",
		"start_time = toDateTime('2026-01-30 23:00:00', 'UTC') AND NOT folded")+
		" ORDER BY b DESC, src_as_id, dst_as_id")
	if got != want || strings.Count(got, "\n") < 60 {
		t.Errorf("the largest are\n%s\nwant\n%s", got, want)
	}
	if got := ask(t, conn, "SELECT count() > 0, countIf(src_as_id > 0) FROM golden.rollup_largest_as_pair_1h WHERE "+
		"folded"); got != "1\t0" {
		t.Errorf("others: %s", got)
	}
}

// TestRollups_equalRows compares every rollup with the rows: after inserts, retries, late rows, an insert that failed
// in the middle of a chain of views, and merges.
func TestRollups_equalRows(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	apply(t, conn, s)
	if again := apply(t, conn, s); len(again) != 0 {
		t.Errorf("a second time changes %q", again)
	}
	insert := func(token string, first, rows int) {
		t.Helper()
		if err := insertFlows(conn, token, first, rows); err != nil {
			t.Fatal(err)
		}
	}
	insert("a", 0, 20000)
	insert("b", 20000, 20000)
	insert("a", 0, 20000)
	insert("b", 20000, 20000)
	if got := ask(t, conn, "SELECT count() FROM golden.data_flow"); got != "40000" {
		t.Fatalf("%s rows after a retry", got)
	}
	compareRollups(t, conn, s, "after a retry")
	for i, table := range []string{"rollup_traffic_1m", "rollup_edge_application_1h"} {
		run(t, conn, "ALTER TABLE golden."+table+" ADD CONSTRAINT refuses CHECK flow_count = 0")
		token := fmt.Sprint("c", i)
		if err := insertFlows(conn, token, 40000+i*5000, 5000); err == nil {
			t.Errorf("an insert is stored though %s refuses rows", table)
		}
		run(t, conn, "ALTER TABLE golden."+table+" DROP CONSTRAINT refuses")
		insert(token, 40000+i*5000, 5000)
	}
	compareRollups(t, conn, s, "after two tables refused an insert and took it later")
	for _, r := range s.rollups() {
		for _, step := range r.Steps {
			run(t, conn, "OPTIMIZE TABLE golden."+r.Table(step)+" FINAL")
		}
	}
	insert("late", 60000, 1000)
	compareRollups(t, conn, s, "after merges and late rows")
}

// TestFill turns rollups on where rows are: what was there, what comes while it is filled in, and what comes later is
// counted once, also when filling is interrupted.
func TestFill(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = []string{"traffic", "as_pair", "scireg"} // of 1m, of 1h, with paths of ext
	before := s
	before.Rollups = nil
	apply(t, conn, before)
	insert := func(token string, first, rows int) {
		t.Helper()
		if err := insertFlows(conn, token, first, rows); err != nil {
			t.Fatal(err)
		}
	}
	insert("a", 0, 5000)
	apply(t, conn, s)
	if again := apply(t, conn, s); len(again) != 0 {
		t.Errorf("a second time changes %q", again)
	}
	insert("b", 5000, 5000) // within seconds, before the views count
	ctx := t.Context()
	wait, cancelWait := context.WithTimeout(ctx, time.Minute)
	defer cancelWait()
	fillings, err := Fillings(ctx, conn, s)
	if err != nil || len(fillings) != 3 || fillings[0].Complete || fillings[0].Since.IsZero() {
		t.Fatalf("%+v, error %v", fillings, err)
	}
	if err := waitForInserts(wait, conn, fillings[0].Since); err != nil {
		t.Fatal(err)
	}
	insert("c", 10000, 5000) // of the same hours
	sources, err := ReadSources(ctx, conn, s)
	if err != nil {
		t.Fatal(err)
	}
	old := Question{Dimensions: []string{"device_id"}, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		To: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	if got := Choose(old, sources, time.Now()); got.Table != "data_flow" {
		t.Errorf("before rows are filled in, %s is asked", got.Line())
	}

	interrupted, cancel := context.WithCancel(ctx)
	hours := 0
	err = Fill(interrupted, conn, s, func(f Filling) {
		if hours++; hours == 6 { // in the second of the rollups
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	run(t, conn,
		"ALTER TABLE golden.collector_rollup DELETE WHERE hour >= '2026-01-31 00:00:00' SETTINGS mutations_sync = 2")
	insert("d", 15000, 1000)
	if err := Fill(ctx, conn, s, func(f Filling) {
		if f.Done > f.Hours || f.Flows == 0 {
			t.Errorf("%+v", f)
		}
	}); err != nil {
		t.Fatal(err)
	}
	compareRollups(t, conn, s, "after filling")
	if err := Fill(ctx, conn, s, func(f Filling) { t.Errorf("filled again: %+v", f) }); err != nil {
		t.Fatal(err)
	}
	if sources, err = ReadSources(ctx, conn, s); err != nil {
		t.Fatal(err)
	}
	if got := Choose(old, sources, time.Now()); got.Table != "rollup_traffic_1d" {
		t.Errorf("after rows are filled in, %s is asked", got.Line())
	}
}

func TestRollups_settings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		want   string // "" is no error
	}{
		"none": {func(s *Settings) {}, ""},
		"some": {func(s *Settings) { s.Rollups = []string{"traffic", "scireg"} }, ""},
		"all":  {func(s *Settings) { s.Rollups, s.IPRefExtensions = []string{AllRollups}, nil }, ""},
		"unknown": {func(s *Settings) { s.Rollups = []string{"colour"} },
			`rollup "colour" is none of all, traffic`},
		"no extension": {func(s *Settings) { s.Rollups, s.IPRefExtensions = []string{"scireg"}, nil },
			"path src_ip_scireg_ref"},
		"unknown step": {func(s *Settings) { s.RollupTTLs = map[string]string{"2m": "1 DAY"} }, `"2m" is none of`},
		"TTL": {func(s *Settings) { s.RollupTTLs = map[string]string{"5m": "often"} },
			`"often" is not an interval`},
		"name is taken": {func(s *Settings) { s.Rollups, s.Tables.Loss = []string{"peer"}, "rollup_interface_peer_1h" },
			"is the loss table already"},
	} {
		s := goldenSettings()
		c.change(&s)
		err := s.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// TestRollups_turnedOff names the views of a set that the settings do not have any more.
func TestRollups_turnedOff(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.Rollups = []string{"peer"}
	apply(t, conn, s)
	s.Rollups = nil
	lines := strings.Join(apply(t, conn, s), "\n")
	for _, view := range []string{"rollup_interface_peer_5m_mv", "rollup_interface_peer_1h_mv",
		"rollup_interface_peer_1d_mv"} {
		if !strings.Contains(lines, "view "+view+": is not in the settings and goes on being filled") {
			t.Errorf("nothing of %s in %s", view, lines)
		}
	}
	offers, err := Offers(t.Context(), conn, s)
	if err != nil || len(offers) != 3 {
		t.Fatalf("offers %+v, error %v", offers, err)
	}
	for _, o := range offers {
		if err := Accept(t.Context(), conn, &s, o); err != nil {
			t.Error(err)
		}
	}
	if lines := apply(t, conn, s); len(lines) != 0 {
		t.Errorf("after the offers it says %q", lines)
	}
	if got := ask(t, conn,
		"SELECT count() FROM system.tables WHERE database = 'golden' AND name LIKE "+
			"'rollup_interface_peer_%'"); got != "3" {
		t.Errorf("%s tables keep their rows, want 3", got)
	}
}

// TestRollups_earlierDimensions has the tables of an earlier version, whose rollups had fewer dimensions.
func TestRollups_earlierDimensions(t *testing.T) {
	conn := engine(t)
	upgradeRollups(t, conn, "rollup_src_as_5m", "device_id LowCardinality(String), src_as_id UInt32",
		"device_id, src_as_id", "rollup_edge_src_as_5m",
		"src_as", "dst_as", "application", "peer", "as_pair", "talkers", "sampling")
}

// TestRollups_earlierInterface has the tables of an earlier version, whose rollup of interfaces had no refs.
func TestRollups_earlierInterface(t *testing.T) {
	conn := engine(t)
	upgradeRollups(t, conn, "rollup_interface_1m", "device_id LowCardinality(String), in_interface_edge Bool",
		"device_id, in_interface_edge", "rollup_interface_ref_1m", "interface")
}

// TestRollups_earlierScope has the tables of an earlier version, whose rollup of scopes had those of AS too.
func TestRollups_earlierScope(t *testing.T) {
	conn := engine(t)
	upgradeRollups(t, conn, "rollup_scope_5m",
		"device_id LowCardinality(String), policy_scope Array(LowCardinality(String))", "device_id, policy_scope",
		"rollup_named_scope_5m", "scope")
	// Dashboards of the earlier version ask by policy_scope.
	if got := ask(t, conn, "SELECT policy_scope, sum(flow_count) FROM golden.sums_scope(from = 1769700000, "+
		"to = 1769950000, step = 0, rows = 0) GROUP BY ALL ORDER BY ALL"); got !=
		"['comm:0']\t3000\n['comm:1']\t3000" {
		t.Errorf("by scope: %s", got)
	}
}

// upgradeRollups has a table of an earlier version and its view, with some columns, when rollups are turned on whose
// tables have other names. The earlier one goes on being filled and its view is offered for removal; the new ones count
// each row once.
func upgradeRollups(t *testing.T, conn driver.Conn, earlier, columns, names, now string, rollups ...string) {
	t.Helper()
	s := rollupSettings()
	s.Rollups = nil
	apply(t, conn, s)
	run(t, conn, fmt.Sprintf("CREATE TABLE golden.%s (start_time DateTime('UTC'), %s, flow_count UInt64, "+
		"bit_count UInt64, packet_count UInt64) ENGINE = SummingMergeTree((flow_count, bit_count, packet_count)) "+
		"ORDER BY (start_time, %s)", earlier, columns, names))
	run(t, conn, fmt.Sprintf("CREATE MATERIALIZED VIEW golden.%[1]s_mv TO golden.%[1]s AS SELECT start_time, %[2]s, "+
		"toUInt64(1) AS flow_count, bit_count, packet_count FROM golden.data_flow", earlier, names))
	if err := insertFlows(conn, "older", 0, 5000); err != nil {
		t.Fatal(err)
	}
	s.Rollups = rollups
	lines := strings.Join(apply(t, conn, s), "\n")
	want := fmt.Sprintf("view %s_mv: is of an earlier version, has %s_mv in its place", earlier, now)
	if !strings.Contains(lines, want) {
		t.Errorf("no %q in %s", want, lines)
	}
	if err := insertFlows(conn, "newer", 5000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	compareRollups(t, conn, s, "after the upgrade")
	if got := ask(t, conn, "SELECT sum(flow_count) FROM golden."+earlier); got != "6000" {
		t.Errorf("the earlier table has %s flows", got)
	}
	offers, err := Offers(t.Context(), conn, s)
	if err != nil || len(offers) != 1 || offers[0].Statement != "DROP VIEW `golden`.`"+earlier+"_mv`" {
		t.Errorf("offers %+v, error %v", offers, err)
	}
}
