package sflow

import (
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func TestCase48_Interfaces(t *testing.T) {
	type end struct {
		format, value uint32
		number        uint32
		kind          flow.InterfaceKind
	}
	tests := []struct {
		name string
		end
		expandedOnly bool
	}{
		{"an ifIndex", end{0, 49001, 49001, flow.InterfaceIndex}, false},
		{"unknown", end{0, 0, 0, flow.InterfaceIndex}, false},
		{"the largest ifIndex", end{0, 0x3ffffffe, 0x3ffffffe, flow.InterfaceIndex}, false},
		{"the device itself", end{0, 0x3fffffff, 0, flow.InterfaceInternal}, false},
		{"discarded, reason 256", end{1, 256, 256, flow.InterfaceDiscarded}, false},
		{"discarded, reason not known", end{1, 0, 0, flow.InterfaceDiscarded}, false},
		{"several", end{2, 7, 7, flow.InterfaceMultiple}, false},
		{"several, not known how many", end{2, 0, 0, flow.InterfaceMultiple}, false},
		{"a format that is not specified", end{3, 7, 0, flow.InterfaceIndex}, false},
		{"an ifIndex of more than 30 bits", end{0, 1285816721, 1285816721, flow.InterfaceIndex}, true},
		{"the device itself, all ones", end{0, 0xffffffff, 0, flow.InterfaceInternal}, true},
		{"a format of more than 2 bits", end{77, 7, 0, flow.InterfaceIndex}, true},
	}
	record := headerRecord(headerEthernet, 1518, tcp4())
	check := func(t *testing.T, r flow.Record, want end) {
		t.Helper()
		equal(t, "input", r.InIf, want.number)
		equal(t, "kind of input", r.InIfKind, want.kind)
		equal(t, "output", r.OutIf, want.number)
		equal(t, "kind of output", r.OutIfKind, want.kind)
		equal(t, "interfaces sent", r.Sent(flow.InIf|flow.OutIf), true)
	}
	for _, test := range tests {
		t.Run(test.name+"/expanded", func(t *testing.T) {
			h := plainHead
			h.inFormat, h.in, h.outFormat, h.out = test.format, test.value, test.format, test.value
			check(t, newLab(t, Options{}).sample(expanded(h, record)), test.end)
		})
		if test.expandedOnly {
			continue
		}
		t.Run(test.name+"/compact", func(t *testing.T) {
			h := plainHead
			h.in, h.out = test.format<<30|test.value, test.format<<30|test.value
			check(t, newLab(t, Options{}).sample(compact(h, record)), test.end)
		})
	}
}

func TestCase49_RateAndCounters(t *testing.T) {
	for _, rate := range []uint32{1, 1000, 1 << 31, 0} {
		for name, form := range map[string]func(sampleHead, ...[]byte) []byte{"compact": compact,
			"expanded": expanded} {
			h := plainHead
			h.rate = rate
			r := newLab(t, Options{}).sample(form(h, headerRecord(headerEthernet, 1518, tcp4())))
			equal(t, name+" rate", r.SamplingRate, rate)
			equal(t, name+" source of the rate", r.SamplingSource, flow.SamplingRecord)
			equal(t, name+" packets", r.Packets, 1)
			equal(t, name+" bytes", r.Bytes, 1518)
			equal(t, name+" counters sent", r.Sent(flow.Bytes|flow.Packets), true)
		}
	}
}

// Rates change from sample to sample: each has its own.
func TestCase49_AdaptiveRates(t *testing.T) {
	l := newLab(t, Options{})
	var samples [][]byte
	for n := uint32(1); n <= 3; n++ {
		samples = append(samples, compact(sampleHead{sequence: n, source: 7, rate: 100 * n, in: 1, out: 2},
			headerRecord(headerEthernet, 1518, tcp4())))
	}
	for i, r := range l.send(datagramOf(head{agent: agentAddress}, samples...)) {
		equal(t, "rate", r.SamplingRate, 100*uint32(i+1))
	}
	equal(t, "the stream's rate", l.stream(0).SamplingRate.Load(), 300)
}

func TestCase49_Overrides(t *testing.T) {
	agent, other := addr(agentAddress), addr("192.0.2.99")
	tests := []struct {
		name      string
		overrides []exporter.Override
		in        uint32
		rate      uint32
		from      flow.SamplingSource
	}{
		{"of the exporter", []exporter.Override{{Exporter: agent, AnyInterface: true, Rate: 50}}, 3, 50,
			flow.SamplingOverride},
		{"of the interface", []exporter.Override{{Exporter: agent, AnyInterface: true, Rate: 50},
			{Exporter: agent, Interface: 3, Rate: 60}},
			3, 60, flow.SamplingOverride},
		{"of another interface", []exporter.Override{{Exporter: agent, Interface: 4, Rate: 60}}, 3, 1000,
			flow.SamplingRecord},
		{"of another exporter", []exporter.Override{{Exporter: other, AnyInterface: true, Rate: 60}}, 3, 1000,
			flow.SamplingRecord},
		{"of interface 0, which the device itself is not",
			[]exporter.Override{{Exporter: agent, Interface: 0, Rate: 60}},
			internal, 1000, flow.SamplingRecord},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := plainHead
			h.in = test.in
			l := newLab(t, Options{Overrides: exporter.NewOverrides(test.overrides)})
			r := l.sample(compact(h, headerRecord(headerEthernet, 1518, tcp4())))
			equal(t, "rate", r.SamplingRate, test.rate)
			equal(t, "source of the rate", r.SamplingSource, test.from)
			equal(t, "the stream's rate", l.stream(0).SamplingRate.Load(), test.rate)
		})
	}
}

