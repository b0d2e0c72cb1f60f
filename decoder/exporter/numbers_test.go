package exporter

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// sent is one datagram: how much it holds and from which port it comes.
type sent struct {
	port    uint16
	number  uint32
	units   Units
	missing bool // it does not reach us
}

// told is what Numbers say of a stream.
type told struct{ lost, twice, late, restarts uint64 }

func play(p flow.Protocol, datagrams []sent) (*Stream, told) {
	s := &Stream{Key: Key{Protocol: p}}
	var q Numbers
	for _, d := range datagrams {
		if !d.missing {
			q.Observe(s, d.port, d.number, d.units)
		}
	}
	return s, told{s.Lost.Load(), s.Duplicated.Load(), s.Reordered.Load(), s.Restarts.Load()}
}

// stream makes n datagrams of an exporter that counts in the given way, with records of flows, every few datagrams of
// options, and now and then templates.
func stream(w way, n int, first uint32) []sent {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	all := make([]sent, n)
	number := first
	for i := range all {
		u := Units{Flows: 1 + rng.Uint32N(29)}
		if i%10 == 0 {
			u.Templates = 2
		}
		if i%7 == 0 {
			u.Options = 3
		}
		units := u.increments()[w.counts]
		all[i] = sent{port: 4000, number: number, units: u}
		if w.itself {
			all[i].number += units
		}
		number += units
	}
	return all
}

// Every way of counting is recognized, tells nothing of a stream of which nothing is missing, and exactly what is
// missing else.
func TestNumbersKnowEveryWay(t *testing.T) {
	for _, p := range []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX} {
		for _, w := range ways(p) {
			t.Run(p.String()+" "+w.counts.String()+map[bool]string{true: ", itself"}[w.itself], func(t *testing.T) {
				complete := stream(w, 60, 0xfffffff0) // the numbers wrap
				s, got := play(p, complete)
				if want := (told{}); got != want {
					t.Errorf("of a complete stream %+v is told", got)
				}
				if s.Counts() != w.counts {
					t.Errorf("it counts %s, want %s", s.Counts(), w.counts)
				}
				lost := uint64(0)
				for _, i := range []int{15, 16, 25, 44} {
					complete[i].missing = true
					units := complete[i].units.increments()[w.counts]
					lost += uint64(units)
				}
				if _, got = play(p, complete); got != (told{lost: lost}) {
					t.Errorf("%+v is told, want %d lost", got, lost)
				}
			})
		}
	}
}

func TestNumbers(t *testing.T) {
	rfc := func(n int) []sent { return stream(way{counts: CountsRecords}, n, 1000) }
	tests := []struct {
		name   string
		change func([]sent) []sent
		want   told
		counts Convention
	}{
		{"too few to know", func(s []sent) []sent { return []sent{s[0], s[3], s[2]} }, told{}, CountsUnknown},
		{"two change places", func(s []sent) []sent { s[20], s[21] = s[21], s[20]; return s }, told{late: 1},
			CountsRecords},
		{"one comes twice", func(s []sent) []sent { return append(append(s[:20:20], s[19]), s[20:]...) },
			told{twice: 1}, CountsRecords},
		{"it starts anew",
			func(s []sent) []sent { return append(s[:20:20], stream(way{counts: CountsRecords}, 20, 0)...) },
			told{restarts: 1}, CountsRecords},
		{"numbers of no kind", func(s []sent) []sent {
			rng := rand.New(rand.NewPCG(3, 4))
			for i := range s {
				s[i].number = rng.Uint32()
			}
			return s
		}, told{}, CountsUnknown},
		{"a set that is not understood", func(s []sent) []sent {
			for _, i := range []int{10, 11, 30} {
				s[i].units = Units{Flows: 1, Unknown: true}
			}
			return s
		}, told{}, CountsRecords},
		{"1 once, then 0 for ever", func(s []sent) []sent {
			for i := range s {
				s[i].number = 0
			}
			s[0].number = 1
			return s
		}, told{}, CountsNothing},
		{"another number for ever", func(s []sent) []sent {
			for i := range s {
				s[i].number = 77
			}
			return s
		}, told{}, CountsNothing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, got := play(flow.IPFIX, test.change(rfc(60)))
			if s.Counts() != test.counts {
				t.Errorf("it counts %s, want %s", s.Counts(), test.counts)
			}
			if got != test.want {
				t.Errorf("%+v is told, want %+v", got, test.want)
			}
		})
	}
}

// A loss is told even if it was before it was known how the exporter counts.
func TestNumbersTellEarlyLosses(t *testing.T) {
	datagrams := stream(way{counts: CountsRecords}, 30, 1000)
	datagrams[1].missing = true
	units := datagrams[1].units
	if _, got := play(flow.IPFIX, datagrams); got != (told{lost: uint64(units.Flows + units.Options)}) {
		t.Errorf("%+v is told, want %+v lost", got, units)
	}
}

// shaped makes n datagrams of an exporter that counts in the given way; of gives the contents of each.
func shaped(w way, n int, first uint32, of func(i int, rng *rand.Rand) Units) []sent {
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	all := make([]sent, n)
	for i, number := 0, first; i < n; i++ {
		u := of(i, rng)
		units := u.increments()[w.counts]
		all[i] = sent{port: 4000, number: number, units: u}
		if w.itself {
			all[i].number += units
		}
		number += units
	}
	return all
}

