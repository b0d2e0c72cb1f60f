package rib

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// The best of several routes is that with the flow's next hop, then by preference, length of the path, origin and MED.
func TestChoice(t *testing.T) {
	type path struct {
		pref, length, med uint32
		origin            route.Origin
		next              byte
	}
	tests := []struct {
		name  string
		paths []path
		next  byte
		want  byte
	}{
		{"preference", []path{{pref: 100, next: 1}, {pref: 200, length: 9, next: 2}}, 0, 2},
		{"length", []path{{pref: 100, length: 3, next: 1}, {pref: 100, length: 2, next: 2}}, 0, 2},
		{"origin", []path{{pref: 100, origin: route.Incomplete, next: 1}, {pref: 100, next: 2}}, 0, 2},
		{"MED", []path{{pref: 100, med: 7, next: 1}, {pref: 100, med: 5, next: 2}}, 0, 2},
		{"next hop of the flow", []path{{pref: 100, next: 1}, {pref: 200, next: 2}}, 1, 1},
		{"unknown next hop", []path{{pref: 100, next: 1}, {pref: 200, next: 2}}, 9, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRIB(t, Options{})
			x := r.Router("router", true)
			s := x.NewSource(0)
			batch := &route.Batch{Decode: func(data []byte, a *route.Attributes) error {
				p := test.paths[data[0]]
				a.HasLocalPref, a.LocalPref, a.HasMED, a.MED, a.Origin = true, p.pref, true, p.med, p.origin
				a.NextHop = flow.AddrFrom4([4]byte{192, 0, 2, p.next})
				a.Path = []route.Segment{{Kind: route.Sequence, AS: append([]uint32{1}, make([]uint32, p.length)...)}}
				return nil
			}}
			for i := range test.paths {
				data := []byte{byte(i)}
				batch.Changes = append(batch.Changes, route.Change{PathID: uint32(i + 1),
					Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8")),
					Bundle: batch.AddBundle(r.Hasher().Sum(data), data)})
			}
			if _, _, err := s.Apply(batch); err != nil {
				t.Fatal(err)
			}
			reader := r.NewReader()
			reader.Enter()
			defer reader.Leave()
			to, next := flow.AddrFrom4([4]byte{10, 1, 2, 3}), flow.AddrFrom4([4]byte{192, 0, 2, test.next})
			got, found := reader.Lookup(x.Table(route.Unicast, 0), &to, &next)
			if want := flow.AddrFrom4([4]byte{192, 0, 2, test.want}); !found || got.NextHop() != want {
				t.Errorf("got %s, %t, want %s", got.NextHop(), found, want)
			}
		})
	}
}

