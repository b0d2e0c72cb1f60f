package status

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

var start = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// newStream is one that was first seen at a time.
func newStream(source string, p flow.Protocol, at time.Time) *exporter.Stream {
	addr := flow.AddrFrom(netip.MustParseAddr(source))
	return exporter.NewTable(16).Get(exporter.Key{Exporter: addr, Protocol: p, Domain: 3}, addr, at.UnixNano())
}

func TestHistory_ratesAndLosses(t *testing.T) {
	h := NewHistory(start)
	s := newStream("192.0.2.1", flow.NetFlowV9, start)
	streams := []*exporter.Stream{s}
	now := start
	var t0 Totals
	run := func(d time.Duration, perTick uint64) {
		for range int(d / Every) {
			now = now.Add(Every)
			s.Datagrams.Add(perTick)
			s.Records.Add(10 * perTick)
			t0.Records += 10 * perTick
			t0.Datagrams += perTick
			h.Sample(now, streams, t0, nil)
		}
	}
	s.Lost.Store(7) // before the first sample
	run(5*time.Second, 50)
	rate, recent, window := h.Stream(s, now)
	if rate.Datagrams != 10 || rate.Records != 100 || recent.Lost != 7 || window != 5*time.Second {
		t.Errorf("after five seconds: %+v, lost %d in %s", rate, recent.Lost, window)
	}
	run(2*time.Minute, 100)
	if rate, _, _ = h.Stream(s, now); rate.Datagrams < 19 || rate.Datagrams > 22 {
		t.Errorf("rate of the last minute: %v a second, want 20", rate.Datagrams)
	}
	s.Fail(exporter.BadSet, 3)
	run(9*time.Minute, 100)
	if _, recent, window = h.Stream(s, now); recent.Failed[exporter.BadSet] != 3 || window < 9*time.Minute ||
		window > 11*time.Minute {
		t.Errorf("nine minutes later: %d errors in %s", recent.Failed[exporter.BadSet], window)
	}
	if recent.Lost != 0 {
		t.Errorf("what was lost eleven minutes ago is lost still: %d", recent.Lost)
	}
	run(5*time.Minute, 100)
	if _, recent, _ = h.Stream(s, now); recent.Failed[exporter.BadSet] != 0 {
		t.Errorf("errors are not forgotten: %d", recent.Failed[exporter.BadSet])
	}
	if _, _, flows := h.Totals(now, t0); flows != 200 {
		t.Errorf("%v flows a second, want 200", flows)
	}
}

func TestHistory_forgetsStreamsThatMadeRoom(t *testing.T) {
	h := NewHistory(start)
	now := start
	for i := range 200 {
		now = now.Add(Every)
		h.Sample(now, []*exporter.Stream{newStream("192.0.2.1", flow.IPFIX, now)}, Totals{}, nil)
		if len(h.streams) > 26 {
			t.Fatalf("%d streams are remembered after %d", len(h.streams), i)
		}
	}
}

func TestHistory_lastHour(t *testing.T) {
	h := NewHistory(start)
	now, total := start, Totals{}
	for range 90 { // 7.5 minutes
		now = now.Add(Every)
		total.Records += 50
		h.Sample(now, nil, total, nil)
	}
	points := h.Flows(180)
	for i, p := range points {
		// 90 samples of 720 are an eighth; every point has four.
		if started := i >= 180-23; started == math.IsNaN(p) || started && p != 10 {
			t.Fatalf("point %d is %v", i, p)
		}
	}
	for range 2 * hourSamples {
		now = now.Add(Every)
		h.Sample(now, nil, total, nil)
	}
	if points = h.Flows(180); points[0] != 0 || points[179] != 0 || h.flows.len() != hourSamples {
		t.Errorf("hours later: %v, %d samples", points, h.flows.len())
	}
}

func TestHistory_countersThatFall(t *testing.T) {
	h := NewHistory(start)
	h.Sample(start.Add(Every), nil, Totals{Records: 1000, Datagrams: 100}, nil)
	h.Sample(start.Add(2*Every), nil, Totals{Records: 400, Datagrams: 40}, nil) // a stream was evicted
	if recent, _, flows := h.Totals(start.Add(2*Every), Totals{Records: 400, Datagrams: 40}); flows != 0 ||
		recent.Datagrams != 40 {
		t.Errorf("%v flows a second, %d datagrams", flows, recent.Datagrams)
	}
}

