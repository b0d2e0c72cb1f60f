package block

import (
	"math/rand/v2"
	"testing"
)

// The keys of communities are found as a map finds them, also when the table has grown and after a reset.
func TestNumberKeys(t *testing.T) {
	var k numberKeys
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		k.reset()
		want := map[uint64]uint32{}
		for i := range 100_000 {
			v := uint64(rng.Uint32N(40_000))
			switch i % 4 {
			case 1:
				v |= byName
			case 2:
				v = uint64(rng.Uint32()) // up to all ones
			}
			index, known := k.find(v)
			if at, found := want[v]; known != found || known && index != at {
				t.Fatalf("community %x: %d %t, want %d %t", v, index, known, at, found)
			}
			if !known {
				want[v] = uint32(len(want))
				k.add(v, want[v])
			}
		}
		if k.n != len(want) {
			t.Fatalf("%d communities, want %d", k.n, len(want))
		}
	}
	if _, known := k.find(1<<33 - 1); known {
		t.Error("found what was not added")
	}
	k.reset()
	k.add(0, 7)
	if index, known := k.find(0); !known || index != 7 {
		t.Errorf("community 0 is at %d %t", index, known)
	}
}
