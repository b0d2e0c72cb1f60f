package listen

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// load is a source, or many that are forged, in a simulation of a worker.
type load struct {
	perSecond float64
	cost      time.Duration // what a datagram takes
	records   int           // that it gives
	size      int
	sources   int // 0: one
	from      time.Duration

	first     netip.Addr
	next      float64
	n         int
	sent      int
	processed int
	dropped   int // by the share
	overflow  int // for lack of room
}

func (l *load) source() netip.Addr {
	four := l.first.As4()
	n := l.n % max(1, l.sources)
	four[1] += byte(n >> 16)
	four[2] += byte(n >> 8)
	four[3] += byte(n)
	return netip.AddrFrom4(four)
}

// simulate has a worker with a receive buffer of the default size, 64 MiB, read what the loads send, for a while.
func simulate(s *Share, lasting time.Duration, loads ...*load) {
	const readCost = 2 * time.Microsecond
	const room, overhead = 128 << 20, 800 // as the kernel counts
	type queued struct {
		of     *load
		source netip.Addr
	}
	var queue []queued
	filled := 0
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Duration(0)
	arrive := func() {
		for _, l := range loads {
			if l.next == 0 {
				l.next = float64(l.from) + 1
			}
			for l.next <= float64(now) {
				l.next += float64(time.Second) / l.perSecond * (0.5 + random.Float64())
				source := l.source()
				l.n++
				l.sent++
				if filled > room {
					l.overflow++
					continue
				}
				filled += l.size + overhead
				queue = append(queue, queued{l, source})
			}
		}
	}
	for now < lasting {
		arrive()
		n := min(len(queue), s.batch())
		if n == 0 {
			now += time.Millisecond
			continue
		}
		batch := queue[:n:n]
		queue = queue[n:]
		for _, q := range batch {
			filled -= q.of.size + overhead
		}
		s.begin(now, float64(filled)/room)
		now += time.Duration(n) * readCost
		var admitted []queued
		for _, q := range batch {
			if s.admits(q.source) {
				admitted = append(admitted, q)
			} else {
				q.of.dropped++
			}
		}
		for _, q := range admitted {
			q.of.processed++
			s.Charge(q.source, q.of.cost, q.of.size, q.of.records)
			now += q.of.cost
		}
	}
}

// lasting is for how long a worker is simulated.
const lasting = 10 * time.Second

// A router that behaves loses nothing beside a flood, whatever the flood is made of, as long as its share is enough for
// it.
func TestShareProtectsARouter(t *testing.T) {
	tests := []struct {
		name  string
		flood load
	}{
		{"one source, nothing in its datagrams", load{perSecond: 3000, cost: 760 * time.Microsecond, size: 64000}},
		{"one source, expensive sets", load{perSecond: 2000, cost: 2500 * time.Microsecond, size: 64000}},
		{"one source, records", load{perSecond: 30000, cost: 100 * time.Microsecond, size: 1400, records: 40}},
		{"one source, cheap datagrams", load{perSecond: 150000, cost: 10 * time.Microsecond, size: 20}},
		{"a million forged sources without records",
			load{perSecond: 110000, cost: 11 * time.Microsecond, size: 20, sources: 1 << 20}},
		{"a million forged sources with a record each",
			load{perSecond: 100000, cost: 20 * time.Microsecond, size: 100, records: 1, sources: 1 << 20}},
		{"a million forged sources, expensive datagrams",
			load{perSecond: 2500, cost: 2500 * time.Microsecond, size: 64000, sources: 1 << 20}},
		{"500 forged sources with records", load{perSecond: 100000, cost: 20 * time.Microsecond, size: 100, records: 1,
			sources: 500}},
		{"50 sources, nothing in their datagrams",
			load{perSecond: 3000, cost: 760 * time.Microsecond, size: 64000, sources: 50}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			good := &load{perSecond: 10, cost: 20 * time.Microsecond, size: 1000, records: 20,
				first: netip.MustParseAddr("127.0.0.1")}
			busy := &load{perSecond: 2000, cost: 20 * time.Microsecond, size: 1000, records: 20,
				first: netip.MustParseAddr("127.0.0.2")}
			flood := test.flood
			flood.first, flood.from = netip.MustParseAddr("10.0.0.0"), 3*time.Second
			loads := []*load{good, &flood}
			single := flood.sources <= 1
			if single {
				loads = append(loads, busy) // 4 % of the core, beside one flood
			}
			s := NewShare()
			simulate(s, lasting, loads...)
			t.Logf("router %d of %d; busy router %d of %d; flood %d of %d, %d dropped by the share", good.processed,
				good.sent, busy.processed, busy.sent,
				flood.processed, flood.sent, flood.dropped)
			for _, l := range loads {
				if l != &flood && l.dropped+l.overflow > 0 {
					t.Errorf("of a router's %d datagrams %d were dropped by the share and %d for lack of room", l.sent,
						l.dropped, l.overflow)
				}
			}
			if flood.dropped == 0 || flood.processed == 0 {
				t.Errorf("the flood: %d datagrams taken, %d dropped: want some of each", flood.processed, flood.dropped)
			}
			if busyFor := time.Duration(flood.processed) * flood.cost; busyFor < 2*time.Second {
				t.Errorf("the flood had %s of 7 s, though hardly anybody else wants them", busyFor)
			}
			var counted uint64
			for _, n := range s.Dropped() {
				counted += n
			}
			if counted != uint64(flood.dropped) {
				t.Errorf("%d counted as dropped, want %d", counted, flood.dropped)
			}
			if named := s.Dropped()[flood.first]; single && named+namedAfter < uint64(flood.dropped) {
				t.Errorf("%d of %d are counted of their source", named, flood.dropped)
			}
			if n := len(s.Dropped()); n > maxCounted+1 {
				t.Errorf("%d sources are counted apart", n)
			}
		})
	}
}