func TestReport(t *testing.T) {
	b := enrich.NewBuilder()
	b.AddDevice(enrich.Device{ID: "r1", Ref: "r1__v1", Loopbacks: []netip.Addr{netip.MustParseAddr("198.51.100.1")}})
	snapshot, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	s := newStream("192.0.2.1", flow.NetFlowV9, start)
	s.Records.Store(10)
	s.Datagrams.Store(5)
	s.SetMissing([]*exporter.MissingTemplate{{TemplateID: 260, Since: start.UnixNano()}})
	s.SetStated(flow.AddrFrom(netip.MustParseAddr("198.51.100.1")))
	s.Fail(exporter.BadSet, 2)
	silent := newStream("192.0.2.0", flow.SFlow5, start.Add(-time.Hour))
	now := start.Add(10 * time.Second)
	h := NewHistory(start.Add(-time.Minute))
	in := &Inputs{
		Now: now, Streams: []*exporter.Stream{s, silent}, Snapshot: snapshot,
		Facts:   verdict.Collector{Started: start, TablesMade: true, MetadataLoaded: true, Devices: 1},
		Unknown: []enrich.UnknownInterfaces{{Exporter: s.Stated(), Indexes: []uint32{512}}},
		Name: func(x *exporter.Stream) flow.Addr {
			if x == s {
				return x.Stated()
			}
			return x.Key.Exporter
		},
	}
	r := h.Report(in)
	if len(r.Exporters) != 2 || r.Exporters[0].Protocol != "sflow5" || !r.Collector.Ready {
		t.Fatalf("got %+v", r)
	}
	x := r.Exporters[1]
	if x.Device != "r1" || x.Address.String() != "198.51.100.1" || x.Source.String() != "192.0.2.1" ||
		x.DatagramsPerSecond != 0.5 ||
		len(x.TemplatesMissing) != 1 || x.Failed["bad_set"] != 2 || x.Worst() != verdict.Problem {
		t.Errorf("got %+v", x)
	}
	codes := map[string]bool{}
	for _, v := range x.Verdicts {
		codes[v.Code] = true
	}
	for _, code := range []string{"no_template", "address", "not_in_meta_interface", "bad_set"} {
		if !codes[code] {
			t.Errorf("no verdict %s in %v", code, x.Verdicts)
		}
	}
	in.Facts.TablesMade = false
	if problems, _ := h.Problems(in); len(problems) != 1 ||
		problems[0] != "the tables are not made yet, and rows wait" {
		t.Errorf("not ready: %q", problems)
	}
}

// What the sockets dropped counts against a stream's gaps for as long as these are shown, and no longer.
func TestHistory_ownDrops(t *testing.T) {
	h := NewHistory(start)
	var dropped Totals
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	for minute := 1; minute <= 30; minute++ {
		if minute == 12 {
			dropped.KernelDrops, dropped.OverShare = 100, 7
		}
		h.Sample(at(minute), nil, dropped, nil)
	}
	for minute, want := range map[int]uint64{30: 0, 25: 0} {
		if got := h.OwnDrops(at(minute+5), 10*time.Minute, dropped); got != want {
			t.Errorf("at minute %d: %d, want %d", minute, got, want)
		}
	}
	h = NewHistory(start)
	h.Sample(at(1), nil, Totals{}, nil)
	if got := h.OwnDrops(at(2), 90*time.Second, dropped); got != 107 {
		t.Errorf("in the last minutes: %d, want 107", got)
	}
}

// What a stream lost is told for as long as its window goes back, by reason.
func TestHistory_rowsLost(t *testing.T) {
	victim, other := flow.StreamKey{Domain: 1}, flow.StreamKey{Domain: 2}
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	h := NewHistory(start)
	lost := func(full, age uint64) RowsLost {
		return RowsLost{victim: {"ClickHouse, spool_full": full, "ClickHouse, spool_age": age}}
	}
	for minute := range 31 {
		all := RowsLost(nil)
		if minute >= 5 {
			all = lost(100, 0)
		}
		if minute >= 22 {
			all = lost(107, 3)
		}
		h.Sample(at(minute), nil, Totals{}, all)
	}
	for name, test := range map[string]struct {
		minute int
		window time.Duration
		stream flow.StreamKey
		want   map[string]uint64
	}{
		"lately": {31, 10 * time.Minute, victim,
			map[string]uint64{"ClickHouse, spool_full": 7, "ClickHouse, spool_age": 3}},
		"long ago": {31, 5 * time.Minute, victim,
			map[string]uint64{"ClickHouse, spool_full": 0, "ClickHouse, spool_age": 0}},
		"another exporter": {31, 10 * time.Minute, other, nil},
	} {
		got := h.RowsLost(at(test.minute), test.window, test.stream, lost(107, 3))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func TestPlainError(t *testing.T) {
	_, refused := net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
	if refused == nil {
		t.Skip("something listens on port 1")
	}
	wrapped := fmt.Errorf("failed to query server hello: sendQuery: %w",
		&url.Error{Op: "Post", URL: "http://default@127.0.0.1:1?x=y", Err: refused})
	if got := plainError(wrapped); got != refused.Error() {
		t.Errorf("said %q, want %q", got, refused)
	}
}

// What grew is told of every number of the totals: of a new one too.
func TestSince(t *testing.T) {
	filled := func(n uint64) (totals Totals) {
		var fill func(v reflect.Value)
		fill = func(v reflect.Value) {
			switch v.Kind() {
			case reflect.Struct:
				for i := range v.NumField() {
					fill(v.Field(i))
				}
			case reflect.Array:
				for i := range v.Len() {
					fill(v.Index(i))
				}
			case reflect.Map:
				v.Set(reflect.ValueOf(map[string]uint64{"a reason": n}))
			default:
				v.SetUint(n)
			}
		}
		fill(reflect.ValueOf(&totals).Elem())
		return totals
	}
	before, now := filled(3), filled(10)
	if diff := cmp.Diff(filled(7), since(now, before)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(filled(10), now); diff != "" {
		t.Errorf("the counters themselves changed:\n%s", diff)
	}
	if diff := cmp.Diff(filled(0), since(before, now)); diff != "" {
		t.Errorf("counters that fell:\n%s", diff)
	}
}
