package schema

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// engine is a connection to a real engine for one test.
func engine(t *testing.T) driver.Conn {
	t.Helper()
	addr := strings.TrimPrefix(storetest.Start(t), "http://")
	conn, err := chgo.Open(&chgo.Options{Addr: []string{addr}, Protocol: chgo.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// apply runs Apply and returns its lines.
func apply(t *testing.T, conn driver.Conn, s Settings) []string {
	t.Helper()
	changes, err := Apply(context.Background(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, change := range changes {
		lines = append(lines, change.Line)
	}
	return lines
}

func run(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if err := conn.Exec(context.Background(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// ask returns the answer to a query as TSV, without the last line's end.
func ask(t *testing.T, conn driver.Conn, query string) string {
	t.Helper()
	return strings.TrimSuffix(askAs(t, conn, "TSV", query), "\n")
}

func askAs(t *testing.T, conn driver.Conn, format, query string) string {
	t.Helper()
	r, err := conn.QueryFormat(context.Background(), format, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return string(text)
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	first := apply(t, conn, s)
	for _, want := range []string{
		"database golden: created", "table data_flow: created", "table data_interface_traffic: created",
		"dictionary meta_as_dict: created", "view data_flow_by_edge_as_5m_mv: created",
	} {
		if !contains(first, want) {
			t.Errorf("%q is not in %q", want, first)
		}
	}
	if second := apply(t, conn, s); len(second) != 0 {
		t.Errorf("a second time changes %q", second)
	}
}

func contains(lines []string, want string) bool {
	for _, line := range lines {
		if line == want {
			return true
		}
	}
	return false
}

// flowRow inserts one flow over an edge interface; ext is JSON.
func flowRow(t *testing.T, conn driver.Conn, ext string) {
	t.Helper()
	run(t, conn,
		"INSERT INTO golden.data_flow (start_time, in_interface_edge, protocol, application_port, bit_count, "+
			"packet_count, ext) "+
			"VALUES ('2026-01-01 10:02:03', true, 'tcp', 443, 80, 1, "+literal(ext)+")")
}

func TestApplyBringsUpToDate(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.DeduplicationWindow = 0
	s.FlowTTL.Interval = "30 YEAR"
	s.FlowExtensions, s.IPRefExtensions, s.ASExtensions = []string{"ipv4"}, nil, nil
	apply(t, conn, s)
	flowRow(t, conn, `{"ipv4_tos": 8, "vlan_id": 7, "own": "x"}`)
	run(t, conn, // as an older version left it
		"ALTER TABLE golden.data_flow DROP COLUMN sampling_rate, DROP COLUMN sampling_source",
		"ALTER TABLE golden.meta_device DROP COLUMN os",
		"ALTER TABLE golden.meta_device ADD COLUMN own String",
	)

	s.DeduplicationWindow = 100
	s.FlowExtensions, s.ASExtensions = []string{"ipv4", "vlan", "bgp"}, []string{"peeringdb"}
	s.Views[0].PolicyScope = []string{"a:b", "c:d"}
	s.ASDictionary.LifetimeMax = 7200
	changes := apply(t, conn, s)
	for _, want := range []string{
		"table data_flow: column sampling_rate UInt32 added",
		"table data_flow: column sampling_source LowCardinality(String) added",
		"table data_flow: non_replicated_deduplication_window set to 100",
		"table meta_device: column os LowCardinality(Nullable(String)) added",
		"dictionary meta_as_dict: definition replaced",
		"view data_flow_by_edge_as_5m_mv: query changed",
	} {
		if !contains(changes, want) {
			t.Errorf("%q is not in %q", want, changes)
		}
	}
	if again := apply(t, conn, s); len(again) != 0 {
		t.Errorf("a second time changes %q", again)
	}
	want := `8	7	x	80	0`
	if got := ask(t, conn,
		"SELECT ext.ipv4_tos, ext.vlan_id, ext.own, bit_count, sampling_rate FROM golden.data_flow"); got != want {
		t.Errorf("the row that was there is %q now, want %q", got, want)
	}
	order := ask(t, conn,
		"SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = 'golden' AND table = "+
			"'meta_device' ORDER BY position)")
	if !strings.Contains(order, "'network','os','role','state','own'") {
		t.Errorf("columns of meta_device are %s", order)
	}
	flowRow(t, conn, `{"bgp_as_path_id": [1, 2]}`)
	want = "['a:b','c:d']\t[1,2]"
	if got := ask(t, conn,
		"SELECT policy_scope, ext.bgp_as_path_id FROM golden.data_flow_by_edge_as_5m WHERE length(policy_scope) = "+
			"2"); got != want {
		t.Errorf("the changed view made %q, want %q", got, want)
	}
}

// The chain that we replace makes dictionaries that read the whole table; theirs are replaced, their tables kept.
func TestApplyOverTheReferencesDictionary(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.ApplicationDictionary.Enabled = false
	apply(t, conn, s)
	run(t, conn,
		"CREATE DICTIONARY golden.meta_application_dict (`id` String, `protocol` String, `port_range_min` UInt16, "+
			"`port_range_max` UInt16) "+
			"PRIMARY KEY (`protocol`) SOURCE(CLICKHOUSE(TABLE 'meta_application' USER 'default' PASSWORD '' DB "+
			"'golden')) LIFETIME(MIN 600 MAX 3600) "+
			"LAYOUT(RANGE_HASHED(range_lookup_strategy 'min')) RANGE(MIN port_range_min MAX port_range_max)")
	s.ApplicationDictionary.Enabled = true
	changes := apply(t, conn, s)
	for _, want := range []string{"dictionary meta_application_dict: definition replaced",
		"view data_flow_by_edge_as_5m_mv: query changed"} {
		if !contains(changes, want) {
			t.Errorf("%q is not in %q", want, changes)
		}
	}
	run(t, conn,
		"INSERT INTO golden.meta_application (id, protocol, port_range_min, port_range_max) VALUES "+
			"('system-ports', 'tcp', 0, 1023), ('https', 'TCP', 443, 443), ('reversed', 'udp', 2000, 1000)",
		"INSERT INTO golden.meta_as (id, ref, name, insert_time) VALUES (7, '7__v9', 'old', 10), (7, '7__v10', "+
			"'new', 10), (7, '7__v8', 'older', 11)",
		"SYSTEM RELOAD DICTIONARY golden.meta_application_dict", "SYSTEM RELOAD DICTIONARY golden.meta_as_dict")
	flowRow(t, conn, "{}")
	for query, want := range map[string]string{
		// row-semantics Q17
		"SELECT application_id FROM golden.data_flow_by_edge_as_5m":                                   "https",
		"SELECT dictGet('golden.meta_application_dict', 'id', 'tcp', 80::UInt16)":                     "system-ports",
		"SELECT dictGet('golden.meta_application_dict', 'id', 'udp', 1500::UInt16)":                   "reversed",
		"SELECT dictGetOrNull('golden.meta_application_dict', 'id', 'udp', 5::UInt16)":                `\N`,
		"SELECT dictGet('golden.meta_as_dict', 'name', 7)":                                            "older",
		"SELECT count() FROM golden.data_flow_by_edge_as_5m WHERE start_time = '2026-01-01 10:00:00'": "1",
	} {
		if got := ask(t, conn, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestApplyWithoutExtensionsAndDictionaries(t *testing.T) {
	conn := engine(t)
	s := Default()
	s.Database = "golden"
	s.ApplicationDictionary.Enabled, s.ASDictionary.Enabled = false, false
	for _, window := range []string{"30s", "5m", "1h", "1d", "2w", "1mo", "1y"} {
		for _, kind := range []Kind{ByEdgeAS, ByInterface, ByIPVersion} {
			s.Views = append(s.Views, NewView(kind, window))
		}
	}
	s.Views[0].PolicyOverride = false
	s.Views[1].PolicyScope = nil
	apply(t, conn, s)
	flowRow(t, conn, "{}")
	want := map[string]string{
		"30s": "2026-01-01 10:02:00", "5m": "2026-01-01 10:00:00", "1h": "2026-01-01 10:00:00",
		"1d": "2026-01-01 00:00:00",
		"2w": "2025-12-22 00:00:00", "1mo": "2026-01-01 00:00:00", "1y": "2026-01-01 00:00:00",
	}
	for window, start := range want {
		query := fmt.Sprintf("SELECT toString(start_time, 'UTC'), flow_count, bit_count, packet_count FROM "+
			"golden.data_flow_by_edge_as_%s", window)
		if got := ask(t, conn, query); got != start+"\t1\t80\t1" {
			t.Errorf("%s: %q, want %s", window, got, start)
		}
	}
}

func TestApplyRefusesWhatItCannotMend(t *testing.T) {
	conn := engine(t)
	run(t, conn, "CREATE DATABASE golden",
		"CREATE TABLE golden.meta_as (id String, ref String) ENGINE = MergeTree ORDER BY id",
		"CREATE VIEW golden.meta_device AS SELECT 1")
	_, err := Apply(context.Background(), conn, goldenSettings())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"golden", "table meta_as: column id is String, not UInt32",
		"table meta_device: engine is View"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if got := ask(t, conn, "SELECT count() FROM system.tables WHERE database = 'golden'"); got != "2" {
		t.Errorf("%s tables after a refusal, there were 2", got)
	}
}

func TestApplyReportsADictionaryThatMayNotRead(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.DictionarySource = DictionarySource{Username: "nobody", Password: "it's\\wrong"}
	_, err := Apply(context.Background(), conn, s)
	if err == nil || !strings.Contains(err.Error(), "dictionary golden.meta_application_dict cannot read its table") {
		t.Fatalf("error %v", err)
	}
	var exception *chgo.Exception
	if !errors.As(err, &exception) {
		t.Errorf("the server's own error is not within %v", err)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error shows the password: %v", err)
	}
}

// The views themselves sum an insert up: the server need not do so with all its rows, which the collector asks it not
// to.
func TestViewsSumAnInsertUp(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = ""
	apply(t, conn, s)
	run(t, conn,
		"INSERT INTO golden.data_flow (start_time, in_interface_edge, in_interface_ref, out_interface_ref, "+
			"bit_count, packet_count) "+
			"SELECT '2026-01-01 10:02:03', true, 'a', 'b' || toString(number % 2), number, 1 FROM numbers(100) "+
			"SETTINGS optimize_on_insert = 0, async_insert = 0")
	for table, rows := range map[string]string{"data_flow_by_edge_as_5m": "2", "data_flow_by_interface_5m": "2",
		"data_flow_by_ip_version_5m": "1"} {
		want := rows + "\t100\t4950\t100"
		if got := ask(t, conn, "SELECT count(), sum(flow_count), sum(bit_count), sum(packet_count) FROM golden."+
			table); got != want {
			t.Errorf("%s: rows and sums %q, want %q", table, got, want)
		}
	}
}

// Parts of data_flow wait until there are 32, and are merged all at once then.
func TestPartsAreMergedByMany(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = ""
	apply(t, conn, s)
	insert := func(n int) {
		run(t, conn,
			fmt.Sprintf("INSERT INTO golden.data_flow (start_time, bit_count) VALUES ('2026-01-01 10:02:03', %d)", n))
	}
	parts := func() string {
		return ask(t, conn,
			"SELECT count() FROM system.parts WHERE active AND database = 'golden' AND table = 'data_flow'")
	}
	for n := range 31 {
		insert(n)
	}
	if got := parts(); got != "31" {
		t.Fatalf("%s parts of 31 inserts", got)
	}
	insert(31)
	for deadline := time.Now().Add(time.Minute); parts() != "1"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s parts a minute after the 32nd insert", parts())
		}
	}
}

// A retry after a failure that stored some of it (row-semantics Q5) stores the rest, in the views too.
func TestInsertTokenCoversTheViews(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = ""
	apply(t, conn, s)
	for range 3 {
		ctx := chgo.Context(context.Background(), chgo.WithSettings(chgo.Settings{
			"insert_deduplication_token": "block-1", "deduplicate_blocks_in_dependent_materialized_views": 1,
			"async_insert": 0,
		}))
		if err := conn.Exec(ctx,
			"INSERT INTO golden.data_flow (start_time, in_interface_edge, in_interface_ref, out_interface_ref, "+
				"bit_count) "+
				"VALUES ('2026-01-01 10:02:03', true, 'a', 'b', 80)"); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"data_flow", "data_flow_by_edge_as_5m", "data_flow_by_interface_5m",
		"data_flow_by_ip_version_5m"} {
		if got := ask(t, conn, "SELECT sum(bit_count) FROM golden."+table); got != "80" {
			t.Errorf("%s: %s bits after three inserts of one block of 80", table, got)
		}
	}
}