// A router that starts while one source that gives no records floods gets in.
func TestShareLetsANewRouterIn(t *testing.T) {
	flood := &load{perSecond: 3000, cost: 760 * time.Microsecond, size: 64000, first: netip.MustParseAddr("10.0.0.0")}
	good := &load{perSecond: 10, cost: 20 * time.Microsecond, size: 1000, records: 20,
		first: netip.MustParseAddr("127.0.0.1"), from: 5 * time.Second}
	s := NewShare()
	simulate(s, lasting, flood, good)
	if good.dropped+good.overflow > 0 || good.processed == 0 {
		t.Errorf("of %d datagrams %d were dropped by the share and %d for lack of room", good.sent, good.dropped,
			good.overflow)
	}
}

// Two sources that each want more than there is get the same, and one that wants less than half gets all of it.
func TestShareIsEven(t *testing.T) {
	a := &load{perSecond: 20000, cost: 100 * time.Microsecond, size: 1000, records: 20,
		first: netip.MustParseAddr("127.0.0.1")}
	b := &load{perSecond: 40000, cost: 100 * time.Microsecond, size: 1000, records: 20,
		first: netip.MustParseAddr("127.0.0.2")}
	c := &load{perSecond: 2000, cost: 100 * time.Microsecond, size: 1000, records: 20,
		first: netip.MustParseAddr("127.0.0.3")}
	simulate(NewShare(), lasting, a, b, c)
	if ratio := float64(a.processed) / float64(b.processed); ratio < 0.7 || ratio > 1.4 {
		t.Errorf("%d and %d datagrams were taken of two sources that want all", a.processed, b.processed)
	}
	if c.dropped+c.overflow > c.sent/100 {
		t.Errorf("a source that wants a fifth lost %d of %d", c.dropped+c.overflow, c.sent)
	}
}

// Nothing is dropped while the worker keeps up, and right after it does again.
func TestShareDropsOnlyWhenBehind(t *testing.T) {
	s := NewShare()
	from := netip.MustParseAddr("10.0.0.1")
	s.begin(0, 0.99)
	if !s.admits(from) {
		t.Error("dropped though nobody took anything yet")
	}
	for range 1000 {
		s.Charge(from, time.Millisecond, 1<<16, 0)
	}
	s.begin(halfLife/2, 0.9)
	if s.admits(from) {
		t.Error("not dropped while behind")
	}
	s.begin(halfLife/2+1, behindFill-0.01)
	if !s.admits(from) {
		t.Error("dropped though the worker is not behind any more")
	}
}

// Where rows wait and memory runs out it is the same.
func TestShareDropsUnderPressure(t *testing.T) {
	s := NewShare()
	from := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		s.Charge(from, time.Millisecond, 1<<16, 0)
	}
	for _, test := range []struct {
		full  float64
		admit bool
	}{{0.5, true}, {pressFull, true}, {0.8, false}, {1.5, false}, {0.1, true}} {
		s.Press(test.full)
		s.begin(1, 0)
		if s.admits(from) != test.admit {
			t.Errorf("memory %v full: admitted %t", test.full, !test.admit)
		}
	}
}

