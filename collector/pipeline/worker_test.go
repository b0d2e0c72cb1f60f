package pipeline

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
)

// datagrams are those of one of our captures. Their payloads are the capture's own memory.
func datagrams(t testing.TB, name string) []exporter.Datagram {
	t.Helper()
	r, err := capture.Open(filepath.Join("..", "..", "bench", "testdata", name+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []exporter.Datagram
	for {
		dg, err := r.Next()
		if err != nil {
			return all
		}
		dg.Payload = append([]byte(nil), dg.Payload...)
		all = append(all, dg)
	}
}

// newWorker is a worker whose blocks go to deliver, with the memory of one block in use over and over.
func newWorker(t testing.TB, deliver func(*clickhouse.Insert), more ...sink.Batcher) *Worker {
	t.Helper()
	return withSinks(t, append([]sink.Batcher{newBlocks(50_000, deliver)}, more...)...)
}

// newBlocks are blocks of so many rows, in the memory of one block.
func newBlocks(rows int, deliver func(*clickhouse.Insert), withoutColumns ...string) *clickhouse.Blocks {
	var memory native.Packed
	return clickhouse.NewBlocks(clickhouse.BlocksOptions{
		Table: "data_flow", Layout: block.Layout{Extensions: []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"},
			IPRefExtensions: []string{"scireg"}, WithoutColumns: withoutColumns},
		MaxRows: rows, MaxAge: time.Second, TokenPrefix: "test",
		Deliver: func(ins *clickhouse.Insert) {
			deliver(ins)
			memory = native.Packed{Data: ins.Data, Fills: ins.Fills}
		},
		Buffer: func() native.Packed { return memory },
	})
}

// withSinks is a worker of those sinks.
func withSinks(t testing.TB, sinks ...sink.Batcher) *Worker {
	t.Helper()
	snapshot, err := enrich.NewBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[enrich.Snapshot]
	current.Store(snapshot)
	settings := new(atomic.Pointer[Settings])
	settings.Store(&Settings{Policy: enrich.Policy{AutoScopes: true}})
	return NewWorker(Options{
		Decoder:  decoder.New(decoder.Options{}),
		Enricher: enrich.New(enrich.Options{IPRefExtensions: []string{"scireg"}}),
		Snapshot: &current, Settings: settings, Sinks: sinks, Share: listen.NewShare(),
	})
}

func TestWorker_deliversWhenFullOrOld(t *testing.T) {
	all := datagrams(t, "softflowd-v9") // 230 records
	var delivered []clickhouse.Insert
	w := withSinks(t, newBlocks(100, func(ins *clickhouse.Insert) { delivered = append(delivered, *ins) }))
	now := time.Unix(1000, 0)
	w.Process(all, now)
	if len(delivered) != 2 || delivered[0].Rows != 100 || delivered[1].Rows != 100 {
		t.Fatalf("%d blocks for 230 rows of 100 each", len(delivered))
	}
	w.Tick(now.Add(999 * time.Millisecond))
	if len(delivered) != 2 {
		t.Fatal("the rest went out before it was old enough")
	}
	w.Tick(now.Add(time.Second))
	if len(delivered) != 3 || delivered[2].Rows != 30 {
		t.Fatalf("the rest of 30 rows did not go out when it was old enough: %d blocks", len(delivered))
	}
	w.Flush()
	if len(delivered) != 3 {
		t.Error("an empty block was delivered")
	}
	tokens := map[string]bool{}
	for _, ins := range delivered {
		tokens[ins.Token] = true
	}
	if len(tokens) != 3 {
		t.Errorf("tokens of 3 blocks: %v", tokens)
	}
	if w.Rows() != 230 {
		t.Errorf("counted %d rows", w.Rows())
	}
}

func TestWorker_namesExporters(t *testing.T) {
	all := datagrams(t, "sfprobe") // the agent and the source are 198.51.100.31
	source := netip.MustParseAddrPort("192.0.2.77:5000")
	for i := range all {
		all[i].Source = source
	}
	at := func(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }
	for _, test := range []struct {
		name     string
		bySource bool
		names    map[flow.Addr]flow.Addr
		want     string
	}{
		{"as the agent says", false, nil, "198.51.100.31"},
		{"by source", true, nil, "192.0.2.77"},
		{"by the map", true, map[flow.Addr]flow.Addr{at("192.0.2.77"): at("203.0.113.1")}, "203.0.113.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorker(t, func(*clickhouse.Insert) {})
			w.Settings.Store(&Settings{BySource: test.bySource, Names: test.names})
			w.Process(all, time.Now())
			if w.row.DeviceID != test.want {
				t.Errorf("the exporter is %s, want %s", w.row.DeviceID, test.want)
			}
		})
	}
}

func TestWorker_countsRowsThatTheTableDrops(t *testing.T) {
	w := newWorker(t, func(*clickhouse.Insert) {})
	w.SetExpiry(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	w.Process(datagrams(t, "softflowd-v5"), time.Now())
	if w.Expired() != 140 {
		t.Errorf("%d of 140 rows are too old", w.Expired())
	}
}

// Flows below the operator's minimum give no row, and are counted by exporter.
func TestWorker_countsSmallFlows(t *testing.T) {
	all := datagrams(t, "softflowd-v5")
	packets := map[uint64]int{}
	w := newWorker(t, func(*clickhouse.Insert) {})
	var show tap.Func = func(r *enrich.Row) { packets[r.Packets]++ }
	w.Tap = new(atomic.Pointer[tap.Func])
	w.Tap.Store(&show)
	w.Process(all, time.Now())
	var least uint64 = 5
	want := 0
	for n, rows := range packets {
		if n < least {
			want += rows
		}
	}
	if want == 0 || want == 140 {
		t.Fatalf("%d of the capture's 140 flows have less than %d packets", want, least)
	}
	for _, settings := range []*Settings{{MinPackets: least}, {MinBits: 1 << 62}} {
		w = newWorker(t, func(*clickhouse.Insert) {})
		w.Settings.Store(settings)
		w.Process(all, time.Now())
		small := w.Small()
		if settings.MinPackets > 0 && small != uint64(want) || settings.MinBits > 0 && small != 140 {
			t.Errorf("%+v: %d small flows, want %d", settings, small, want)
		}
		if w.Rows()+small != 140 || w.Decoder.Exporters().Streams()[0].Small.Load() != small {
			t.Errorf("%+v: %d rows and %d small flows of 140", settings, w.Rows(), small)
		}
	}
}

// Labels are looked up once for each exporter, and cost no memory.
// A flood of communities gives a row for each record. Those that lack their communities are counted for their exporter.
func TestWorker_countsTextsThatAreLeftOut(t *testing.T) {
	kind, _ := hostile.Named("paths")
	flood, source := kind.Flood(1, time.Now()), netip.MustParseAddrPort("192.0.2.1:4000")
	rows := 0
	w := newWorker(t, func(ins *clickhouse.Insert) { rows += ins.Rows })
	w.Decoder = decoder.New(decoder.Options{MaxRecords: 128})
	now := time.Now()
	for range 100 {
		_, payload := flood.Next(source.Addr())
		w.Process([]exporter.Datagram{{Source: source, Received: now.UnixNano(), Payload: payload}}, now)
	}
	w.Flush()
	streams := w.Decoder.Exporters().Streams()
	c := exporter.CountsOf(streams[0])
	if len(streams) != 1 || uint64(rows) != c.Records || c.LeftOut == 0 || c.LeftOut >= c.Records {
		t.Errorf("%d rows of %d records of %d exporters, %d without communities", rows, c.Records, len(streams),
			c.LeftOut)
	}
}

func TestWorker_labelsAllocateNothing(t *testing.T) {
	w := withSinks(t, newBlocks(1<<20, func(*clickhouse.Insert) {}))
	asked := 0
	w.Settings.Store(&Settings{Policy: enrich.Policy{AutoScopes: true, Label: func(flow.Addr) *enrich.Label {
		asked++
		return &enrich.Label{Origin: enrich.Origin{CollectorID: "campus"}, Scopes: []string{"comm:re"}}
	}}, Ports: new(enrich.PortSet)})
	allocatesNothing(t, w, datagrams(t, "softflowd-v9"))
	if asked != 1 {
		t.Errorf("the label of the only exporter was looked up %d times", asked)
	}
}

// From the datagram to the columns of the block nothing is allocated.
func TestWorker_allocatesNothing(t *testing.T) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-ipfix", "sfprobe"} {
		t.Run(name, func(t *testing.T) {
			w := withSinks(t, newBlocks(1<<20, func(*clickhouse.Insert) {}))
			allocatesNothing(t, w, datagrams(t, name))
		})
	}
}