// The contents of datagrams, from what an exporter sends when it starts.
var contents = map[string]func(i int, rng *rand.Rand) Units{
	"templates again and again": func(i int, rng *rand.Rand) (u Units) {
		u.Flows = 1 + rng.Uint32N(29)
		if i%10 == 0 {
			u.Templates = 2
		}
		return u
	},
	"few flows, with templates and options": func(i int, rng *rand.Rand) (u Units) {
		u.Flows = 1 + rng.Uint32N(3)
		if i%5 == 0 {
			u.Templates, u.Options = 1, 1
		}
		return u
	},
	"only templates and options at first": func(i int, rng *rand.Rand) Units {
		if i < 4 {
			return Units{Templates: 1, Options: 1 + rng.Uint32N(5)}
		}
		return Units{Flows: 1 + rng.Uint32N(29), Templates: uint32(i/8) % 2}
	},
}

// A loss among the first datagrams, when it is not known how the exporter counts, is told in the right unit in the end;
// and nothing is told of a stream of which nothing is missing, however short it is.
func TestNumbersOfFirstDatagrams(t *testing.T) {
	for _, p := range []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX} {
		for _, w := range ways(p) {
			for name, of := range contents {
				if w.counts == CountsNothing || p == flow.NetFlowV5 && name != "templates again and again" {
					continue
				}
				t.Run(p.String()+" "+w.counts.String()+map[bool]string{true: ", itself"}[w.itself]+", "+name,
					func(t *testing.T) {
						complete := shaped(w, 60, 1000, of)
						for n := range complete {
							if _, got := play(p, complete[:n]); got != (told{}) {
								t.Fatalf("of %d datagrams %+v is told", n, got)
							}
						}
						for lose := 1; lose < 12; lose++ {
							datagrams := slices.Clone(complete)
							datagrams[lose].missing = true
							units := datagrams[lose].units.increments()[w.counts]
							s, got := play(p, datagrams)
							if got != (told{lost: uint64(units)}) {
								t.Errorf("without datagram %d %+v is told in %s, want %d lost", lose, got, s.Counts(),
									units)
							}
						}
					})
			}
		}
	}
}

// An exporter that is replaced by one that counts in another way is understood again.
func TestNumbersFollowAnotherExporter(t *testing.T) {
	datagrams := append(stream(way{counts: CountsRecords}, 60, 1000), stream(way{counts: CountsDatagrams}, 400, 0)...)
	if s, _ := play(flow.IPFIX, datagrams); s.Counts() != CountsDatagrams {
		t.Errorf("it counts %s, want datagrams", s.Counts())
	}
}

// merge sends the datagrams of several streams by turns, of each as many at once as the pattern says.
func merge(pattern []int, streams ...[]sent) (all []sent) {
	for turn := 0; ; turn++ {
		left := 0
		for i := range streams {
			n := min(pattern[(turn+i)%len(pattern)], len(streams[i]))
			all = append(all, streams[i][:n]...)
			streams[i] = streams[i][n:]
			left += len(streams[i])
		}
		if left == 0 {
			return all
		}
	}
}

func onPort(port uint16, s []sent) []sent {
	for i := range s {
		s[i].port = port
	}
	return s
}

func TestNumbersOfSeveralPorts(t *testing.T) {
	for _, p := range []flow.Protocol{flow.NetFlowV5, flow.NetFlowV9, flow.IPFIX} {
		own := ways(p)[0]
		one := func(n int, first uint32) []sent { return stream(own, n, first) }
		lost := func(s []sent, at ...int) (units uint64) {
			for _, i := range at {
				n := s[i].units.increments()[own.counts]
				units += uint64(n)
				s[i].missing = true
			}
			return units
		}
		check := func(name string, datagrams []sent, want told) {
			t.Helper()
			if _, got := play(p, datagrams); got != want {
				t.Errorf("%s, %s: %+v is told, want %+v", p, name, got, want)
			}
		}
		check("two processes by turns", merge([]int{1}, onPort(1, one(40, 5)), onPort(2, one(40, 9000))), told{})
		check("two processes, the second later", append(onPort(1, one(100, 5))[:50:50],
			merge([]int{1}, onPort(1, one(100, 5))[50:], onPort(2, one(40, 9000)))...), told{})
		check("two processes, one of which is quiet",
			merge([]int{20, 1}, onPort(1, one(200, 5)), onPort(2, one(12, 9000))), told{})
		check("four processes", merge([]int{1, 3, 2}, onPort(1, one(40, 5)), onPort(2, one(40, 9000)),
			onPort(3, one(40, 70)), onPort(4, one(40, 1<<31))), told{})
		a, b := onPort(1, one(60, 5)), onPort(2, one(60, 9000))
		n := lost(a, 20, 33) + lost(b, 2, 41)
		check("two processes, some missing", merge([]int{1}, a, b), told{lost: n})

		shared := one(80, 5)
		for i := range shared {
			shared[i].port = uint16(i % 3)
		}
		n = lost(shared, 30, 31, 60)
		check("one count over three ports", shared, told{lost: n})
		each := one(80, 5)
		for i := range each {
			each[i].port = uint16(i)
		}
		n = lost(each, 30, 31, 60)
		check("a port for each datagram", each, told{lost: n})
		moved := append(onPort(1, one(40, 5)), onPort(2, one(40, 5)[20:])...)
		if _, got := play(p, moved[:40:40]); got != (told{}) {
			t.Errorf("before it moved %+v is told", got)
		}
		on := one(90, 5)
		on = append(onPort(1, on[:40:40]), onPort(2, on[40:])...)
		n = lost(on, 80)
		check("a port that changes, the count goes on", on, told{lost: n})
	}
}

// A stream's numbers are followed without allocating.
func TestNumbersAllocateNothing(t *testing.T) {
	s := &Stream{Key: Key{Protocol: flow.IPFIX}}
	var q Numbers
	number := uint32(0)
	observe := func() {
		q.Observe(s, uint16(number%3), number, Units{Flows: 1})
		number++
	}
	for range 100 {
		observe()
	}
	if n := testing.AllocsPerRun(100, observe); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
