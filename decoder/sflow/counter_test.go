package sflow

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// ifCounters is a generic interface counters record.
func ifCounters() []byte {
	return typed(interfaceCounters, words(12, 6), u64(100_000_000_000), words(1, 3),
		u64(1<<40), words(1, 2, 3, 4, 5, 0xffffffff), u64(1<<41), words(11, 12, 0xffffffff, 14, 15), words(1))
}

func counterSampleOf(sequence, source uint32, records ...[]byte) []byte {
	return typed(counterSample, words(sequence, source, uint32(len(records))), join(records...))
}

func expandedCounterSampleOf(sequence, source uint32, records ...[]byte) []byte {
	return typed(expandedCounterSample, words(sequence, 0, source, uint32(len(records))), join(records...))
}

// discardSample is a discarded-packet sample with the packet's header; 256 as reason is "unknown layer 2".
func discardSample(sequence, drops uint32) []byte {
	return typed(discardedPacket, words(sequence, 0, 7, drops, 3, 0, 256, 1),
		headerRecord(headerEthernet, 1518, tcp4()))
}

func TestCase55_CounterSamples(t *testing.T) {
	want := flow.InterfaceCounters{
		Exporter: addr(agentAddress), Source: addr("203.0.113.5"), SubAgent: 2, Received: received, UptimeMs: 1000,
		Sequence: 1,
		Index:    12, Type: 6, Speed: 100_000_000_000, Direction: 1, AdminUp: true, OperUp: true,
		In: flow.DirectionCounters{Octets: 1 << 40, Unicast: 1, Multicast: 2, Broadcast: 3, Discards: 4,
			Errors: 5, UnknownProtocols: flow.Unsupported},
		Out: flow.DirectionCounters{Octets: 1 << 41, Unicast: 11, Multicast: 12, Broadcast: flow.Unsupported,
			Discards: 14, Errors: 15, UnknownProtocols: flow.Unsupported},
		Promiscuous: 1,
	}
	ethernetCounters := typed(2, make([]byte, 52))
	vendorCounters := typed(4413<<12|1, words(1, 2, 3))
	for name, sample := range map[string][]byte{
		"compact":  counterSampleOf(1, 12, ethernetCounters, ifCounters(), vendorCounters),
		"expanded": expandedCounterSampleOf(1, 12, ifCounters()),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			records := l.send(datagramOf(head{agent: agentAddress, subAgent: 2, uptime: 1000}, sample))
			equal(t, "records", len(records), 0)
			if diff := cmp.Diff([]flow.InterfaceCounters{want}, l.counters); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			equal(t, "counter samples", l.stream(2).Counters.Load(), 1)
		})
	}
}

func TestCase55_Status(t *testing.T) {
	for status, want := range map[uint32][2]bool{0: {false, false}, 1: {true, false}, 2: {false, true}, 3: {true, true},
		0x80000000: {false, false}} {
		record := ifCounters()
		copy(record[8+20:], words(status))
		l := newLab(t, Options{})
		l.send(datagramOf(head{agent: agentAddress}, counterSampleOf(1, 7, record)))
		equal(t, "up by the operator's will and in fact", [2]bool{l.counters[0].AdminUp, l.counters[0].OperUp}, want)
	}
}

func TestCase55_CounterSamplesCutOrWrong(t *testing.T) {
	whole := ifCounters()
	tests := []struct {
		name     string
		sample   []byte
		counters int
		failed   map[exporter.Reason]uint64
	}{
		{"no records", counterSampleOf(1, 7), 0, nil},
		{"without its head", typed(counterSample, words(1, 7)), 0, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"short counters cost themselves", counterSampleOf(1, 7, typed(interfaceCounters, whole[8:80]), whole), 1,
			map[exporter.Reason]uint64{exporter.BadRecord: 1}},
		{"more records announced than sent", typed(counterSample, words(1, 7, 0xffffffff), whole), 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"counters with more behind", counterSampleOf(1, 7, typed(interfaceCounters, whole[8:], words(1, 2))), 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			equal(t, "records", len(l.send(datagramOf(head{agent: agentAddress}, test.sample, plain(1)))), 1)
			equal(t, "counters", len(l.counters), test.counters)
			l.failed(test.failed)
		})
	}
}

func TestCase54_DiscardedPacketsAreNoTraffic(t *testing.T) {
	l := newLab(t, Options{})
	equal(t, "records", len(l.send(datagramOf(head{agent: agentAddress}, discardSample(1, 9)))), 0)
	want := []Discard{{
		Exporter: addr(agentAddress), Source: addr("203.0.113.5"), Received: received, In: 3, Out: 0, Reason: 256,
		Drops: 9,
	}}
	if diff := cmp.Diff(want, l.discards); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s := l.stream(0)
	equal(t, "discards", s.Discards.Load(), 1)
	equal(t, "records counted", s.Records.Load(), 0)
	l.failed(nil)
}

func TestCase54_DiscardCut(t *testing.T) {
	l := newLab(t, Options{})
	equal(t, "records",
		len(l.send(datagramOf(head{agent: agentAddress}, typed(discardedPacket, words(1, 0, 7, 9, 3, 0)), plain(1)))),
		1)
	equal(t, "discards", len(l.discards), 0)
	l.failed(map[exporter.Reason]uint64{exporter.BadSet: 1})
}

// Without receivers both kinds are counted only.
func TestCase54_WithoutReceivers(t *testing.T) {
	l := newLab(t, Options{})
	l.d = New(l.table, Options{})
	l.send(datagramOf(head{agent: agentAddress}, discardSample(1, 9), counterSampleOf(1, 7, ifCounters())))
	s := l.stream(0)
	equal(t, "discards", s.Discards.Load(), 1)
	equal(t, "counter samples", s.Counters.Load(), 1)
}