// However long rows wait and memory is full, a router keeps all beside a flood: it is not compared with what is left of
// the flood after some seconds.
func TestSharePressesOnlyLargeSources(t *testing.T) {
	s := NewShare()
	router, flood := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.1")
	dropped := 0
	for ms := range 60_000 {
		if ms%100 == 0 {
			s.begin(time.Duration(ms)*time.Millisecond, 0)
		}
		if ms == 20_000 {
			s.Press(1)
		}
		if s.admits(flood) {
			s.Charge(flood, 300*time.Microsecond, 60_000, 128)
		} else {
			dropped++
		}
		if ms%50 != 0 {
			continue
		}
		if !s.admits(router) {
			t.Fatalf("a datagram of the router is dropped after %d ms", ms)
		}
		s.Charge(router, 100*time.Microsecond, 1400, 10)
	}
	if dropped < 30_000 {
		t.Errorf("%d datagrams of the flood are dropped", dropped)
	}
}

// A source that has given records for long keeps its place, whoever comes.
func TestShareKeepsKnownSources(t *testing.T) {
	s := NewShare()
	good := netip.MustParseAddr("192.0.2.1")
	for second := range 3 {
		s.begin(time.Duration(second)*time.Second, 0)
		s.Charge(good, time.Microsecond, 100, 1)
	}
	for n := range 1 << 20 {
		s.Charge(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), time.Microsecond, 100, 1)
	}
	if s.find(good); s.latest.known == nil {
		t.Error("forgotten for sources that came once")
	}
	s.begin((silentFor+10)*time.Second, 0)
	if s.find(good); s.latest.known != nil {
		t.Error("kept though it has been silent for long")
	}
}

// Sources that came once keep nobody out: one that goes on giving records is judged by itself soon.
func TestShareKnowsANewSourceAmongForgedOnes(t *testing.T) {
	s := NewShare()
	good := netip.MustParseAddr("192.0.2.1")
	n := 0
	for second := range 4 {
		s.begin(time.Duration(second)*time.Second, 0)
		for range 1 << 16 {
			n++
			s.Charge(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), time.Microsecond, 100, 1)
		}
		if second > 1 {
			s.Charge(good, time.Microsecond, 100, 1)
		}
	}
	s.begin(4*time.Second, 0)
	s.Charge(good, time.Microsecond, 100, 1)
	if s.find(good); !s.latest.known.judged() {
		t.Error("still judged with the forged ones")
	}
}

func TestLevel(t *testing.T) {
	infinite := float32(math.Inf(1))
	tests := []struct {
		name   string
		costs  []float32
		target float64
		want   float32
	}{
		{"all fits", []float32{1, 2, 3}, 6, infinite},
		{"none", nil, 0, infinite},
		{"the largest is cut", []float32{1, 2, 7}, 8, 5},
		{"even", []float32{4, 4, 4, 4}, 8, 2},
		{"two are cut", []float32{1, 5, 9}, 7, 3},
		{"nothing is left", []float32{1, 5}, 0, 0},
	}
	for _, test := range tests {
		sum := float64(0)
		for _, c := range test.costs {
			sum += float64(c)
		}
		if got := level(test.costs, sum, test.target); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestShareIsBounded(t *testing.T) {
	if size := unsafe.Sizeof(Share{}); size > 200<<10 {
		t.Errorf("%d bytes", size)
	}
	s := NewShare()
	n := 0
	allocations := testing.AllocsPerRun(2000, func() {
		n++
		a := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		s.begin(time.Duration(n)*time.Millisecond*10, 0.9)
		s.admits(a)
		s.Charge(a, time.Millisecond, 1000, n%2)
	})
	if allocations > 0.5 { // the first sources that are counted apart
		t.Errorf("%v allocations a datagram", allocations)
	}
}

func BenchmarkShare(b *testing.B) {
	for name, sources := range map[string]int{"one source": 1, "100 sources": 100, "4000 sources": 4000} {
		b.Run(name, func(b *testing.B) {
			s := NewShare()
			for n := 0; b.Loop(); n++ {
				if n%BatchDatagrams == 0 {
					s.begin(time.Duration(n)*10*time.Microsecond, 0)
				}
				a := netip.AddrFrom4([4]byte{10, 0, byte(n % sources >> 8), byte(n % sources)})
				s.admits(a)
				s.Charge(a, 10*time.Microsecond, 1000, 20)
			}
		})
	}
}
