package sflow

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// plain is a sample that makes a record.
func plain(sequence uint32) []byte {
	h := plainHead
	h.sequence = sequence
	return compact(h, headerRecord(headerEthernet, 1518, tcp4()))
}

func TestCase44_AgentAddressFamilies(t *testing.T) {
	tests := []struct{ name, agent, exporter string }{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv6", "2001:db8::1", "2001:db8::1"},
		{"unknown is the source", "", "203.0.113.5"},
		{"0.0.0.0 is the source", "0.0.0.0", "203.0.113.5"},
		{":: is the source", "::", "203.0.113.5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			records := l.send(datagramOf(head{agent: test.agent}, plain(1)))
			if len(records) != 1 {
				t.Fatalf("%d records, want 1", len(records))
			}
			equal(t, "exporter", records[0].Exporter, addr(test.exporter))
			equal(t, "source", records[0].Source, addr("203.0.113.5"))
			equal(t, "streams", len(l.table.Streams()), 1)
			equal(t, "stream", l.table.Streams()[0].Key.Exporter, addr(test.exporter))
		})
	}
}

func TestCase44_UnknownAddressTypeCostsTheDatagram(t *testing.T) {
	l := newLab(t, Options{})
	records := l.send(join(words(5, 3, 1, 0, 1, 1000, 1), plain(1)))
	equal(t, "records", len(records), 0)
	equal(t, "unattributed", l.table.UnattributedCount(exporter.Truncated), 1)
}

// Counts and lengths of 32 bits are not believed.
func TestCase44_WrongLengths(t *testing.T) {
	h := head{agent: agentAddress, sequence: 1, uptime: 1000}
	good := plain(1)
	headerOnly := headerRecord(headerEthernet, 1518, tcp4())
	// flowSampleOf is a flow sample that says it has so many records.
	flowSampleOf := func(count uint32, body ...[]byte) []byte {
		return typed(flowSample, words(1, 7, 1000, 0, 0, 3, 4, count), join(body...))
	}
	tests := []struct {
		name    string
		payload []byte
		records int
		failed  map[exporter.Reason]uint64
	}{
		{"all well", datagramOf(h, good, good), 2, nil},
		{"more samples announced than sent", join(words(5), address(agentAddress), words(0, 1, 1000, 0xffffffff), good),
			1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"fewer samples announced than sent", join(words(5), address(agentAddress), words(0, 1, 1000, 1), good, good),
			1, map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"sample of 4 GiB", datagramOf(h, good, words(flowSample, 0xffffffff), good),
			1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"sample of 4 GiB less 1", datagramOf(h, words(flowSample, 0xfffffffe)), 0,
			map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"empty sample costs itself", datagramOf(h, typed(flowSample), good), 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"short expanded sample costs itself", datagramOf(h, typed(expandedFlowSample, words(1, 0, 7)), good),
			1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"no records", datagramOf(h, flowSampleOf(0), good), 1, map[exporter.Reason]uint64{exporter.NotIP: 1}},
		{"more records announced than sent", datagramOf(h, flowSampleOf(0xffffffff, headerOnly), good),
			2, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"fewer records announced than sent", datagramOf(h, flowSampleOf(1, headerOnly, headerOnly), good), 2, nil},
		{"record of 4 GiB, first", datagramOf(h, flowSampleOf(1, words(sampledHeader, 0xffffffff)), good),
			1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"record of 4 GiB, second: the first is kept",
			datagramOf(h, flowSampleOf(2, headerOnly, words(extendedSwitch, 0xffffffff)), good),
			2, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"header of 4 GiB", datagramOf(h, flowSampleOf(1, typed(sampledHeader, words(1, 1518, 4, 0xffffffff), tcp4())),
			good),
			1, map[exporter.Reason]uint64{exporter.BadRecord: 1, exporter.NotIP: 1}},
		{"short switch record costs itself", datagramOf(h,
			flowSampleOf(2, headerOnly, typed(extendedSwitch, words(1, 2, 3)))),
			1, map[exporter.Reason]uint64{exporter.BadRecord: 1}},
		{"padding of the last value left out", join(words(5), address(agentAddress), words(0, 1, 1000, 1),
			words(flowSample, 32+8+16+53), words(1, 7, 1000, 0, 0, 3, 4, 1),
			words(sampledHeader, 16+53, 1, 1518, 4, 53),
			tcp4()[:53], make([]byte, 3)), 1, nil},
		{"trailing bytes", join(datagramOf(h, good), []byte{1}), 1,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			equal(t, "records", len(l.send(test.payload)), test.records)
			l.failed(test.failed)
		})
	}
}

func TestCase44_HeaderCutCostsTheDatagram(t *testing.T) {
	whole := datagramOf(head{agent: agentAddress, sequence: 1, uptime: 1000})
	for n := range whole {
		l := newLab(t, Options{})
		l.send(whole[:n])
		if l.table.UnattributedCount(exporter.Truncated) != 1 || len(l.table.Streams()) != 0 {
			t.Errorf("%d bytes: %d counted, %d streams", n, l.table.UnattributedCount(exporter.Truncated),
				len(l.table.Streams()))
		}
	}
}

