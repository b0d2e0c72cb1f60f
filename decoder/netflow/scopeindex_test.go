package netflow

import (
	"math/rand/v2"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// An index never hides a domain that has something of a scope, in whatever order domains learn, forget and leave, and
// hides most of the others.
func TestScopeIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all announcers
	domains := map[sessionKey]*samplingRates{}
	key := func() scopeKey {
		return scopeKey{byInterface + scopeKind(random.IntN(2)), uint64(random.Uint32N(1 << 20))}
	}
	check := func() {
		t.Helper()
		keys, used := 0, 0
		for place := range all.places {
			one := &all.places[place]
			if one.rates == nil {
				continue
			}
			keys, used = keys+one.rates.keys(), used+1
			equal(t, "keys of a domain", one.keys, one.rates.keys())
			one.rates.each(func(of *scope) {
				for _, key := range of[:of.len()] {
					equal(t, "a domain of "+key.String(), all.index.domains(key).has(place), true)
				}
				if of.len() > 1 {
					equal(t, "a domain of "+of.String(), all.index.domains(of.folded()).has(place), true)
				}
			})
		}
		equal(t, "keys", all.index.keys, keys)
		equal(t, "domains", all.used, used)
		if n := len(all.index.slots); slotsPerKey*keys > n || all.index.oversized() {
			t.Fatalf("%d slots for %d keys", n, keys)
		}
	}
	for n := range 20_000 {
		of := sessionKey{flow.IPFIX, random.Uint32N(maxAnnouncers + 5)}
		rates := domains[of]
		if rates == nil {
			rates = &samplingRates{}
			domains[of] = rates
		}
		one := scope{key()}
		switch {
		case n%2000 == 1999:
			all.silence(of)
			delete(domains, of)
			continue
		case n%3000 == 2999:
			rates.forget(uint32(n - 1000))
			for place := range all.places {
				if all.places[place].rates == rates {
					all.forgot(place)
				}
			}
			check()
			continue
		case n%3 == 0:
			rates.set(&one, uint32(n+1), uint32(n))
		case n%3 == 1:
			rates.join(one[0], selectors{n: 1, ids: [maxSelectors]uint64{uint64(n)}}, uint32(n))
		default:
			one = scope{{bySampler, uint64(n)}, one[0]}
			rates.set(&one, uint32(n+1), uint32(n))
		}
		if place, news := all.announce(of, rates, nil); place >= 0 && !news {
			all.learned(place, &one)
		}
		if n%500 == 0 {
			check()
		}
	}
	check()
	hidden := 0
	for range 1000 {
		if all.index.domains(scopeKey{byCard, random.Uint64()}) == 0 {
			hidden++
		}
	}
	if hidden < 500 {
		t.Errorf("only %d of 1000 scopes without a rate are hidden", hidden)
	}
	for of := range domains {
		all.silence(of)
	}
	equal(t, "domains at last", all.used, 0)
	equal(t, "keys at last", all.index.keys, 0)
	all.index.sweep()
	for _, domains := range all.index.slots {
		equal(t, "what is left", domains, 0)
	}
}
