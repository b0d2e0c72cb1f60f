package netflow

import (
	"math/rand/v2"
	"testing"
)

// A filter never hides a scope that has a rate, in whatever order they come, and hides most of the others.
func TestScopeFilter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var rates scopedRates
	key := func() scopeKey {
		return scopeKey{byInterface + scopeKind(random.IntN(2)), uint64(random.Uint32N(1 << 20))}
	}
	check := func(rates *scopedRates) {
		t.Helper()
		for k := range rates.single {
			if !rates.mayHave(k) {
				t.Fatalf("%v is hidden, of %d scopes", k, rates.count())
			}
		}
		for k := range rates.joins {
			if !rates.mayHave(k) {
				t.Fatalf("%v is hidden, which has samplers", k)
			}
		}
		for k := range rates.shared {
			if !rates.mayHave(k) {
				t.Fatalf("%v is hidden, which is a part of a scope", k)
			}
		}
		for s := range rates.several {
			if !rates.mayHave(s.folded()) || !rates.mayHave(s[0]) {
				t.Fatalf("%v is hidden", s)
			}
		}
	}
	for n := range 4000 {
		switch n % 3 {
		case 0:
			rates.set(&scope{key()}, uint32(n+1), 1)
		case 1:
			rates.join(key(), selectors{n: 1, ids: [maxSelectors]uint64{uint64(n)}}, 1)
		default:
			rates.set(&scope{{bySampler, uint64(n)}, key()}, uint32(n+1), 1)
		}
		if n%100 == 0 {
			check(&rates)
		}
	}
	check(&rates)
	if rates.filter == nil {
		t.Fatal("there is no filter")
	}
	copied := rates.clone()
	for n := range 100 {
		rates.set(&scope{{byTemplate, uint64(n)}}, 9, 1)
	}
	check(&copied)
	if *copied.filter == *rates.filter {
		t.Error("the filter of a copy is the same")
	}
	few := 0
	for range 1000 {
		if rates.mayHave(scopeKey{byCard, random.Uint64()}) {
			few++
		}
	}
	if few > 200 {
		t.Errorf("%d of 1000 scopes without a rate are not hidden", few)
	}
}