func TestCase51_HeaderProtocols(t *testing.T) {
	snap := bin("aaaa03 000000 0800")
	tests := []struct {
		name     string
		protocol uint32
		header   []byte
		version  uint8 // of IP; 0: no flow
	}{
		{"1 Ethernet, IPv4", 1, tcp4(), 4},
		{"1 Ethernet, IPv6", 1, ethernet6(), 6},
		{"1 Ethernet, ARP", 1, join(tcp4()[:12], u16(0x0806), make([]byte, 28)), 0},
		{"7 PPP", 7, join(u16(0x0021), packet4()), 4},
		{"8 SMDS is not read", 8, join(bin("0801 0000"), make([]byte, 20), snap, packet4()), 0},
		{"11 IPv4", 11, packet4(), 4},
		{"12 IPv6", 12, packet6(), 6},
		{"13 MPLS", 13, join(bin("000101ff"), packet4()), 4},
		{"14 packet over SONET", 14, join(bin("ff03 0057"), packet6()), 6},
		{"15 IEEE 802.11", 15, join(bin("0801 0000"), make([]byte, 20), snap, packet4()), 4},
		{"4 FDDI is not read", 4, tcp4(), 0},
		{"0", 0, tcp4(), 0},
		{"0xffffffff", 0xffffffff, tcp4(), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			records := l.send(datagramOf(head{agent: agentAddress},
				compact(plainHead, headerRecord(test.protocol, 1518, test.header))))
			if test.version == 0 {
				equal(t, "records", len(records), 0)
				l.failed(map[exporter.Reason]uint64{exporter.NotIP: 1})
				return
			}
			if len(records) != 1 {
				t.Fatalf("%d records, want 1", len(records))
			}
			r := records[0]
			equal(t, "IP version", r.IPVersion, test.version)
			equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{1234, 443})
			equal(t, "flags", r.TCPFlags, 0x12)
			equal(t, "bytes", r.Bytes, 1518)
			l.failed(nil)
		})
	}
}

// A sample is one record, whatever records it has and in which order they come; bytes are the packet's length then.
func TestCase51_HeaderWithFieldsOfTheAgent(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, tcp4())
	fields := ipRecord(sampledIPv4, 1500, 6, "10.0.0.1", "10.0.0.2", 1234, 443, 0x12, 0xb8)
	link := typed(sampledEthernet, words(1514), opaqueMAC("020000000001"), opaqueMAC("020000000002"), words(0x0800))
	for name, records := range map[string][][]byte{
		"header first": {frame, link, fields}, "header last": {fields, link, frame},
		"header between": {link, frame, fields},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, records...))
			l.failed(nil)
			equal(t, "bytes", r.Bytes, 1500)
			equal(t, "source", r.SrcAddr, addr("10.0.0.1"))
			equal(t, "type of service", r.ToS, 0xb8)
			equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{1234, 443})
			equal(t, "source MAC", r.SrcMAC, [6]byte(bin("020000000001")))
			equal(t, "destination MAC", r.DstMAC, [6]byte(bin("020000000002")))
		})
	}
}

func TestCase51_HeaderWithFieldsOfTheAgentIPv6(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, ethernet6())
	fields := ipRecord(sampledIPv6, 1500, 6, "2001:db8::1", "2001:db8::2", 1234, 443, 0x12, 0xb8)
	for name, records := range map[string][][]byte{"header first": {frame, fields}, "header last": {fields, frame}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, records...))
			l.failed(nil)
			equal(t, "bytes", r.Bytes, 1500)
			equal(t, "flow label, which the header alone has", r.FlowLabel, 0x12345)
		})
	}
}

// opaqueMAC is a fixed opaque of 6 bytes, padded.
func opaqueMAC(digits string) []byte { return join(bin(digits), []byte{0, 0}) }

