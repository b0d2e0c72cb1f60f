package exporter

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// playDomains gives the datagrams of one source to the streams of their domains. It returns what is told of all
// domains, and how many datagrams were read as numbered together.
func playDomains(p flow.Protocol, datagrams []sent, domain func(i int, d sent) uint32) (told, uint64) {
	table := NewTable(64)
	source := flow.AddrFrom(netip.MustParseAddr("192.0.2.1"))
	numbers := map[uint32]*Numbers{}
	for i, d := range datagrams {
		if d.missing {
			continue
		}
		id := domain(i, d)
		if numbers[id] == nil {
			numbers[id] = new(Numbers)
		}
		s := table.Get(Key{Exporter: source, Protocol: p, Domain: id}, source, int64(i))
		numbers[id].Observe(s, d.port, d.number, d.units)
	}
	table.Publish()
	var all told
	var together uint64
	for _, s := range table.Streams() {
		all.lost += s.Lost.Load()
		all.twice += s.Duplicated.Load()
		all.late += s.Reordered.Load()
		all.restarts += s.Restarts.Load()
		together += s.TimesRead(NumberedTogether)
	}
	return all, together
}

func TestNumbersOfSeveralDomains(t *testing.T) {
	byTurns := func(i int, _ sent) uint32 { return uint32(i % 3) }
	byPort := func(_ int, d sent) uint32 { return uint32(d.port) }
	bursts := func(i int, _ sent) uint32 { return uint32(i / 5 % 2) }
	rare := func(i int, _ sent) uint32 { return map[bool]uint32{true: 7}[i%25 == 24] }
	late := func(i int, _ sent) uint32 { return map[bool]uint32{true: uint32(i % 2)}[i > 50] }
	for _, p := range []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX} {
		for _, w := range ways(p) {
			if w.counts == CountsNothing {
				continue
			}
			one := func() []sent { return stream(w, 120, 0xffffff00) } // the numbers wrap
			lose := func(s []sent, at ...int) (lost uint64) {
				for _, i := range at {
					n := s[i].units.increments()[w.counts]
					s[i].missing = true
					lost += uint64(n)
				}
				return lost
			}
			own := func() []sent {
				return merge([]int{1, 2}, onPort(1, stream(w, 60, 5)), onPort(2, stream(w, 70, 1<<31)))
			}
			ports := one()
			for i := range ports {
				ports[i].port = uint16(i % 4)
			}
			missing := one()
			lost := lose(missing, 70, 71, 95)
			swapped := one()
			swapped[80], swapped[81] = swapped[81], swapped[80]
			twice := one()
			twice = append(append(twice[:90:90], twice[89]), twice[90:]...)
			restarted := append(stream(w, 120, 100_000)[:90:90], stream(w, 90, 0)...)
			missingOwn := own()
			lostOwn := lose(missingOwn, 30, 50, 51, 90)
			tests := []struct {
				name      string
				datagrams []sent
				domain    func(int, sent) uint32
				want      told
				together  bool
			}{
				{"one counter, by turns", one(), byTurns, told{}, true},
				{"one counter, in bursts", one(), bursts, told{}, true},
				{"one counter, a rare domain", one(), rare, told{}, true},
				{"one counter, a second domain later", one(), late, told{}, true},
				{"one counter, over ports too", ports, byTurns, told{}, true},
				{"one counter, some missing", missing, byTurns, told{lost: lost}, true},
				{"one counter, two change places", swapped, bursts, told{late: 1}, true},
				{"one counter, one comes twice", twice, bursts, told{twice: 1}, true},
				{"one counter, it restarts", restarted, byTurns, told{restarts: 1}, true},
				{"own counters", own(), byPort, told{}, false},
				{"own counters, some missing", missingOwn, byPort, told{lost: lostOwn}, false},
			}
			for _, test := range tests {
				name := p.String() + ", " + w.counts.String() + map[bool]string{true: " itself"}[w.itself] + ", " +
					test.name
				t.Run(name, func(t *testing.T) {
					got, together := playDomains(p, test.datagrams, test.domain)
					if got != test.want {
						t.Errorf("%+v is told, want %+v", got, test.want)
					}
					if (together > 0) != test.together {
						t.Errorf("%d datagrams numbered together", together)
					}
				})
			}
		}
	}
}

// Losses of a domain with a counter of its own are told whatever another domain sends: datagrams with nothing that
// counts, or only a few datagrams now and then.
func TestNumbersBesideAQuietDomain(t *testing.T) {
	flows := contents["templates again and again"]
	others := map[string]func(i int, rng *rand.Rand) Units{
		"templates only": func(int, *rand.Rand) Units { return Units{Templates: 1} },
		"some templates only": func(i int, rng *rand.Rand) Units {
			if i%4 == 2 {
				return Units{Templates: 1}
			}
			return flows(i, rng)
		},
		"options": func(i int, _ *rand.Rand) Units { return Units{Templates: 1, Options: 1 + uint32(i%2)} },
		"flows":   flows,
	}
	for _, p := range []flow.Protocol{flow.NetFlowV9, flow.IPFIX} {
		for _, w := range ways(p) {
			for name, of := range others {
				for _, few := range []int{6, 70} {
					for _, turns := range [][]int{{1}, {1, 2}, {3, 1}, {10, 1}, {20, 1}} {
						if w.counts == CountsNothing {
							continue
						}
						own := onPort(1, shaped(w, 60, 5, flows))
						other := onPort(2, shaped(w, few, 1<<20, of))
						want := told{}
						for _, i := range []int{9, 20, 21, 40} {
							units := own[i].units.increments()[w.counts]
							own[i].missing = true
							want.lost += uint64(units)
						}
						got, together := playDomains(p, merge(turns, own, other),
							func(_ int, d sent) uint32 { return uint32(d.port) })
						if got != want || together > 0 {
							t.Errorf("%s, %s (itself: %v), beside %d datagrams of %s, turns %v: %+v is told, %d "+
								"together; want %+v",
								p, w.counts, w.itself, few, name, turns, got, together, want)
						}
					}
				}
			}
		}
	}
}

// A source with one counter for all its domains is followed without allocating.
func TestNumbersOfSeveralDomainsAllocateNothing(t *testing.T) {
	table := NewTable(64)
	source := flow.AddrFrom(netip.MustParseAddr("192.0.2.1"))
	var numbers [3]Numbers
	var streams [3]*Stream
	for i := range streams {
		streams[i] = table.Get(Key{Exporter: source, Protocol: flow.NetFlowV9, Domain: uint32(i)}, source, 0)
	}
	number := uint32(0)
	observe := func() {
		numbers[number%3].Observe(streams[number%3], 1, number, Units{Flows: 1})
		number++
	}
	for range 100 {
		observe()
	}
	if n := testing.AllocsPerRun(100, observe); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
