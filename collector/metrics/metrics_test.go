package metrics

import (
	"errors"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/tally"
)

var router = flow.StreamKey{Exporter: flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), Protocol: flow.IPFIX, Domain: 7}

// full are metrics of a collector in which all that can happen has happened.
func full(t *testing.T) *Metrics {
	t.Helper()
	table, book := exporter.NewTable(16), &tally.Book{}
	tables := func() []*exporter.Table { return []*exporter.Table{table} }
	s := table.Get(router, router.Exporter, 1)
	s.Saw(&exporter.Datagram{Payload: make([]byte, 1400), Received: 1_700_000_000_500_000_000})
	s.Records.Add(30)
	s.SamplingRate.Store(1000)
	s.ClockSkewMs.Store(-1500)
	s.Lost.Add(4)
	for _, c := range []interface{ Add(uint64) uint64 }{
		&s.Options, &s.Templates, &s.Counters, &s.Discards, &s.Held, &s.Recovered, &s.Duplicated, &s.Reordered,
		&s.Restarts, &s.SamplesLost, &s.AgentDrops,
	} {
		c.Add(1)
	}
	for _, reason := range exporter.Reasons() {
		s.Fail(reason, 1)
		table.Unattributed(reason)
	}
	shares := []tally.Share{{Stream: router, Rows: 5}}
	for range 5 {
		book.Take(shares)
	}
	book.Deliver(shares, false)
	book.ToDisk(shares)
	book.Spooled(shares)
	book.Lose(shares, false, "queue_full")
	book.Quarantine(shares, false, "rejected")
	snapshot, err := enrich.NewBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[enrich.Snapshot]
	current.Store(snapshot)
	m := New(Options{
		Ledger: ledger.New(ledger.Options{
			Tables: tables,
			Sockets: func() []ledger.Socket {
				return []ledger.Socket{{SocketStats: listen.SocketStats{Address: ":2055", KernelDrops: 3}, Worker: 1}}
			},
			Refused: func() map[netip.Addr]uint64 {
				return map[netip.Addr]uint64{netip.MustParseAddr("192.0.2.9"): 2,
					{}: 6}
			},
			OverShare: func() map[netip.Addr]uint64 {
				return map[netip.Addr]uint64{netip.MustParseAddr("192.0.2.8"): 4,
					{}: 5}
			},
			Sinks: []ledger.Sink{{Name: "clickhouse", Book: book, Reasons: []string{"queue_full", "rejected"}}},
		}),
		Tables: tables, Snapshot: &current, MetadataCurrent: time.Now, Version: "v1",
		Sinks: func() ([]Sink, []Spool) {
			return []Sink{{"clickhouse", 100, 7, time.Unix(1_700_000_000, 0)}},
				[]Spool{{"clickhouse", 1000, 2000, 300, 2, 50, time.Now().Add(-time.Hour)}}
		},
	})
	m.Inserted("clickhouse", 30*time.Millisecond, nil)
	m.Inserted("clickhouse", time.Second, errors.New("away"))
	return m
}

