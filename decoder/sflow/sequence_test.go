package sflow

import (
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// arrival is a datagram of a sub-agent with one flow sample.
type arrival struct {
	head
	sample   uint32 // its number
	source   uint32
	drops    uint32
	expanded bool
}

func (a arrival) payload() []byte {
	h := sampleHead{sequence: a.sample, source: a.source, drops: a.drops, rate: 100, in: 1, out: 2}
	record := headerRecord(headerEthernet, 1518, tcp4())
	if a.expanded {
		return datagramOf(a.head, expanded(h, record))
	}
	return datagramOf(a.head, compact(h, record))
}

// at is a datagram by its number, with an uptime that fits, and the sample's number.
func at(sequence, sample uint32) arrival {
	return arrival{head: head{agent: agentAddress, sequence: sequence, uptime: 1_000_000 + 1000*sequence},
		sample: sample, source: 7}
}

// told is what a stream's counters are to say.
type told struct {
	lost, duplicated, reordered, restarts, samplesLost, agentDrops uint64
}

func tell(s *exporter.Stream) told {
	return told{s.Lost.Load(), s.Duplicated.Load(), s.Reordered.Load(), s.Restarts.Load(), s.SamplesLost.Load(),
		s.AgentDrops.Load()}
}

func TestCase46_SequenceNumbers(t *testing.T) {
	// with changes an arrival.
	with := func(a arrival, change func(*arrival)) arrival { change(&a); return a }
	tests := []struct {
		name     string
		arrivals []arrival
		want     told
	}{
		{"in order", []arrival{at(1, 1), at(2, 2), at(3, 3)}, told{}},
		{"datagrams lost, with their samples", []arrival{at(1, 1), at(4, 6)}, told{lost: 2, samplesLost: 4}},
		{"the number wraps", []arrival{with(at(0xffffffff, 0xffffffff), func(a *arrival) { a.uptime = 1000 }),
			with(at(0, 0), func(a *arrival) { a.uptime = 2000 }), with(at(1, 1), func(a *arrival) { a.uptime = 3000 })},
			told{}},
		{"a datagram twice", []arrival{at(1, 1), at(2, 2), at(2, 2), at(3, 3)}, told{duplicated: 1}},
		{"an older datagram twice", []arrival{at(1, 1), at(2, 2), at(3, 3), at(1, 1), at(4, 4)}, told{duplicated: 1}},
		{"two change places", []arrival{at(1, 1), at(2, 2), at(4, 4), at(3, 3), at(5, 5)}, told{reordered: 1}},
		{"two change places across a loss", []arrival{at(1, 1), at(2, 2), at(6, 6), at(3, 3), at(7, 7)},
			told{reordered: 1, lost: 2, samplesLost: 2}},
		{"restart: uptime and numbers fall", []arrival{at(5000, 9000), at(5001, 9001), at(1, 1), at(2, 2)},
			told{restarts: 1}},
		{"restart: the numbers go on, the uptime falls",
			[]arrival{at(1, 1), with(at(2, 900), func(a *arrival) { a.uptime = 10 }),
				with(at(3, 901), func(a *arrival) { a.uptime = 1010 })}, told{restarts: 1}},
		{"uptime falls by as much as reordering may explain",
			[]arrival{at(10, 1), with(at(11, 2), func(a *arrival) { a.uptime -= 30_000 }), at(12, 3)}, told{}},
		{"uptime wraps after 49 days", []arrival{with(at(1, 1), func(a *arrival) { a.uptime = 0xfffffff0 }),
			with(at(2, 2), func(a *arrival) { a.uptime = 900 })}, told{}},
		{"uptime of 0, as some agents send", []arrival{with(at(1, 1), func(a *arrival) { a.uptime = 0 }),
			with(at(2, 2), func(a *arrival) { a.uptime = 0 })}, told{}},
		{"sources number their samples apart", []arrival{at(1, 100),
			with(at(2, 7000), func(a *arrival) { a.source = 8 }), at(3, 101),
			with(at(4, 7001), func(a *arrival) { a.source = 8 })}, told{}},
		{"classes of sources are apart", []arrival{at(1, 100),
			with(at(2, 7000), func(a *arrival) { a.source = 1<<24 | 7 }), at(3, 101)}, told{}},
		{"expanded samples are numbered apart", []arrival{at(1, 100),
			with(at(2, 7000), func(a *arrival) { a.expanded = true }), at(3, 101),
			with(at(4, 7002), func(a *arrival) { a.expanded = true })}, told{samplesLost: 1}},
		{"samples lost by the agent between datagrams", []arrival{at(1, 1), at(2, 5)}, told{samplesLost: 3}},
		{"samples begin anew", []arrival{at(1, 5000), at(2, 1), at(3, 2)}, told{}},
		{"case 50: the agent's drops are counted from the first sample on", []arrival{
			with(at(1, 1), func(a *arrival) { a.drops = 40 }), with(at(2, 2), func(a *arrival) { a.drops = 45 }),
			with(at(3, 3), func(a *arrival) { a.drops = 45 }), with(at(4, 4), func(a *arrival) { a.drops = 46 })},
			told{agentDrops: 6}},
		{"case 50: drops of expanded samples",
			[]arrival{with(at(1, 1), func(a *arrival) { a.expanded, a.drops = true, 40 }),
				with(at(2, 2), func(a *arrival) { a.expanded, a.drops = true, 45 })}, told{agentDrops: 5}},
		{"case 50: drops wrap", []arrival{with(at(1, 1), func(a *arrival) { a.drops = 0xffffffff }),
			with(at(2, 2), func(a *arrival) { a.drops = 1 })}, told{agentDrops: 2}},
		{"case 50: drops begin anew", []arrival{with(at(1, 1), func(a *arrival) { a.drops = 500 }), at(2, 2),
			with(at(3, 3), func(a *arrival) { a.drops = 2 })}, told{agentDrops: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			for i, a := range test.arrivals {
				if n := len(l.send(a.payload())); n != 1 {
					t.Fatalf("datagram %d: %d records, want 1", i, n)
				}
			}
			equal(t, "what the stream tells", tell(l.stream(0)), test.want)
		})
	}
}

// Agents that do not number their datagrams as specified lose nothing by it: the numbers never move, count samples, or
// are those of several processes.
func TestCase46_NumbersOfDevices(t *testing.T) {
	const datagrams = 40
	send := func(l *lab, port uint16, sequence, first uint32, samples int) {
		var all [][]byte
		for i := range samples {
			h := sampleHead{sequence: first + uint32(i), source: 7, rate: 100, in: 1, out: 2}
			all = append(all, compact(h, headerRecord(headerEthernet, 1518, tcp4())))
		}
		l.port = port
		l.send(datagramOf(head{agent: agentAddress, sequence: sequence, uptime: 1000}, all...))
	}
	samples := func(i int) int { return 2 + i*7%5 }
	for _, test := range []struct {
		name   string
		play   func(l *lab)
		counts exporter.Convention
		want   told
	}{
		{"never moves", func(l *lab) {
			for i, first := 0, 0; i < datagrams; i++ {
				send(l, 1, 0, uint32(first), samples(i))
				first += samples(i)
			}
		}, exporter.CountsNothing, told{}},
		{"counts samples", func(l *lab) {
			for i, first := 0, 0; i < datagrams; i++ {
				send(l, 1, uint32(first), uint32(first), samples(i))
				first += samples(i)
			}
		}, exporter.CountsSamples, told{}},
		{"counts samples, one datagram is missing", func(l *lab) {
			for i, first := 0, 0; i < datagrams; i++ {
				if i != 20 {
					send(l, 1, uint32(first), uint32(first), samples(i))
				}
				first += samples(i)
			}
		}, exporter.CountsSamples, told{lost: uint64(samples(20)), samplesLost: uint64(samples(20))}},
		{"datagrams, one is missing", func(l *lab) {
			for i, first := 0, 0; i < datagrams; i++ {
				if i != 20 {
					send(l, 1, uint32(i), uint32(first), samples(i))
				}
				first += samples(i)
			}
		}, exporter.CountsDatagrams, told{lost: 1, samplesLost: uint64(samples(20))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			test.play(l)
			equal(t, "what the stream tells", tell(l.stream(0)), test.want)
			equal(t, "what is counted", l.stream(0).Counts(), test.counts)
		})
	}
	t.Run("two processes", func(t *testing.T) {
		l := newLab(t, Options{})
		for i := range uint32(datagrams) {
			send(l, 4000, 5000+i, 100_000+2*i, 2)
			send(l, 4001, 1000+i, 7000+2*i, 2)
		}
		equal(t, "what the stream tells", tell(l.stream(0)), told{})
	})
	t.Run("numbers of no kind", func(t *testing.T) {
		l := newLab(t, Options{})
		for i := range uint32(datagrams) {
			send(l, 1, i*i*977%1013, 3*i, 3)
		}
		equal(t, "what the stream tells", tell(l.stream(0)), told{})
		equal(t, "what is counted", l.stream(0).Counts(), exporter.CountsUnknown)
	})
}

func TestCase46_SubAgentsCountApart(t *testing.T) {
	l := newLab(t, Options{})
	for _, h := range []head{
		{agentAddress, 0, 1, 90_000_000}, {agentAddress, 1, 700, 1000}, {agentAddress, 0, 2, 90_001_000},
		{agentAddress, 1, 703, 2000},
	} {
		records := l.send(arrival{head: h, sample: h.sequence, source: 7}.payload())
		equal(t, "domain", records[0].Domain, h.subAgent)
	}
	equal(t, "sub-agent 0", tell(l.stream(0)), told{})
	equal(t, "sub-agent 1", tell(l.stream(1)), told{lost: 2, samplesLost: 2})
}

// Samples of counters and discards are numbered apart from those of flows, which alone are counted.
func TestCase46_OtherSamplesAreNumberedApart(t *testing.T) {
	l := newLab(t, Options{})
	for i, other := range [][]byte{
		counterSampleOf(500, 7, ifCounters()), expandedCounterSampleOf(9, 7, ifCounters()), discardSample(900, 3),
		counterSampleOf(700, 7, ifCounters()),
	} {
		n := uint32(i + 1)
		l.send(datagramOf(head{agent: agentAddress, sequence: n, uptime: n}, other, plain(n)))
	}
	equal(t, "what the stream tells", tell(l.stream(0)), told{})
}

// A device with more sources than are kept costs no memory without end, and its samples are decoded.
func TestCase46_SourcesAreBounded(t *testing.T) {
	l := newLab(t, Options{})
	for n := uint32(0); n < maxSamplers+100; n++ {
		a := at(n, n)
		a.source = n
		if len(l.send(a.payload())) != 1 {
			t.Fatalf("source %d made no record", n)
		}
	}
	equal(t, "sources kept", len(l.d.last.samplers.all), maxSamplers)
}