// allocatesNothing has the worker take datagrams again and again, whose sinks must have room for all that comes.
func allocatesNothing(t *testing.T, w *Worker, all []exporter.Datagram) {
	t.Helper()
	const rounds = 20
	now := time.Now()
	for range 3 { // grows what is used again from then on
		for range rounds + 5 {
			w.Process(all, now)
		}
		w.Flush()
	}
	all = withoutTemplates(all, w)
	if n := testing.AllocsPerRun(rounds, func() { w.Process(all, now) }); n > 0 {
		t.Errorf("%v allocations for the %d datagrams of the capture", n, len(all))
	}
}

// withoutTemplates leaves out the datagrams that define templates, which come now and then and do allocate.
func withoutTemplates(all []exporter.Datagram, w *Worker) (data []exporter.Datagram) {
	stream := w.Decoder.Exporters().Streams()[0]
	for i := range all {
		before := stream.Templates.Load()
		w.Process(all[i:i+1], time.Now())
		if stream.Templates.Load() == before {
			data = append(data, all[i])
		}
	}
	w.Flush()
	return data
}

// BenchmarkWorker is the way from the datagram to the encoded block, with all columns and with those of the reference.
func BenchmarkWorker(b *testing.B) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-v9", "sfprobe"} {
		b.Run(name, func(b *testing.B) { benchmarkWorker(b, name) })
	}
	var optional []string
	for _, c := range schema.FlowColumns() {
		if c.Optional && !strings.HasPrefix(c.Name, "sampling_") {
			optional = append(optional, c.Name)
		}
	}
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-v9", "sfprobe"} {
		b.Run(name+"/reference", func(b *testing.B) { benchmarkWorker(b, name, optional...) })
	}
}