// MEDs are compared only between routes of one neighbouring AS (RFC 4271 section 9.1.2.2 c, RFC 5065 section 5.3). A
// route that loses by MED does not decide between others, whatever the order in which they come.
func TestChoice_MED(t *testing.T) {
	type path struct {
		next     byte
		med      uint32
		internal bool
		segments []route.Segment
	}
	sequence := func(as ...uint32) []route.Segment { return []route.Segment{{Kind: route.Sequence, AS: as}} }
	behind := func(member uint32, outside []route.Segment) []route.Segment {
		return append([]route.Segment{{Kind: route.ConfedSequence, AS: []uint32{member}}}, outside...)
	}
	of := func(as ...uint32) []route.Segment { return []route.Segment{{Kind: route.Set, AS: as}} }
	tests := []struct {
		name  string
		paths []path
		want  byte
	}{
		{"same AS", []path{{1, 7, false, sequence(5, 9)}, {2, 5, true, sequence(5, 8)}}, 2},
		{"other AS", []path{{1, 7, false, sequence(5, 9)}, {2, 5, true, sequence(6, 9)}}, 1},
		{"one AS behind two members", []path{{1, 7, false, behind(65001, sequence(5))},
			{2, 5, true, behind(65002, sequence(5))}}, 2},
		{"two AS behind one member", []path{{1, 7, false, behind(65001, sequence(5))},
			{2, 5, true, behind(65001, sequence(6))}}, 1},
		{"within the confederation", []path{{1, 7, false, behind(65001, nil)}, {2, 5, true, behind(65002, nil)}}, 2},
		{"own AS: empty and within", []path{{1, 7, false, nil}, {2, 5, true, behind(65002, nil)}}, 2},
		{"aggregates", []path{{1, 7, false, of(5, 6)}, {2, 5, true, of(7, 8)}}, 2},
		{"aggregate and a sequence", []path{{1, 7, false, of(5)}, {2, 5, true, sequence(5)}}, 1},
		// 2 beats 1 by MED, 3 beats 2 as it is external, 1 would beat 3 by its identifier if it were not removed.
		{"no order of two", []path{{1, 7, false, sequence(5, 9)}, {2, 5, true, sequence(5, 8)},
			{3, 9, false, sequence(6, 9)}}, 3},
		{"equal lowest", []path{{1, 5, true, sequence(5, 9)}, {2, 5, false, sequence(5, 8)},
			{3, 9, false, sequence(5, 7)}, {4, 1, true, sequence(6, 7)}}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for shift := range test.paths {
				r := newRIB(t, Options{})
				x := r.Router("router", true)
				s := x.NewSource(0)
				batch := &route.Batch{Decode: func(data []byte, a *route.Attributes) error {
					p := test.paths[data[0]]
					a.HasMED, a.MED, a.Internal, a.Path = true, p.med, p.internal, p.segments
					a.NextHop = flow.AddrFrom4([4]byte{192, 0, 2, p.next})
					return nil
				}}
				for i := range test.paths {
					i = (i + shift) % len(test.paths)
					data := []byte{byte(i)}
					batch.Changes = append(batch.Changes, route.Change{PathID: uint32(test.paths[i].next),
						Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8")),
						Bundle: batch.AddBundle(r.Hasher().Sum(data), data)})
				}
				if _, _, err := s.Apply(batch); err != nil {
					t.Fatal(err)
				}
				reader := r.NewReader()
				reader.Enter()
				to := flow.AddrFrom4([4]byte{10, 1, 2, 3})
				got, found := reader.Lookup(x.Table(route.Unicast, 0), &to, nil)
				if want := flow.AddrFrom4([4]byte{192, 0, 2, test.want}); !found || got.NextHop() != want {
					t.Errorf("first %d: got %s, %t, want %s", shift, got.NextHop(), found, want)
				}
				reader.Leave()
			}
		})
	}
}

// Paths with sets and confederations come back as they were; the row's path has no confederation.
func TestPaths(t *testing.T) {
	tests := []struct {
		name          string
		path          []route.Segment
		text, row     string
		first, origin uint32
		length        int
		neighbor      uint32
	}{
		{"empty", nil, "", "[] []", 0, 0, 0, 0},
		{"sequence", []route.Segment{{Kind: 2, AS: []uint32{1, 1, 2}}}, "1_1_2", "[1 2] [2 1]", 1, 2, 3, 1},
		{"set", []route.Segment{{Kind: 2, AS: []uint32{1}}, {Kind: 1, AS: []uint32{3, 2}}}, "1_{3,2}",
			"[1 3 2] [1 1 1]",
			1, 2, 2, 1},
		{"confederation", []route.Segment{{Kind: 3, AS: []uint32{65001, 65002}}, {Kind: 2, AS: []uint32{5, 6}}},
			"(65001_65002)_5_6", "[5 6] [1 1]", 65001, 6, 2, 5},
		{"confederation only", []route.Segment{{Kind: 3, AS: []uint32{65001, 65002}}}, "(65001_65002)", "[] []",
			65001, 0, 0, 65001},
		{"set of a confederation", []route.Segment{{Kind: 4, AS: []uint32{65001}}, {Kind: 3, AS: []uint32{65002}},
			{Kind: 1, AS: []uint32{7, 8}}}, "[65001]_(65002)_{7,8}", "[7 8] [1 1]", 65001, 8, 1, 7},
		{"two sequences", []route.Segment{{Kind: 2, AS: []uint32{5}}, {Kind: 2, AS: []uint32{5}}}, "5_5", "[5] [2]", 5,
			5, 2, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRIB(t, Options{})
			n, err := r.newRecord(route.Hash{1}, &route.Attributes{Path: test.path})
			if err != nil {
				t.Fatal(err)
			}
			x := Route{record: r.record(n), rib: r}
			as, runs := x.Path()
			if got := string(route.AppendPath(nil, x.Segments(nil), '_')); got != test.text {
				t.Errorf("path %s, want %s", got, test.text)
			}
			if got := fmt.Sprint(as, runs); got != test.row {
				t.Errorf("row %s, want %s", got, test.row)
			}
			if x.FirstAS() != test.first || x.OriginAS() != test.origin || int(x.record.length) != test.length {
				t.Errorf("first %d, origin %d, length %d", x.FirstAS(), x.OriginAS(), x.record.length)
			}
			if x.NeighborAS() != test.neighbor {
				t.Errorf("neighbour %d, want %d", x.NeighborAS(), test.neighbor)
			}
		})
	}
}