func TestCase45_AgentsBehindOneSource(t *testing.T) {
	l := newLab(t, Options{})
	for i, agent := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
		records := l.send(datagramOf(head{agent: agent, sequence: uint32(1 + i/2)}, plain(1)))
		equal(t, "exporter", records[0].Exporter, addr(agent))
	}
	equal(t, "streams", len(l.table.Streams()), 2)
	for _, s := range l.table.Streams() {
		equal(t, "lost of "+s.Key.Exporter.String(), s.Lost.Load(), 0)
	}
}

func TestCase45_AgentBehindTwoSources(t *testing.T) {
	l := newLab(t, Options{})
	l.send(datagramOf(head{agent: agentAddress, sequence: 1}, plain(1)))
	l.source = "203.0.113.6"
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 2}, plain(2)))
	equal(t, "source", records[0].Source, addr("203.0.113.6"))
	equal(t, "exporter", records[0].Exporter, addr(agentAddress))
	equal(t, "streams", len(l.table.Streams()), 1)
}

// Agents that were evicted are counted again when they come back, and do not pile up.
func TestCase45_ManyAgents(t *testing.T) {
	l := newLab(t, Options{})
	for range 2 {
		for n := range 1000 {
			agent := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).String()
			if len(l.send(datagramOf(head{agent: agent, sequence: 1}, plain(1)))) != 1 {
				t.Fatalf("agent %s made no record", agent)
			}
		}
	}
	if n := len(l.d.agents); n > 16+256 {
		t.Errorf("%d agents are kept of 16 streams", n)
	}
	for _, s := range l.table.Streams() {
		equal(t, "datagrams of "+s.Key.Exporter.String(), s.Datagrams.Load(), 1)
	}
}

func TestCase47_UnknownFormatsAreSkipped(t *testing.T) {
	const inmon = 4413 << 12
	l := newLab(t, Options{})
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 1},
		typed(99, words(1, 2, 3)), typed(inmon|flowSample, words(1, 2, 3)), plain(1),
		compact(plainHead, typed(inmon|sampledHeader, []byte("not a header")), typed(1036, words(7)),
			typed(1037, words(1), opaque([]byte("acl")), words(1)),
			headerRecord(headerEthernet, 1518, tcp4()), typed(2000, words(9)))))
	equal(t, "records", len(records), 2)
	equal(t, "source address", records[1].SrcAddr, addr("10.0.0.1"))
	equal(t, "bytes", records[1].Bytes, 1518)
	l.failed(map[exporter.Reason]uint64{exporter.UnknownSet: 2})
}

// The formats' numbers, which the tests' own datagrams take from the code.
func TestCase47_Formats(t *testing.T) {
	for name, format := range map[string][2]uint32{
		"flow_sample": {flowSample, 1}, "counters_sample": {counterSample, 2},
		"flow_sample_expanded":     {expandedFlowSample, 3},
		"counters_sample_expanded": {expandedCounterSample, 4}, "discarded_packet": {discardedPacket, 5},
		"sampled_header": {sampledHeader, 1}, "sampled_ethernet": {sampledEthernet, 2},
		"sampled_ipv4": {sampledIPv4, 3},
		"sampled_ipv6": {sampledIPv6, 4}, "extended_switch": {extendedSwitch, 1001},
		"extended_router":  {extendedRouter, 1002},
		"extended_gateway": {extendedGateway, 1003}, "extended_mpls": {extendedMPLS, 1006},
		"extended_vlantunnel": {extendedVLAN, 1012},
		"if_counters":         {interfaceCounters, 1},
	} {
		equal(t, name, format[0], format[1])
	}
}

func TestCase57_TimeIsTheReceiveTime(t *testing.T) {
	r := newLab(t, Options{}).sample(plain(1))
	const ms = received / 1_000_000
	equal(t, "received", r.Received, received)
	equal(t, "start", r.StartMs, ms)
	equal(t, "end", r.EndMs, ms)
	equal(t, "export time", r.ExportMs, ms)
	equal(t, "times sent", r.Sent(flow.Start|flow.End), true)
	equal(t, "protocol", r.Protocol, flow.SFlow5)
	equal(t, "sequence number", r.Sequence, 1)
}

func TestCase58_TruncatedByTheReceiveBuffer(t *testing.T) {
	l := newLab(t, Options{})
	l.truncated = true
	whole := datagramOf(head{agent: agentAddress, sequence: 1}, plain(1), plain(2))
	equal(t, "records", len(l.send(whole[:len(whole)-20])), 1)
	l.failed(map[exporter.Reason]uint64{exporter.Truncated: 1, exporter.BadSet: 1})
}

func TestStream_Counts(t *testing.T) {
	l := newLab(t, Options{})
	payload := datagramOf(head{agent: agentAddress, sequence: 1, subAgent: 3}, plain(1), plain(2))
	l.send(payload)
	s := l.stream(3)
	equal(t, "datagrams", s.Datagrams.Load(), 1)
	equal(t, "bytes", s.Bytes.Load(), uint64(len(payload)))
	equal(t, "records", s.Records.Load(), 2)
	equal(t, "rate", s.SamplingRate.Load(), 1000)
	equal(t, "source of the rate", s.SamplingSource.Load(), uint32(flow.SamplingRecord))
	equal(t, "last seen", s.LastSeen.Load(), received)
}