func TestCase51_FieldsWithoutHeader(t *testing.T) {
	link := typed(sampledEthernet, words(1514), opaqueMAC("020000000001"), opaqueMAC("020000000002"), words(0x0800))
	tests := []struct {
		name   string
		record []byte
		want   flow.Record
	}{
		{"sampled_ipv4, TCP", ipRecord(sampledIPv4, 1500, 6, "10.0.0.1", "10.0.0.2", 1234, 443, 0x112, 0xb8),
			flow.Record{
				IPVersion: 4, Bytes: 1500, IPProtocol: 6, SrcPort: 1234, DstPort: 443, TCPFlags: 0x112, ToS: 0xb8,
				SrcAddr: addr("10.0.0.1"), DstAddr: addr("10.0.0.2")}},
		{"sampled_ipv4, UDP has no flags", ipRecord(sampledIPv4, 72, 17, "10.0.0.1", "10.0.0.2", 5000, 53, 0xff, 0),
			flow.Record{
				IPVersion: 4, Bytes: 72, IPProtocol: 17, SrcPort: 5000, DstPort: 53, SrcAddr: addr("10.0.0.1"),
				DstAddr: addr("10.0.0.2")}},
		{"sampled_ipv4, ICMP: the ports are type and code",
			ipRecord(sampledIPv4, 84, 1, "10.0.0.1", "10.0.0.2", 3, 1, 0, 0), flow.Record{
				IPVersion: 4, Bytes: 84, IPProtocol: 1, ICMPType: 3, ICMPCode: 1, SrcAddr: addr("10.0.0.1"),
				DstAddr: addr("10.0.0.2")}},
		{"sampled_ipv6, TCP", ipRecord(sampledIPv6, 1480, 6, "2001:db8::1", "2001:db8::2", 1234, 443, 2, 0x20),
			flow.Record{
				IPVersion: 6, Bytes: 1480, IPProtocol: 6, SrcPort: 1234, DstPort: 443, TCPFlags: 2, ToS: 0x20,
				SrcAddr: addr("2001:db8::1"), DstAddr: addr("2001:db8::2")}},
		{"sampled_ipv6, ICMPv6", ipRecord(sampledIPv6, 64, 58, "2001:db8::1", "2001:db8::2", 135, 0, 0, 0), flow.Record{
			IPVersion: 6, Bytes: 64, IPProtocol: 58, ICMPType: 135, SrcAddr: addr("2001:db8::1"),
			DstAddr: addr("2001:db8::2")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).sample(expanded(plainHead, link, test.record))
			equal(t, "IP version", r.IPVersion, test.want.IPVersion)
			equal(t, "bytes", r.Bytes, test.want.Bytes)
			equal(t, "protocol", r.IPProtocol, test.want.IPProtocol)
			equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{test.want.SrcPort, test.want.DstPort})
			equal(t, "flags", r.TCPFlags, test.want.TCPFlags)
			equal(t, "type and code", [2]uint8{r.ICMPType, r.ICMPCode},
				[2]uint8{test.want.ICMPType, test.want.ICMPCode})
			equal(t, "type of service", r.ToS, test.want.ToS)
			equal(t, "addresses", [2]flow.Addr{r.SrcAddr, r.DstAddr},
				[2]flow.Addr{test.want.SrcAddr, test.want.DstAddr})
			equal(t, "source MAC", r.SrcMAC, [6]byte(bin("020000000001")))
			equal(t, "ports sent", r.Sent(flow.SrcPort), test.want.IPProtocol == 6 || test.want.IPProtocol == 17)
			equal(t, "flags sent", r.Sent(flow.TCPFlags), test.want.IPProtocol == 6)
		})
	}
}

func TestCase51_EthernetAloneIsNoFlow(t *testing.T) {
	l := newLab(t, Options{})
	link := typed(sampledEthernet, words(1514), opaqueMAC("020000000001"), opaqueMAC("020000000002"), words(0x0800))
	equal(t, "records", len(l.send(datagramOf(head{agent: agentAddress}, compact(plainHead, link)))), 0)
	l.failed(map[exporter.Reason]uint64{exporter.NotIP: 1})
}

// Case 56 is the packet parser's; here only that the options and the header reach it.
func TestCase56_Tunnels(t *testing.T) {
	inner := packet4()
	outer := join(bin("4500003c 00010000 4004 0000"), ip("192.0.2.7"), ip("192.0.2.8"), inner)
	for _, test := range []struct {
		o   Options
		src string
	}{{Options{}, "192.0.2.7"}, {Options{Inner: true}, "10.0.0.1"}} {
		r := newLab(t, test.o).sample(compact(plainHead, headerRecord(headerIPv4, 74, outer)))
		equal(t, "source", r.SrcAddr, addr(test.src))
	}
}
