package budget

import (
	"fmt"
	"testing"
)

// fill adds n to h. It evicts half of what a victim has until the budget is kept, and returns who lost.
func fill(b *Budget[string], h *Holder[string], n int) map[string]int {
	lost := map[string]int{}
	b.Add(h, n)
	for b.Over() {
		v := b.Victim()
		less := max(1, v.Used()/2)
		lost[v.Of] += less
		b.Add(v, -less)
	}
	return lost
}

func TestVictim_isTheLargestHolder(t *testing.T) {
	b := New[string](Quarter(6400))
	large, small := &Holder[string]{Of: "large", Standing: 9}, &Holder[string]{Of: "small", Standing: 1}
	b.Add(large, 1500)
	b.Add(small, 90)
	for i := range 1000 {
		for who := range fill(b, &Holder[string]{Of: "other"}, 50) {
			if who == "small" {
				t.Fatalf("the small holder lost something to number %d", i)
			}
		}
	}
	if large.Used() > 200 {
		t.Errorf("the large holder still has %d", large.Used())
	}
}

func TestVictim_theUntrustedNeverDisplaceTheTrusted(t *testing.T) {
	b := New[string](Quarter(6400))
	var routers []*Holder[string]
	for i := range 40 {
		h := &Holder[string]{Of: fmt.Sprint("router ", i)}
		b.Add(h, 120) // 4800 in total: all that trusted holders may have
		b.Trust(h)
		routers = append(routers, h)
	}
	for range 10_000 {
		fill(b, &Holder[string]{Of: "flood"}, 1000)
	}
	for _, h := range routers {
		if h.Used() != 120 {
			t.Errorf("%s has %d", h.Of, h.Used())
		}
	}
	if b.Used() > 6400 {
		t.Errorf("%d are used", b.Used())
	}
}

// Trusted holders beyond their part are evicted by standing: new ones before old ones.
func TestVictim_newTrustedHoldersDisplaceEachOther(t *testing.T) {
	b := New[string](Quarter(6400))
	var routers []*Holder[string]
	for i := range 100 {
		h := &Holder[string]{Of: "router", Standing: 100, Seen: int64(i)}
		b.Add(h, 10)
		b.Trust(h)
		routers = append(routers, h)
	}
	for i := range 10_000 {
		h := &Holder[string]{Of: "flood", Seen: int64(1000 + i)}
		fill(b, h, 10)
		b.Trust(h)
		fill(b, h, 0)
	}
	for _, h := range routers {
		if h.Used() != 10 {
			t.Fatalf("a router has %d of 10", h.Used())
		}
	}
}

func TestFits(t *testing.T) {
	b := New[int](Limits{Total: 100, Share: 30})
	h := &Holder[int]{}
	b.Add(h, 25)
	if !b.Fits(h, 5) || b.Fits(h, 6) {
		t.Errorf("5 fit: %t, 6 fit: %t", b.Fits(h, 5), b.Fits(h, 6))
	}
	b.Clear(h)
	if b.Used() != 0 || h.Used() != 0 || b.Victim() != nil {
		t.Errorf("%d used of %d, victim %v", h.Used(), b.Used(), b.Victim())
	}
}

// Whatever is added, removed and trusted: the sums are those of the holders, and each holder is in the level of its
// magnitude.
func FuzzBudget(f *testing.F) {
	f.Add([]byte{1, 200, 2, 100, 255, 1, 1, 3, 7, 254, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		b := New[int](Quarter(1000))
		holders := make([]*Holder[int], 8)
		for i := range holders {
			holders[i] = &Holder[int]{Of: i}
		}
		for ; len(in) >= 2; in = in[2:] {
			h := holders[in[1]%8]
			switch in[0] {
			case 255:
				b.Trust(h)
			case 254:
				b.Clear(h)
			default:
				if b.Fits(h, int(in[0])) {
					b.Add(h, int(in[0]))
				}
			}
			for b.Over() {
				v := b.Victim()
				b.Add(v, -(v.Used()+1)/2)
			}
			sum := 0
			for _, h := range holders {
				sum += h.used
				if h.used < 0 || h.used > 250 {
					t.Fatalf("holder %d has %d", h.Of, h.used)
				}
				if h.used > 0 && (b.level(h.used) != h.level || b.levels[h.tier][h.level][h.place] != h) {
					t.Fatalf("holder %d is not in its place", h.Of)
				}
			}
			if sum != b.Used() || sum > 1000 {
				t.Fatalf("%d used, %d are said to be", sum, b.Used())
			}
		}
	})
}
