package rib

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

func newRIB(t testing.TB, o Options) *RIB {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// label makes a bundle's data: a number, which Decode makes attributes of.
func label(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func decodeLabel(data []byte, a *route.Attributes) error {
	if len(data) != 8 {
		return errors.New("not a label")
	}
	n := binary.LittleEndian.Uint64(data)
	a.HasLocalPref, a.LocalPref = true, 100
	a.HasMED, a.MED = true, uint32(n)
	a.NextHop = flow.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	a.Path = append(a.Path, route.Segment{Kind: route.Sequence,
		AS: []uint32{uint32(n>>32) + 1, 65551, 65551, uint32(n) + 1}})
	for i := range uint32(n % 5) {
		a.Communities = append(a.Communities, uint32(n)+i)
	}
	for i := range n % 3 {
		a.Extended = append(a.Extended, n+i)
		a.Large = append(a.Large, route.Large{Global: uint32(n), Data1: uint32(i)})
	}
	return nil
}

func newBatch() *route.Batch { return &route.Batch{Decode: decodeLabel} }

// add puts an announcement into a batch.
func add(r *RIB, b *route.Batch, p netip.Prefix, id uint32, n uint64) {
	data := label(n)
	x := b.AddBundle(r.Hasher().Sum(data), data)
	b.Changes = append(b.Changes, route.Change{Prefix: route.PrefixFrom(p), PathID: id, Bundle: x})
}

func remove(b *route.Batch, p netip.Prefix, id uint32) {
	b.Changes = append(b.Changes, route.Change{Prefix: route.PrefixFrom(p), PathID: id, Bundle: route.Withdrawn})
}

// checkRoute compares what a route says with what decodeLabel made of its label.
func checkRoute(x *Route) error {
	n, _ := x.MED()
	as, runs := x.Path()
	if len(as) != 3 || as[1] != 65551 || as[2] != n+1 || x.OriginAS() != n+1 || x.FirstAS() != as[0] {
		return fmt.Errorf("label %d has path %v", n, as)
	}
	if runs[0] != 1 || runs[1] != 2 || runs[2] != 1 {
		return fmt.Errorf("label %d has runs %v", n, runs)
	}
	standard, extended, large := x.Communities()
	full := uint64(as[0]-1)<<32 | uint64(n)
	if len(standard) != int(full%5) || len(extended) != int(full%3) || len(large) != int(full%3) {
		return fmt.Errorf("label %d has %d, %d, %d communities", n, len(standard), len(extended), len(large))
	}
	for i, c := range standard {
		if c != n+uint32(i) {
			return fmt.Errorf("label %d has community %d", n, c)
		}
	}
	if x.NextHop() != flow.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) {
		return fmt.Errorf("label %d has next hop %s", n, x.NextHop())
	}
	return nil
}

// randomPrefix is a prefix of one of few places, so that prefixes lie within each other.
func randomPrefix(rng *rand.Rand) netip.Prefix {
	if rng.IntN(4) == 0 {
		b := [16]byte{0x20, 1, byte(rng.IntN(3)), byte(rng.IntN(4)), byte(rng.IntN(4)), 15: byte(rng.IntN(4))}
		bits := []int{0, 16, 24, 31, 32, 33, 40, 48, 64, 127, 128}[rng.IntN(11)]
		return netip.PrefixFrom(netip.AddrFrom16(b), bits).Masked()
	}
	b := [4]byte{byte(10 + rng.IntN(2)), byte(rng.IntN(4)), byte(rng.IntN(8)), byte(rng.IntN(256))}
	bits := []int{0, 7, 8, 15, 16, 20, 22, 23, 24, 24, 24, 25, 28, 30, 31, 32}[rng.IntN(16)]
	return netip.PrefixFrom(netip.AddrFrom4(b), bits).Masked()
}

func randomAddr(rng *rand.Rand) netip.Addr {
	p := randomPrefix(rng)
	if p.Addr().Is4() {
		b := p.Addr().As4()
		b[3] |= byte(rng.IntN(4))
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	b[15] |= byte(rng.IntN(2))
	return netip.AddrFrom16(b)
}

// model is what a source has said, kept in the plainest way.
type model struct {
	source *Source
	tries  map[uint32]*bart.Table[uint64] // by path identifier
}

// best is the answer of a router by its models: of the longest prefix the routes' labels.
func best(models []*model, a netip.Addr) (bits int, labels map[uint32]bool) {
	bits, labels = -1, map[uint32]bool{}
	for _, m := range models {
		for _, trie := range m.tries {
			p, n, found := trie.LookupPrefixLPM(netip.PrefixFrom(a, a.BitLen()))
			if !found || p.Bits() < bits {
				continue
			}
			if p.Bits() > bits {
				bits = p.Bits()
				clear(labels)
			}
			labels[uint32(n)] = true
		}
	}
	return bits, labels
}

// Random announcements, withdrawals, sessions and ends of sessions of several routers give the same answers as a trie
// for each source.
func TestAgainstTries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := newRIB(t, Options{})
	reader := r.NewReader()
	var routers []*Router
	models := map[*Router][]*model{}
	for i := range 4 {
		x := r.Router(fmt.Sprint("router", i), true)
		routers = append(routers, x)
		for range 1 + i%3 {
			s := x.NewSource(0)
			s.Begin()
			models[x] = append(models[x], &model{s, map[uint32]*bart.Table[uint64]{}})
		}
	}
	compared := 0
	for round := range 400 {
		x := routers[rng.IntN(len(routers))]
		m := models[x][rng.IntN(len(models[x]))]
		batch := newBatch()
		switch rng.IntN(20) {
		case 0: // a new session says half of what it had
			m.source.End()
			m.source.Begin()
			for id, trie := range m.tries {
				kept := new(bart.Table[uint64])
				for p, n := range trie.All() {
					if rng.IntN(2) == 0 {
						add(r, batch, p, id, n)
						kept.Insert(p, n)
					}
				}
				m.tries[id] = kept
			}
			if _, _, err := m.source.Apply(batch); err != nil {
				t.Fatal(err)
			}
			m.source.CompleteAll()
		case 1:
			m.source.Drop()
			clear(m.tries)
		default:
			for range rng.IntN(300) {
				p, id := randomPrefix(rng), uint32(0)
				if rng.IntN(4) == 0 {
					id = uint32(rng.IntN(3))
				}
				if m.tries[id] == nil {
					m.tries[id] = new(bart.Table[uint64])
				}
				if rng.IntN(3) == 0 {
					remove(batch, p, id)
					m.tries[id].Delete(p)
				} else {
					n := rng.Uint64N(200)
					add(r, batch, p, id, n)
					m.tries[id].Insert(p, n)
				}
			}
			if refused, bad, err := m.source.Apply(batch); refused+bad != 0 || err != nil {
				t.Fatalf("refused %d, undecodable %d, %v", refused, bad, err)
			}
		}
		for r.Sweeping() {
			r.Work(1000)
		}
		if round%50 == 49 { // remove all prefixes without routes
			r.freeUnused()
		}
		r.Publish()
		reader.Enter()
		for range 300 {
			a := randomAddr(rng)
			addr := flow.AddrFrom(a)
			for _, x := range routers {
				bits, labels := best(models[x], a)
				compared++
				var found bool
				var got Route
				if table := x.Table(route.Unicast, 0); table != nil {
					got, found = reader.Lookup(table, &addr, nil)
				}
				if !found {
					if bits >= 0 {
						t.Fatalf("round %d: %s has no route to %s, want a /%d", round, x.Name, a, bits)
					}
					continue
				}
				if err := checkRoute(&got); err != nil {
					t.Fatal(err)
				}
				med, _ := got.MED()
				if int(got.Bits()) != bits || !labels[med] || !got.Prefix().Netip().Contains(a) {
					t.Fatalf("round %d: %s to %s: got %s label %d, want a /%d of %v",
						round, x.Name, a, got.Prefix(), med, bits, labels)
				}
				all := map[uint32]bool{}
				reader.All(got.Table(), &addr, func(x Route) {
					n, _ := x.MED()
					all[n] = true
				})
				if len(all) != len(labels) {
					t.Fatalf("round %d: %s to %s: labels %v, want %v", round, x.Name, a, all, labels)
				}
			}
		}
		reader.Leave()
	}
	checkCounts(t, r, models)
	t.Logf("%d look-ups compared; %+v", compared, r.Stats())
	for _, all := range models {
		for _, m := range all {
			m.source.Remove()
		}
	}
	checkEmpty(t, r)
}

// checkCounts compares the numbers of routes.
func checkCounts(t *testing.T, r *RIB, models map[*Router][]*model) {
	t.Helper()
	total := int64(0)
	for _, all := range models {
		for _, m := range all {
			var v4, v6 int64
			for _, trie := range m.tries {
				v4, v6 = v4+int64(trie.Size4()), v6+int64(trie.Size6())
			}
			got4, got6 := m.source.Routes(route.Family{}), m.source.Routes(route.Family{V6: true})
			if got4 != v4 || got6 != v6 {
				t.Errorf("a source of %s has %d and %d routes, want %d and %d", m.source.Router.Name, got4, got6, v4,
					v6)
			}
			total += v4 + v6
		}
	}
	if got := r.Stats().Routes; got != total {
		t.Errorf("%d routes, want %d", got, total)
	}
}

// checkEmpty checks that nothing remains when all sources are removed: neither in use nor in limbo.
func checkEmpty(t *testing.T, r *RIB) {
	t.Helper()
	for r.Sweeping() {
		r.Work(1 << 20)
	}
	for range 100 { // each removes some thousand prefixes
		r.freeUnused()
	}
	s := r.Stats()
	short := map[uint32]bool{} // prefixes that are always kept
	for n := uint32(1); n < r.v4.next; n++ {
		if p := r.v4.at(n); p.Bits > 0 && p.Bits <= alwaysKept && r.v4.find(p) == n {
			short[n] = true
		}
	}
	if s.Routes != 0 || s.Prefixes4 != len(short) || s.Prefixes6 != 0 || s.Records != 0 || s.Sets != 0 ||
		s.Limbo != 0 ||
		s.LimboBytes != 0 || s.RecordBytes != 0 || s.PageBytes != 0 || s.IdlePrefixes != 0 || len(r.Routers()) != 0 {
		t.Errorf("something is left: %+v, %d routers", s, len(r.Routers()))
	}
	for i, e := range r.direct.all {
		if e != 0 && !short[e] {
			t.Fatalf("the word of /24 %d is %#x", i, e)
		}
	}
	if r.bundles.count != 0 || r.v4.index.count != len(short) || r.v6.index.count != 0 {
		t.Errorf("indexes have %d, %d, %d entries", r.bundles.count, r.v4.index.count, r.v6.index.count)
	}
}

// Readers beside a writer see whole routes of the right router to the right address at any time. With -race every read
// of a record is also checked for having been freed or retired too early.
func TestReadersBesideWriter(t *testing.T) {
	r := newRIB(t, Options{})
	var routers [3]*Router
	var sources [3]*Source
	for i := range routers {
		routers[i] = r.Router(fmt.Sprint("router", i), true)
		sources[i] = routers[i].NewSource(0)
		sources[i].Begin()
		batch := newBatch() // routes that stay
		for _, p := range []string{"0.0.0.0/0", "::/0", "10.0.0.0/8", "2001::/16"} {
			add(r, batch, netip.MustParsePrefix(p), 0, uint64(i)<<32|uint64(i))
		}
		if _, _, err := sources[i].Apply(batch); err != nil {
			t.Fatal(err)
		}
	}
	r.Publish()
	r.Publish()
	var stop atomic.Bool
	var looked atomic.Int64
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 9))
			reader := r.NewReader()
			defer reader.Close()
			for !stop.Load() {
				reader.Enter()
				for range 64 {
					a := randomAddr(rng)
					addr := flow.AddrFrom(a)
					k := rng.IntN(len(routers))
					got, found := reader.Lookup(routers[k].Table(route.Unicast, 0), &addr, nil)
					if !found {
						t.Errorf("%s has no route to %s", routers[k].Name, a)
						stop.Store(true)
						break
					}
					err := checkRoute(&got)
					if as, _ := got.Path(); err == nil && as[0] != uint32(k)+1 {
						err = fmt.Errorf("a route of router %d", as[0]-1)
					}
					if err == nil && !got.Prefix().Netip().Contains(a) {
						err = fmt.Errorf("prefix %s", got.Prefix())
					}
					if err != nil {
						t.Errorf("%s to %s: %v", routers[k].Name, a, err)
						stop.Store(true)
						break
					}
				}
				reader.Leave()
				looked.Add(64)
			}
		})
	}
	rng := rand.New(rand.NewPCG(5, 6))
	batch := newBatch()
	// The writer goes on until readers had their share, however the two are scheduled.
	for round := 0; !stop.Load() && (round < 300 || looked.Load() < 100_000); round++ {
		k := rng.IntN(len(routers))
		batch.Reset()
		for range 500 {
			p := randomPrefix(rng)
			if p.Bits() <= 8 || p.Bits() == 16 && p.Addr().Is6() {
				continue
			}
			if rng.IntN(2) == 0 {
				remove(batch, p, 0)
			} else {
				add(r, batch, p, uint32(rng.IntN(8)/7), uint64(k)<<32|uint64(rng.IntN(3000)))
			}
		}
		if _, _, err := sources[k].Apply(batch); err != nil {
			t.Fatal(err)
		}
		if round%7 == 0 {
			r.freeUnused()
		}
		r.Publish()
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d look-ups", looked.Load())
	for _, s := range sources {
		s.Remove()
	}
	checkEmpty(t, r)
}

