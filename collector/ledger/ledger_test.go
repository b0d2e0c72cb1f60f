package ledger

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
)

func key(n int) flow.StreamKey {
	return flow.StreamKey{Exporter: flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})),
		Protocol: flow.IPFIX}
}

// saw counts a datagram of stream n.
func saw(t *exporter.Table, n, bytes int) {
	t.Get(key(n), key(n).Exporter, int64(n)).Saw(&exporter.Datagram{Payload: make([]byte, bytes), Received: int64(n)})
}

func tables(all ...*exporter.Table) func() []*exporter.Table {
	return func() []*exporter.Table { return all }
}

// datagrams are those of each stream with an account; those of the others are under the zero key.
func datagrams(l *Ledger) map[flow.StreamKey]uint64 {
	all := map[flow.StreamKey]uint64{}
	for _, s := range l.Series() {
		all[s.Stream] = s.Counts[datagramsColumn]
	}
	return all
}

func total(counts map[flow.StreamKey]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Streams come and are evicted for others; no datagram is lost or counted twice, whenever it is looked.
func TestNothingIsLostOfStreamsThatMakeRoom(t *testing.T) {
	for name, every := range map[string]int{"looking often": 1, "looking now and then": 37,
		"looking at the end": 5000} {
		t.Run(name, func(t *testing.T) {
			table := exporter.NewTable(16)
			l := New(Options{Tables: tables(table), MaxStreams: 5})
			before := map[flow.StreamKey]uint64{}
			for n := range 5000 {
				saw(table, n*7%300, 100)
				table.Publish()
				if n%every != 0 {
					continue
				}
				now := datagrams(l)
				if got := total(now); got != uint64(n+1) {
					t.Fatalf("%d datagrams of %d", got, n+1)
				}
				for k, n := range before {
					if now[k] < n {
						t.Fatalf("the counter of %v fell from %d to %d", k, n, now[k])
					}
				}
				before = now
			}
			if got := total(datagrams(l)); got != 5000 {
				t.Errorf("%d datagrams of 5000", got)
			}
		})
	}
}

func TestOneStreamOfTwoWorkers(t *testing.T) {
	a, b := exporter.NewTable(16), exporter.NewTable(16)
	l := New(Options{Tables: tables(a, b)})
	saw(a, 1, 100)
	saw(b, 1, 100)
	if got := datagrams(l); got[key(1)] != 2 {
		t.Errorf("got %v", got)
	}
}

// A number that came late takes a loss back; what Prometheus has seen does not fall.
func TestACounterThatFallsStandsStill(t *testing.T) {
	table := exporter.NewTable(16)
	l := New(Options{Tables: tables(table)})
	s := table.Get(key(1), key(1).Exporter, 1)
	lost := func() uint64 {
		for _, series := range l.Series() {
			for i, c := range l.Columns() {
				if c.What == "sequence_lost" && series.Stream == key(1) {
					return series.Counts[i]
				}
			}
		}
		return 0
	}
	for _, step := range []struct {
		by   uint64
		want uint64
	}{{10, 10}, {^uint64(0), 10}, {^uint64(0), 10}, {1, 10}, {3, 12}} {
		s.Lost.Add(step.by)
		if got := lost(); got != step.want {
			t.Errorf("lost %d, shown as %d, want %d", s.Lost.Load(), got, step.want)
		}
	}
}

// The streams with an account are those heard first; one that falls silent is evicted for the one that sends most.
func TestSilentStreamsMakeRoom(t *testing.T) {
	table := exporter.NewTable(64)
	l := New(Options{Tables: tables(table), MaxStreams: 2})
	now := time.Unix(1_700_000_000, 0)
	saw(table, 1, 100)
	saw(table, 2, 100)
	l.Minute(now)
	now = now.Add(20 * time.Minute) // for so long they were active
	saw(table, 1, 100)
	saw(table, 2, 100)
	l.Minute(now)
	saw(table, 3, 100)
	saw(table, 4, 900)
	l.Minute(now.Add(time.Minute))
	has := func(n int) bool {
		_, found := datagrams(l)[key(n)]
		return found
	}
	if !has(1) || !has(2) || has(3) || has(4) {
		t.Fatalf("with an account: %v", datagrams(l))
	}
	saw(table, 2, 100)
	saw(table, 3, 100)
	saw(table, 4, 900)
	l.Minute(now.Add(11 * time.Minute))
	if has(1) || !has(2) || has(3) || !has(4) {
		t.Errorf("with an account: %v", datagrams(l))
	}
	saw(table, 4, 900)
	if got := datagrams(l)[key(4)]; got != 1 {
		t.Errorf("%d datagrams since it has an account, want 1", got)
	}
}

// A flood of streams that come once hides those that come later for a minute, and those that give data not even so
// long.
func TestAFloodDoesNotHideStreamsThatComeLater(t *testing.T) {
	for name, data := range map[string]bool{"headers": false, "with data": true} {
		t.Run(name, func(t *testing.T) {
			table := exporter.NewTable(4096)
			l := New(Options{Tables: tables(table), MaxStreams: 50})
			now := time.Unix(1_700_000_000, 0)
			next := 1000
			minute := func() {
				for range 300 {
					next++
					saw(table, next, 1000)
					if data {
						table.Get(key(next), key(next).Exporter, 0).Records.Add(1)
					}
				}
				table.Publish()
				l.Minute(now)
				now = now.Add(time.Minute)
			}
			minute()
			minute()
			for range 3 {
				saw(table, 1, 100_000)
				table.Get(key(1), key(1).Exporter, 0).Records.Add(20)
				minute()
			}
			if _, found := datagrams(l)[key(1)]; !found {
				t.Error("a router that came within the flood has no account")
			}
		})
	}
}

func TestMinute(t *testing.T) {
	table, book := exporter.NewTable(16), &tally.Book{}
	table.Unattributed(exporter.UnknownVersion)
	drops, refused := uint64(3), map[netip.Addr]uint64{netip.MustParseAddr("192.0.2.9"): 2, {}: 7}
	late, overShare := uint64(0), map[netip.Addr]uint64{netip.MustParseAddr("192.0.2.8"): 4, {}: 8}
	l := New(Options{
		Tables: tables(table), Refused: func() map[netip.Addr]uint64 { return refused },
		Sockets: func() []Socket {
			return []Socket{{listen.SocketStats{Address: ":2055", KernelDrops: drops, Late: late}, 1}}
		},
		OverShare: func() map[netip.Addr]uint64 { return overShare },
		Sinks:     []Sink{{"clickhouse", book, []string{"queue_full"}}},
	})
	saw(table, 1, 100)
	table.Get(key(1), key(1).Exporter, 1).Fail(exporter.NoTemplate, 4)
	book.Take([]tally.Share{{Stream: key(1), Rows: 9}})
	book.Lose([]tally.Share{{Stream: key(1), Rows: 9}}, false, "queue_full")
	type line struct {
		exporter, stage, sink, what, reason, unit string
		missing                                   bool
	}
	lines := func() map[line]uint64 {
		all := map[line]uint64{}
		for _, m := range l.Minute(time.Now()) {
			all[line{m.Exporter, m.Stage, m.Sink, m.What, m.Reason, m.UnitOf(m.Stream.Protocol), m.Missing}] += m.Count
		}
		return all
	}
	same := func(got, want map[line]uint64) {
		t.Helper()
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%+v is %d, want %d", k, got[k], n)
			}
			delete(got, k)
		}
		for k, n := range got {
			t.Errorf("%+v is %d, want nothing", k, n)
		}
	}
	same(lines(), map[line]uint64{
		{"10.0.0.1", "received", "", "datagrams", "", "datagrams", false}:       1,
		{"10.0.0.1", "received", "", "bytes", "", "bytes", false}:               100,
		{"10.0.0.1", "decode", "", "", "no_template", "sets", true}:             4,
		{"10.0.0.1", "sink", "clickhouse", "taken", "", "rows", false}:          9,
		{"10.0.0.1", "sink", "clickhouse", "lost", "queue_full", "rows", true}:  9,
		{"", "kernel", "", "", "receive_buffer", "datagrams", true}:             3,
		{"192.0.2.9", "filter", "", "", "allowed_exporters", "datagrams", true}: 2,
		{"other", "filter", "", "", "allowed_exporters", "datagrams", true}:     7,
		{"192.0.2.8", "overload", "", "", "share", "datagrams", true}:           4,
		{"other", "overload", "", "", "share", "datagrams", true}:               8,
		{"", "decode", "", "", "unknown_version", "datagrams", true}:            1,
	})
	same(lines(), nil)
	drops, late = 4, 2
	table.Get(key(1), key(1).Exporter, 1).Lost.Add(5)
	same(lines(), map[line]uint64{
		{"", "kernel", "", "", "receive_buffer", "datagrams", true}:        1,
		{"", "kernel", "", "", "stopping", "datagrams", true}:              2,
		{"10.0.0.1", "upstream", "", "sequence_lost", "", "records", true}: 5,
	})
}

// The columns that the ledger looks at are where it looks for them.
func TestPlacesOfColumns(t *testing.T) {
	columns := New(Options{}).Columns()
	for place, want := range map[int]string{
		datagramsColumn: "datagrams", bytesColumn: "bytes", recordsColumn: "records", samplesColumn: "counter_samples",
	} {
		if got := columns[place].What; got != want {
			t.Errorf("column %d is %s, want %s", place, got, want)
		}
	}
}
