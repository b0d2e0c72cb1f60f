package clickhouse

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/spool"
)

// While there may be no room, rows of large sources have blocks of their own, of whatever day they are, and the others'
// are as ever.
func TestBlocksApart(t *testing.T) {
	router, flood := flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), flow.AddrFrom(netip.MustParseAddr("203.0.113.1"))
	var got []*Insert
	pressed := false
	b := NewBlocks(BlocksOptions{
		Database: "d", Table: "data_flow", Layout: block.Layout{CollectorID: "c"}, MaxRows: 1000, MaxAge: time.Second,
		TokenPrefix: "t", Deliver: func(ins *Insert) { got = append(got, ins) },
		Buffer: func() native.Packed { return native.Packed{} },
		Apart: sink.Apart{Large: func(a flow.Addr) bool { return a == flood },
			Pressed: func() bool { return pressed }},
	})
	now := time.Unix(1_700_000_000, 0)
	add := func(source flow.Addr, rows int, began time.Duration) {
		for range rows {
			start := now.Add(-began)
			r := &flow.Record{Source: source, Exporter: source, Received: now.UnixNano()}
			b.Append(&enrich.Row{Flow: r, StartMs: start.UnixMilli(), EndMs: start.UnixMilli()},
				flow.StreamKey{Exporter: source}, now)
		}
	}
	const day = 24 * time.Hour
	type insert struct {
		rows, router int
		apart        bool
	}
	for _, step := range []struct {
		name    string
		pressed bool
		odd     bool // some rows of the flood are of another day
		want    []insert
	}{
		{"room", false, false, []insert{{30, 20, false}}},
		{"room, other days", false, true, []insert{{30, 20, false}, {5, 0, false}}},
		{"no room", true, false, []insert{{20, 20, false}, {10, 0, true}}},
		{"no room, other days", true, true, []insert{{20, 20, false}, {5, 0, true}, {10, 0, true}}},
		{"room again", false, true, []insert{{30, 20, false}, {5, 0, false}}},
	} {
		t.Run(step.name, func(t *testing.T) {
			got, pressed = nil, step.pressed
			b.FlushIfOld(now)
			add(router, 10, 0)
			add(flood, 10, 0)
			add(router, 10, 0)
			if step.odd {
				add(flood, 5, 5*day)
			}
			now = now.Add(time.Minute)
			b.FlushIfOld(now)
			if len(got) != len(step.want) {
				t.Fatalf("%d inserts, want %d", len(got), len(step.want))
			}
			for i, want := range step.want {
				ofRouter := 0
				for _, s := range got[i].Tally.Shares() {
					if s.Stream.Exporter == router {
						ofRouter += int(s.Rows)
					}
				}
				if have := (insert{got[i].Rows, ofRouter, got[i].Apart}); have != want {
					t.Errorf("insert %d is %+v, want %+v", i, have, want)
				}
			}
		})
	}
	// The end of the pressure does not keep what was apart.
	got, pressed = nil, true
	b.FlushIfOld(now)
	add(flood, 3, 0)
	pressed = false
	b.FlushIfOld(now)
	if len(got) != 1 || got[0].Rows != 3 || !got[0].Apart || b.apart.block != nil {
		t.Errorf("at the end of the pressure %d inserts", len(got))
	}
}

// A full queue drops inserts of large sources as long as they take more than the others.
func TestQueueDropsApartFirst(t *testing.T) {
	of := func(token string, apart bool) *Insert {
		return &Insert{Token: token, Rows: 1, Data: make([]byte, 10), Apart: apart}
	}
	for name, test := range map[string]struct {
		push []*Insert
		lost []string
	}{
		"a flood behind the others": {
			[]*Insert{of("a", false), of("F", true), of("G", true), of("H", true), of("I", true)}, []string{"F"}},
		"others behind a flood": {
			[]*Insert{of("F", true), of("G", true), of("H", true), of("I", true), of("a", false)}, []string{"F"}},
		"more of the others": {
			[]*Insert{of("F", true), of("a", false), of("b", false), of("c", false), of("d", false)}, []string{"a"}},
		"as many of either, and one more": {
			[]*Insert{of("F", true), of("a", false), of("G", true), of("b", false), of("c", false), of("H", true)},
			[]string{"a", "F"}},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(40, join{})
			var lost []string
			for _, ins := range test.push {
				gone, reason := q.push(ins)
				for _, x := range gone {
					lost = append(lost, x.Token)
					if reason != sink.QueueFull {
						t.Errorf("lost for %s", reason)
					}
				}
			}
			if len(lost) != len(test.lost) {
				t.Fatalf("lost %q, want %q", lost, test.lost)
			}
			for i := range lost {
				if lost[i] != test.lost[i] {
					t.Errorf("lost %q, want %q", lost, test.lost)
				}
			}
			if _, bytes := q.size(); bytes != q.used.Load() || bytes != 40 {
				t.Errorf("%d bytes, %d are told", bytes, q.used.Load())
			}
		})
	}
}

// An insert that is set apart is so on disk, behind it, and in its parts.
func TestApartStaysApart(t *testing.T) {
	sp := openSpool(t, t.TempDir())
	s := spooling{w: &Writer{options: WriterOptions{Spool: sp}.withDefaults()}, spool: sp}
	s.w.log.log = s.w.options.Log
	for _, apart := range []bool{true, false} {
		ins := insertOf("x")
		ins.Apart = apart
		if !s.put(ins) {
			t.Fatal("not on disk")
		}
		ins = s.take()
		if ins == nil || ins.Apart != apart || ins.entry.Apart != apart {
			t.Fatalf("apart %t came back as %+v", apart, ins)
		}
		ins.at = "a server" // which it must remember
		s.remember(ins)
		if ins.entry.Apart != apart {
			t.Errorf("apart %t, replaced by %t", apart, ins.entry.Apart)
		}
		sp.Done(ins.entry)
	}
}

func TestPressed(t *testing.T) {
	disk := openSpool(t, t.TempDir())
	small, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = small.Close() })
	if err := small.Put(spool.Entry{Data: make([]byte, 200), Rows: 1}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		used    float64
		disk    *spool.Spool
		pressed bool
	}{
		{0.2, nil, false}, {0.3, nil, true}, {0.4, disk, false}, {0.6, disk, true}, {0, small, true},
	} {
		if got := sink.Pressed(test.used, test.disk); got != test.pressed {
			t.Errorf("queue %v, spool %t: %t", test.used, test.disk != nil, got)
		}
	}
}