// A route that does not fit is refused and counted; the others work, and there is room again when some go.
func TestBounds(t *testing.T) {
	r := newRIB(t, Options{MaxRoutes: 1000})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	prefix := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	}
	batch := newBatch()
	for i := range 1500 {
		add(r, batch, prefix(i), 0, 1)
	}
	refused, _, err := s.Apply(batch)
	if err != nil || refused != 500 || r.Stats().Routes != 1000 || r.Stats().Refused != 500 {
		t.Errorf("refused %d, %v, %+v", refused, err, r.Stats())
	}
	batch.Reset()
	for i := range 100 {
		remove(batch, prefix(i), 0)
	}
	for i := range 100 {
		add(r, batch, prefix(1400+i), 0, 1)
	}
	if refused, _, err = s.Apply(batch); err != nil || refused != 0 || r.Stats().Routes != 1000 {
		t.Errorf("with room: refused %d, %v, %+v", refused, err, r.Stats())
	}
	s.Remove()
	checkEmpty(t, r)
	if _, _, err := s.Apply(batch); !errors.Is(err, errRemoved) {
		t.Errorf("a removed source takes a batch: %v", err)
	}
}

// Attributes that differ for each route use up the memory; nothing breaks, and the bound holds exactly.
func TestMemoryBound(t *testing.T) {
	if checked {
		t.Skip("takes long with checks")
	}
	r := newRIB(t, Options{MaxMemory: MinMemory})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	batch := newBatch()
	refused := 0
	for i := range uint64(800_000) {
		a := netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 0})
		add(r, batch, netip.PrefixFrom(a, 24), 0, i<<20)
		if len(batch.Changes) == 1000 {
			n, bad, err := s.Apply(batch)
			if err != nil || bad != 0 {
				t.Fatal(bad, err)
			}
			refused += n
			batch.Reset()
			r.Publish()
		}
	}
	stats := r.Stats()
	if refused == 0 || stats.Bytes > stats.MaxBytes || stats.Routes+int64(refused) != 800_000 {
		t.Errorf("refused %d, %+v", refused, stats)
	}
	t.Logf("refused %d, %+v", refused, stats)
	for i, limit := range []int64{2 * MinMemory, MinMemory} { // raised there is room, lowered there is none
		r.SetLimits(limit, 0)
		batch.Reset()
		for n := range uint64(40_000) {
			a := netip.AddrFrom4([4]byte{byte(100 + 50*i), byte(n >> 8), byte(n), 0})
			add(r, batch, netip.PrefixFrom(a, 24), 0, (1_000_000*uint64(i+1)+n)<<20)
		}
		n, _, err := s.Apply(batch)
		if now := r.Stats(); err != nil || n > 0 != (i == 1) || now.Routes < stats.Routes || now.MaxBytes != limit {
			t.Errorf("limit %d: refused %d, %v, %+v", limit, n, err, now)
		}
	}
	s.Remove()
	checkEmpty(t, r)
}