func benchmarkWorker(b *testing.B, name string, withoutColumns ...string) {
	all := datagrams(b, name)
	rows := 0
	w := withSinks(b, newBlocks(50_000, func(ins *clickhouse.Insert) { rows += ins.Rows }, withoutColumns...))
	now := time.Now()
	for range 500 {
		w.Process(all, now)
	}
	w.Flush()
	rows = 0
	b.ReportAllocs()
	for b.Loop() {
		w.Process(all, now)
	}
	w.Flush()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}

// BenchmarkShare is what it takes to note what datagrams take.
func BenchmarkShare(b *testing.B) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9"} {
		for _, with := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/noted=%t", name, with), func(b *testing.B) {
				all := datagrams(b, name)
				rows := 0
				w := newWorker(b, func(ins *clickhouse.Insert) { rows += ins.Rows })
				if !with {
					w.Share = nil
				}
				now := time.Now()
				for range 500 {
					w.Process(all, now)
				}
				w.Flush()
				rows = 0
				for b.Loop() {
					w.Process(all, now)
				}
				w.Flush()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
			})
		}
	}
}

// BenchmarkDecode is the first stage alone: records are decoded and dropped.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "nfprobe-v9", "sfprobe"} {
		b.Run(name, func(b *testing.B) {
			all := datagrams(b, name)
			w := newWorker(b, func(*clickhouse.Insert) {})
			d, records := w.Decoder, 0
			batch := countingBatch(&records)
			for i := range all {
				d.Decode(&all[i], batch)
			}
			records = 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range all {
					d.Decode(&all[i], batch)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
		})
	}
}

func countingBatch(n *int) *flow.Batch {
	return flow.NewBatch(func(records []flow.Record) { *n += len(records) })
}

func TestWorker_namesExportersWhoseClockIsWrong(t *testing.T) {
	for _, test := range []struct {
		name          string
		shift         time.Duration // of the time of receipt
		ahead, behind uint64
	}{
		{"as captured", 0, 0, 0},
		{"hours behind", 20 * time.Hour, 0, 0},
		{"days behind", 40 * 24 * time.Hour, 0, 230},
		{"ahead", -time.Hour, 230, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := datagrams(t, "softflowd-v9") // 230 records of one exporter
			for i := range all {
				all[i].Received += int64(test.shift)
			}
			rows := 0
			w := newWorker(t, func(ins *clickhouse.Insert) { rows += ins.Rows })
			w.Process(all, time.Unix(1000, 0))
			w.Flush()
			streams := w.Decoder.Exporters().Streams()
			if len(streams) != 1 || streams[0].Ahead.Load() != test.ahead || streams[0].Behind.Load() != test.behind {
				t.Errorf("%d exporters; ahead %d, behind %d; want %d, %d", len(streams), streams[0].Ahead.Load(),
					streams[0].Behind.Load(), test.ahead, test.behind)
			}
			if rows != 230 {
				t.Errorf("%d rows, want all", rows)
			}
		})
	}
}