// Names, units and helps are as Prometheus wants them.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(full(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestValues(t *testing.T) {
	server := httptest.NewServer(full(t).Handler())
	defer server.Close()
	res, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	const stream = `domain="7",exporter="192.0.2.1",protocol="ipfix"`
	for _, line := range []string{
		`flow_collector_datagrams_total{` + stream + `} 1`,
		`flow_collector_bytes_total{` + stream + `} 1400`,
		`flow_collector_records_total{` + stream + `} 30`,
		`flow_collector_sequence_lost_total{` + stream + `,unit="records"} 4`,
		`flow_collector_decode_errors_total{` + stream + `,reason="no_template",unit="sets"} 1`,
		`flow_collector_sink_rows_total{domain="7",exporter="192.0.2.1",outcome="delivered",protocol="ipfix",` +
			`reason="",sink="clickhouse"} 5`,
		`flow_collector_sink_rows_total{domain="7",exporter="192.0.2.1",outcome="lost",protocol="ipfix",` +
			`reason="queue_full",sink="clickhouse"} 5`,
		`flow_collector_sink_rows_total{domain="7",exporter="192.0.2.1",outcome="quarantined",protocol="ipfix",` +
			`reason="rejected",sink="clickhouse"} 5`,
		`flow_collector_sink_rows_total{domain="7",exporter="192.0.2.1",outcome="spooled",protocol="ipfix",reason="",` +
			`sink="clickhouse"} 5`,
		`flow_collector_sink_waiting_rows{sink="clickhouse"} 5`,
		`flow_collector_exporter_clock_skew_seconds{` + stream + `} -1.5`,
		`flow_collector_exporter_sampling_interval_packets{domain="7",exporter="192.0.2.1",protocol="ipfix",` +
			`source="assumed"} 1000`,
		`flow_collector_exporter_last_seen_timestamp_seconds{` + stream + `} 1.7000000005e+09`,
		`flow_collector_kernel_dropped_datagrams_total{address=":2055",reason="receive_buffer",worker="1"} 3`,
		`flow_collector_refused_datagrams_total{source="192.0.2.9"} 2`,
		`flow_collector_refused_datagrams_total{source="other"} 6`,
		`flow_collector_overload_dropped_datagrams_total{source="192.0.2.8"} 4`,
		`flow_collector_overload_dropped_datagrams_total{source="other"} 5`,
		`flow_collector_unattributed_datagrams_total{reason="unknown_version"} 1`,
		`flow_collector_sink_queue_bytes{sink="clickhouse"} 100`,
		`flow_collector_spool_bytes{sink="clickhouse"} 1000`,
		`flow_collector_spool_apart_bytes{sink="clickhouse"} 300`,
		`flow_collector_insert_duration_seconds_count{outcome="stored",sink="clickhouse"} 1`,
		`flow_collector_insert_duration_seconds_count{outcome="failed",sink="clickhouse"} 1`,
		`flow_collector_metadata_records{kind="as"} 0`,
		`go_goroutines `,
		`process_open_fds `,
		`flow_collector_build_info{goversion="go1.`,
	} {
		if !strings.Contains(string(body), "\n"+line) {
			t.Errorf("not there: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("it says:\n%s", body)
	}
}

// However many exporters there are, the series are few.
func TestCardinality(t *testing.T) {
	table := exporter.NewTable(1 << 16)
	for n := range 20_000 {
		source := flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))
		s := table.Get(exporter.Key{Exporter: source, Protocol: flow.NetFlowV9}, source, 1)
		s.Saw(&exporter.Datagram{Payload: make([]byte, 100)})
		s.Records.Add(1)
	}
	table.Publish()
	tables := func() []*exporter.Table { return []*exporter.Table{table} }
	m := New(Options{Ledger: ledger.New(ledger.Options{Tables: tables, MaxStreams: 100}), Tables: tables})
	for name, want := range map[string]int{"datagrams_total": 101, "records_total": 101,
		"exporter_last_seen_timestamp_seconds": 100} {
		if got, err := testutil.GatherAndCount(m.registry, "flow_collector_"+name); err != nil || got != want {
			t.Errorf("%d series of %s, want %d: %v", got, name, want, err)
		}
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "flow_collector_datagrams_total" {
			continue
		}
		total := 0.0
		for _, metric := range f.GetMetric() {
			total += metric.GetCounter().GetValue()
		}
		if total != 20_000 {
			t.Errorf("%v datagrams in all, want 20000", total)
		}
	}
}

// What is collected is what is described: else a registry refuses it.
func TestDescribed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{newStreams(Options{Ledger: ledger.New(ledger.Options{})}),
		newState(Options{})} {
		if err := registry.Register(c); err != nil {
			t.Error(err)
		}
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

// Look-ups by exporter are series of those that have counts of their own, and of the others together.
func TestLookUps(t *testing.T) {
	x := enrich.ExporterLookUps{Exporter: router.Exporter, RouteCounts: enrich.RouteCounts{Hit: 7, NoVRF: 2},
		UnknownVRF: 3}
	all := newRoutes(Options{Routing: func() (Routing, bool) {
		return Routing{Exporters: []enrich.ExporterLookUps{x},
			Others: enrich.ExporterLookUps{RouteCounts: enrich.RouteCounts{Miss: 1}}}, true
	}})
	const lookedUp, unknown = "flow_collector_routing_exporter_lookups_total",
		"flow_collector_routing_exporter_unknown_vrf_total"
	const want = `
# HELP flow_collector_routing_exporter_lookups_total Look-ups of destinations of an exporter's flows.
# TYPE flow_collector_routing_exporter_lookups_total counter
flow_collector_routing_exporter_lookups_total{exporter="192.0.2.1",result="hit"} 7
flow_collector_routing_exporter_lookups_total{exporter="192.0.2.1",result="no_vrf"} 2
flow_collector_routing_exporter_lookups_total{exporter="other",result="miss"} 1
# HELP flow_collector_routing_exporter_unknown_vrf_total Look-ups of VRFs without a table, answered by the global one.
# TYPE flow_collector_routing_exporter_unknown_vrf_total counter
flow_collector_routing_exporter_unknown_vrf_total{exporter="192.0.2.1"} 3
`
	if err := testutil.CollectAndCompare(all, strings.NewReader(want), lookedUp, unknown); err != nil {
		t.Error(err)
	}
}

// A label that is not UTF-8, such as the name of a BMP router, does not end the process.
func TestForeignLabel(t *testing.T) {
	all := newRoutes(Options{Routing: func() (r Routing, on bool) {
		r.BMP.Sessions = []routing.BMPSession{{Name: "\xb81", Router: "core\xff"}}
		return r, true
	}})
	if problems, err := testutil.CollectAndLint(all); err != nil {
		t.Errorf("%v, %v", problems, err)
	}
	if n := testutil.CollectAndCount(all, "flow_collector_bmp_session_up"); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}