// Bundles that cannot be decoded withdraw the routes that they are for.
func TestUndecodable(t *testing.T) {
	r := newRIB(t, Options{})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	batch := newBatch()
	p := netip.MustParsePrefix("192.0.2.0/24")
	add(r, batch, p, 0, 5)
	n := batch.AddBundle(route.Hash{1, 2}, []byte("bad"))
	batch.Changes = append(batch.Changes, route.Change{Prefix: route.PrefixFrom(p), Bundle: n})
	if refused, bad, err := s.Apply(batch); refused != 0 || bad != 1 || err != nil {
		t.Errorf("refused %d, undecodable %d, %v", refused, bad, err)
	}
	if routes := r.Stats().Routes; routes != 0 {
		t.Errorf("%d routes", routes)
	}
}

// Tables of VRFs go with their last route: a peer can make up any number of route distinguishers.
func TestVRFsGo(t *testing.T) {
	r := newRIB(t, Options{})
	x := r.Router("router", true)
	s := x.NewSource(0)
	s.Begin()
	for _, remove := range []bool{false, true} {
		batch := newBatch()
		data := label(1)
		bundle := batch.AddBundle(r.Hasher().Sum(data), data)
		if remove {
			bundle = route.Withdrawn
		}
		for rd := range route.RD(1000) {
			batch.Changes = append(batch.Changes, route.Change{Class: route.VPN, RD: rd + 1, Bundle: bundle,
				Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8"))})
		}
		if _, _, err := s.Apply(batch); err != nil {
			t.Fatal(err)
		}
		r.Publish()
		tables, want := 0, 1000
		x.Tables(func(*Table) bool { tables++; return true })
		if remove {
			want = 0
		}
		if tables != want {
			t.Errorf("%d tables, want %d", tables, want)
		}
	}
}

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
