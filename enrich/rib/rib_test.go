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
