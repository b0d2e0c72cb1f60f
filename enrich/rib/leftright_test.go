package rib

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/route"
)

// trieSets are IPv6 prefixes of several kinds, from tables as they are to those that take the most memory.
func trieSets() map[string][]netip.Prefix {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() (a [16]byte) {
		binary.BigEndian.PutUint64(a[:], rng.Uint64())
		binary.BigEndian.PutUint64(a[8:], rng.Uint64())
		return a
	}
	sets := map[string][]netip.Prefix{}
	add := func(name string, a [16]byte, bits int) {
		sets[name] = append(sets[name], netip.PrefixFrom(netip.AddrFrom16(a), bits).Masked())
	}
	for range 40_000 { // allocations, a part of them split
		a := random()
		a[0], a[1] = 0x20+a[0]%10, a[1]%32
		add("real", a, 32)
		for range rng.IntN(3) {
			a[4], a[5] = byte(rng.Uint32()), byte(rng.Uint32())
			add("real", a, 44+rng.IntN(5))
		}
	}
	for i := range 50_000 {
		a := random()
		add("random hosts", a, 128)
		add("random lengths", a, 9+rng.IntN(100))
		binary.BigEndian.PutUint64(a[:], 0x20010db8_00000000+uint64(i))
		add("consecutive", a, 64)
	}
	for range 5000 {
		a := random()
		add("pairs of hosts", a, 128)
		a[15] ^= 1
		add("pairs of hosts", a, 128)
	}
	return sets
}

// The tries of IPv6 prefixes take what is counted for them, whatever prefixes a peer chooses, and give it back.
func TestTriesAreCounted(t *testing.T) {
	for name, set := range trieSets() {
		t.Run(name, func(t *testing.T) {
			r := newRIB(t, Options{})
			before := heap()
			for i, p := range set {
				n, err := r.prefix(route.PrefixFrom(p))
				if err != nil {
					t.Fatal(err)
				}
				r.v6.ref(n) // a route
				if i >= len(set)-2 {
					r.Publish() // each side gets all but the last
				}
			}
			grown := heap() - before
			counted := r.tree.bytes * live / withGarbage
			t.Logf("%d prefixes: %d bytes counted, %d taken", len(set), counted, grown)
			if grown > counted+counted/2 || counted > 2*grown { // values take more with the race detector
				t.Errorf("%d bytes counted, %d taken", counted, grown)
			}
			for n := uint32(1); n < r.v6.next; n++ {
				for r.v6.refs.all[n]&^listed > 0 {
					r.v6.unref(n)
				}
			}
			for r.v6.used > 0 {
				if !r.removeOldest(r.v6) {
					t.Fatalf("%d prefixes cannot be removed", r.v6.used)
				}
			}
			if r.Publish(); r.tree.bytes == 0 {
				t.Error("nothing is counted while one side still has the prefixes")
			}
			if r.Publish(); r.tree.bytes != 0 {
				t.Errorf("%d bytes are counted without a prefix", r.tree.bytes)
			}
			if more := heap() - before; more > grown/2+4<<20 { // lists keep their capacity
				t.Errorf("%d bytes are taken without a prefix", more)
			}
		})
	}
}

// A peer that announces the prefixes which take the most memory reaches the bound, and can announce them again after it
// has withdrawn them.
func TestTriesKeepTheBound(t *testing.T) {
	r := newRIB(t, Options{MaxMemory: MinMemory})
	before, first := heap(), 0
	for round := range 3 {
		added := 0
		for _, p := range trieSets()["pairs of hosts"] {
			if n, err := r.prefix(route.PrefixFrom(p)); err == nil {
				r.v6.ref(n)
				added++
			}
		}
		r.Publish()
		st := r.Stats()
		if st.Bytes > st.MaxBytes || added == 10_000 || added < 5000 || first > 0 && added < first*9/10 {
			t.Errorf("round %d: %d of 10000 prefixes added, %d before; %d of %d bytes", round, added, first, st.Bytes,
				st.MaxBytes)
		}
		if more := heap() - before; more > st.MaxBytes {
			t.Errorf("%d bytes of Go's heap", more)
		}
		first = added
		for n := uint32(1); n < r.v6.next; n++ {
			for r.v6.refs.all[n]&^listed > 0 {
				r.v6.unref(n)
			}
		}
		for r.removeOldest(r.v6) {
		}
		for range 3 {
			r.Publish()
		}
	}
}