func TestClasses(t *testing.T) {
	last := uint8(0)
	for units := uint32(1); units <= maxRecord/unit; units++ {
		class, size := classOf(units)
		if size < units || classSize(class) != size || class < last || int(class) >= arenaClasses {
			t.Fatalf("%d units: class %d of %d units, classSize %d", units, class, size, classSize(class))
		}
		last = class
	}
}

// Look-ups allocate nothing.
func TestLookupAllocations(t *testing.T) {
	r := newRIB(t, Options{})
	x := r.Router("router", true)
	s := x.NewSource(0)
	batch := newBatch()
	add(r, batch, netip.MustParsePrefix("10.0.0.0/8"), 0, 8)
	add(r, batch, netip.MustParsePrefix("2001:db8::/32"), 1, 9)
	add(r, batch, netip.MustParsePrefix("2001:db8::/32"), 2, 10)
	if _, _, err := s.Apply(batch); err != nil {
		t.Fatal(err)
	}
	r.Publish()
	reader := r.NewReader()
	table := x.Table(route.Unicast, 0)
	a4, a6 := flow.AddrFrom4([4]byte{10, 1, 1, 1}), flow.AddrFrom(netip.MustParseAddr("2001:db8::1"))
	next := flow.AddrFrom4([4]byte{10, 0, 0, 10})
	addrs := []*flow.Addr{&a4, &a6}
	var ahead [MaxAddresses]Route
	found := 0
	if n := testing.AllocsPerRun(1000, func() {
		reader.Enter()
		reader.LookupAll(table, addrs, &ahead)
		for _, a := range addrs {
			if got, ok := reader.Lookup(table, a, &next); ok {
				as, _ := got.Path()
				found += len(as)
			}
		}
		reader.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}

// Sources of different ranks are not mixed: one rank answers, that of the least number whose sources are there and have
// announced all.
func TestRanks(t *testing.T) {
	r := newRIB(t, Options{})
	x := r.Router("router", true)
	first, second := x.NewSource(0), x.NewSource(5)
	reader := r.NewReader()
	p, q := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")
	say := func(s *Source, n uint64, prefixes ...netip.Prefix) {
		t.Helper()
		b := newBatch()
		for _, p := range prefixes {
			add(r, b, p, 0, n)
		}
		if _, _, err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, rank uint8, n, bits int) {
		t.Helper()
		r.Work(1 << 20)
		r.Publish()
		reader.Enter()
		defer reader.Leave()
		a := flow.AddrFrom(netip.MustParseAddr("10.1.2.3"))
		got, found := reader.Lookup(x.Table(route.Unicast, 0), &a, nil)
		if n < 0 {
			if found {
				t.Errorf("%s: a route", when)
			}
			return
		}
		if !found {
			t.Fatalf("%s: no route", when)
		}
		if med, _ := got.MED(); int(med) != n || int(got.Bits()) != bits || got.Rank() != rank {
			t.Errorf("%s: route %d of /%d, rank %d; want %d of /%d, rank %d", when, med, got.Bits(), got.Rank(), n,
				bits, rank)
		}
	}
	second.Begin()
	say(second, 2, p, q)
	check("the second is on its way", 5, 2, 16)
	second.CompleteAll()
	first.Begin()
	say(first, 1, p)
	check("the second is complete", 5, 2, 16)
	first.Complete(route.Family{})
	check("the first is complete", 0, 1, 8)
	first.End()
	check("the first has no session", 5, 2, 16)
	second.End()
	check("none has a session", 0, 1, 8)
	first.Drop()
	check("the first has no routes", 5, 2, 16)
	second.Drop()
	check("none has routes", 0, -1, 0)
	if v4, _ := x.Table(route.Unicast, 0).Routes(); v4 != 0 || r.Stats().Routes != 0 {
		t.Errorf("%d routes, %+v", v4, r.Stats())
	}
}
