package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func reversed(id uint16, v []byte) item { return vendor(reversePEN, id, v) }

func TestCase35_BiflowIsTwoRecords(t *testing.T) {
	forward := append(v4Flow(), el(16, u32(64500)), el(17, u32(64501)), el(9, u8(24)), el(13, u8(16)), el(10, u32(1)),
		el(14, u32(2)), el(58, u16(100)), el(59, u16(200)), el(245, u16(11)), el(255, u16(22)), el(56, width(0xa, 6)),
		el(80, width(0xb, 6)), el(129, u32(1001)), el(128, u32(1002)), el(234, u32(31)), el(235, u32(32)), el(6, u8(2)),
		el(152, u64(exportMs-5000)), el(153, u64(exportMs-1000)), el(15, ip("192.0.2.254")))
	back := []item{reversed(1, u32(900)), reversed(2, u32(9)), reversed(6, u8(0x12)),
		reversed(152, u64(exportMs-4000)), reversed(153, u64(exportMs-2000))}
	r := newLab(t, Options{}).all(flow.IPFIX, append(forward, back...)...)
	if len(r) != 2 {
		t.Fatalf("%d records, want 2", len(r))
	}
	f, b := r[0], r[1]
	equal(t, "forward counters", [2]uint64{f.Bytes, f.Packets}, [2]uint64{1500, 3})
	equal(t, "forward flags", f.TCPFlags, 2)
	equal(t, "forward start", f.StartMs, exportMs-5000)
	equal(t, "counters", [2]uint64{b.Bytes, b.Packets}, [2]uint64{900, 9})
	equal(t, "flags", b.TCPFlags, 0x12)
	equal(t, "times", [2]int64{b.StartMs, b.EndMs}, [2]int64{exportMs - 4000, exportMs - 2000})
	equal(t, "addresses", [2]flow.Addr{b.SrcAddr, b.DstAddr}, [2]flow.Addr{f.DstAddr, f.SrcAddr})
	equal(t, "ports", [2]uint16{b.SrcPort, b.DstPort}, [2]uint16{443, 1234})
	equal(t, "AS", [2]uint32{b.SrcAS, b.DstAS}, [2]uint32{64501, 64500})
	equal(t, "peer AS", [2]uint32{b.PeerSrcAS, b.PeerDstAS}, [2]uint32{1002, 1001})
	equal(t, "masks", [2]uint8{b.SrcMask, b.DstMask}, [2]uint8{16, 24})
	equal(t, "interfaces", [2]uint32{b.InIf, b.OutIf}, [2]uint32{2, 1})
	equal(t, "VRFs", [2]uint32{b.IngressVRF, b.EgressVRF}, [2]uint32{32, 31})
	equal(t, "VLANs", [5]uint16{b.SrcVLAN, b.DstVLAN, b.VLAN, b.InnerSrcVLAN, b.InnerDstVLAN},
		[5]uint16{200, 100, 200, 22, 11})
	equal(t, "MACs", [2]byte{b.SrcMAC[5], b.DstMAC[5]}, [2]byte{0xb, 0xa})
	equal(t, "next hop sent", b.Sent(flow.NextHop), false)
	equal(t, "protocol", b.IPProtocol, 6)

	t.Run("one record where nothing came back", func(t *testing.T) {
		r := newLab(t, Options{}).all(flow.IPFIX, append(v4Flow(), reversed(1, u32(0)), reversed(2, u32(0)))...)
		equal(t, "number of records", len(r), 1)
	})
	t.Run("what was sent of one end is sent of the other", func(t *testing.T) {
		r := newLab(t, Options{}).all(flow.IPFIX, el(8, ip("192.0.2.1")), el(10, u32(1)), el(234, u32(5)),
			el(2, u32(1)), reversed(2, u32(4)))
		equal(t, "sent", r[1].Has&(flow.SrcAddr|flow.DstAddr|flow.InIf|flow.OutIf|flow.IngressVRF|flow.EgressVRF),
			flow.DstAddr|flow.OutIf|flow.EgressVRF)
	})
	t.Run("totals and seconds", func(t *testing.T) {
		r := newLab(t, Options{}).all(flow.IPFIX, el(85, u32(10)), el(86, u32(1)), reversed(85, u32(70)),
			reversed(86, u32(7)),
			reversed(150, u32(exportS-9)), reversed(151, u32(exportS-3)))
		equal(t, "counters", [2]uint64{r[1].Bytes, r[1].Packets}, [2]uint64{70, 7})
		equal(t, "times", [2]int64{r[1].StartMs, r[1].EndMs}, [2]int64{exportMs - 9000, exportMs - 3000})
	})
	t.Run("a full batch in between", func(t *testing.T) {
		items := append(v4Flow(), reversed(1, u32(9)), reversed(2, u32(1)))
		l := newLab(t, Options{})
		r := l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...)),
			set(256, slices.Repeat(dataOf(items...), 101))))
		equal(t, "number of records", len(r), 202)
		for i := range r {
			equal(t, "bytes", r[i].Bytes, [2]uint64{1500, 9}[i%2])
		}
	})
}

// frameIPv4 is a UDP packet of 28 bytes in an IP header that says 1028, behind an Ethernet header with a tag or
// without.
func frameIPv4(tag uint16) []byte {
	packet := slices.Concat([]byte{0x45, 0, 4, 4, 0, 0, 0, 0, 64, 17, 0, 0}, ip("198.51.100.1"), ip("203.0.113.9"),
		u16(5353), u16(53), u16(1008), u16(0))
	link := slices.Concat(width(0xb, 6), width(0xa, 6))
	if tag != 0 {
		link = slices.Concat(link, u16(0x8100), u16(tag))
	}
	return slices.Concat(link, u16(0x0800), packet)
}

func TestCase36_FrameSections(t *testing.T) {
	frame := frameIPv4(0)
	tests := []struct {
		name  string
		items []item
		bytes uint64
		vlan  uint16
	}{
		{"315", []item{variable(315, frame), el(312, u16(1046))}, 1028, 0},
		{"315 of fixed length", []item{el(315, frame), el(312, u16(1046))}, 1028, 0},
		{"315 with a tag", []item{variable(315, frameIPv4(7)), el(312, u16(1050))}, 1028, 7},
		{"315 without a size", []item{variable(315, frame)}, 1028, 0},
		{"104 of Cisco", []item{el(103, u16(1046)), el(102, u16(0)), el(104, frame)}, 1028, 0},
		{"313 begins with the IP header", []item{variable(313, frame[14:])}, 1028, 0},
		{"408 says Ethernet", []item{el(408, u16(1)), variable(315, frame)}, 1028, 0},
		{"Juniper's common properties beside it", []item{vendor(2636, 137, u16(5)), variable(315, frame)}, 1028, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, append(test.items, el(10, u32(3)), el(34, u32(100)))...)
			equal(t, "source", r.SrcAddr, ip128("198.51.100.1"))
			equal(t, "destination", r.DstAddr, ip128("203.0.113.9"))
			equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{5353, 53})
			equal(t, "protocol", r.IPProtocol, 17)
			equal(t, "counters", [2]uint64{r.Bytes, r.Packets}, [2]uint64{test.bytes, 1})
			equal(t, "tag", r.FrameVLAN, test.vlan)
			equal(t, "interface", r.InIf, 3)
			equal(t, "rate", r.SamplingRate, 100)
		})
	}
	t.Run("no IP in it", func(t *testing.T) {
		l := newLab(t, Options{})
		r := l.one(flow.IPFIX, variable(315, slices.Concat(make([]byte, 12), u16(0x0806), make([]byte, 28))),
			el(312, u16(60)))
		equal(t, "IP version", r.IPVersion, 0)
		equal(t, "packets", r.Packets, 1)
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.NotIP: 1})
	})
	t.Run("counters of the record count", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, el(1, u32(5000)), el(2, u32(5)), variable(315, frame))
		equal(t, "counters", [2]uint64{r.Bytes, r.Packets}, [2]uint64{5000, 5})
	})
	t.Run("each record has its own", func(t *testing.T) {
		other := slices.Clone(frame)
		copy(other[26:], ip("198.51.100.77"))
		first, second, third := []item{variable(315, frame)}, []item{variable(315, other)}, []item{variable(315, nil)}
		r := newLab(t, Options{}).send(ipfix(ipfixHeader, set(2, templateOf(256, append(first, el(10, u32(1)))...)),
			set(256, dataOf(first...), u32(1), dataOf(second...), u32(2), dataOf(third...), u32(3))))
		equal(t, "sources", [3]flow.Addr{r[0].SrcAddr, r[1].SrcAddr, r[2].SrcAddr},
			[3]flow.Addr{ip128("198.51.100.1"), ip128("198.51.100.77"), {}})
	})
	t.Run("an empty section", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, variable(315, nil), el(1, u32(5)))
		equal(t, "bytes", r.Bytes, 5)
	})
}

func TestCase37_NATEvents(t *testing.T) {
	for _, p := range both {
		r := newLab(t, Options{}).one(p, el(230, u8(1)), el(323, u64(exportMs-5)), el(8, ip("10.0.0.1")),
			el(12, ip("203.0.113.9")),
			el(7, u16(1)), el(11, u16(2)), el(225, ip("192.0.2.10")), el(226, ip("203.0.113.10")), el(227, u16(3)),
			el(228, u16(4)))
		equal(t, "event", r.NATEvent, 1)
		equal(t, "counters sent", r.Has&(flow.Bytes|flow.Packets), 0)
		equal(t, "time", r.StartMs, exportMs-5)
		equal(t, "source before translation", r.SrcAddr, ip128("10.0.0.1"))
		equal(t, "ports before translation", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{1, 2})
		equal(t, "translated", [2]flow.Addr{r.PostNATSrcAddr, r.PostNATDstAddr},
			[2]flow.Addr{ip128("192.0.2.10"), ip128("203.0.113.10")})
		equal(t, "translated ports", [2]uint16{r.PostNATSrcPort, r.PostNATDstPort}, [2]uint16{3, 4})
	}
	r := newLab(t, Options{}).one(flow.IPFIX, el(233, u8(3)), el(281, ip("2001:db8::a")), el(282, ip("2001:db8::b")))
	equal(t, "firewall event", r.FirewallEvent, 3)
	equal(t, "translated IPv6", [2]flow.Addr{r.PostNATSrcAddr, r.PostNATDstAddr},
		[2]flow.Addr{ip128("2001:db8::a"), ip128("2001:db8::b")})
}

func TestCase38_VLANsAndInterfaces(t *testing.T) {
	tests := []struct {
		name           string
		items          []item
		vlan, src, dst uint16
		inner          [2]uint16
	}{
		{"58 and 59", []item{el(58, u16(10)), el(59, u16(20))}, 10, 10, 20, [2]uint16{}},
		{"243 and 254 with customer tags", []item{el(243, u16(10)), el(254, u16(20)), el(245, u16(30)),
			el(255, u16(40))}, 10, 10, 20, [2]uint16{30, 40}},
		{"59 alone", []item{el(59, u16(20))}, 20, 0, 20, [2]uint16{}},
		{"58 of 0, 59", []item{el(58, u16(0)), el(59, u16(20))}, 20, 0, 20, [2]uint16{}},
		{"58 of 0, 243", []item{el(58, u16(0)), el(243, u16(10))}, 10, 10, 0, [2]uint16{}},
		{"243, 58 of 0", []item{el(243, u16(10)), el(58, u16(0))}, 10, 10, 0, [2]uint16{}},
		{"priority bits", []item{el(58, u16(7<<13|10)), el(244, u8(7))}, 10, 10, 0, [2]uint16{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, test.items...)
			equal(t, "VLANs", [3]uint16{r.VLAN, r.SrcVLAN, r.DstVLAN}, [3]uint16{test.vlan, test.src, test.dst})
			equal(t, "inner VLANs", [2]uint16{r.InnerSrcVLAN, r.InnerDstVLAN}, test.inner)
		})
	}
	t.Run("physical interfaces stand in", func(t *testing.T) {
		for _, items := range [][]item{
			{el(252, u32(8)), el(253, u32(9))},
			{el(252, u32(1)), el(10, u32(8)), el(253, u32(1)), el(14, u32(9))},
			{el(10, u32(8)), el(252, u32(1)), el(14, u32(9)), el(253, u32(1))},
		} {
			r := newLab(t, Options{}).one(flow.IPFIX, items...)
			equal(t, "interfaces", [2]uint32{r.InIf, r.OutIf}, [2]uint32{8, 9})
		}
	})
	t.Run("addresses of the other side of the link stand in", func(t *testing.T) {
		own, other := []item{el(56, width(1, 6)), el(80, width(2, 6))}, []item{el(81, width(3, 6)), el(57, width(4, 6))}
		for _, test := range []struct {
			items []item
			want  [2]byte
		}{{own, [2]byte{1, 2}}, {other, [2]byte{3, 4}}, {slices.Concat(own, other), [2]byte{1, 2}},
			{slices.Concat(other, own), [2]byte{1, 2}}} {
			r := newLab(t, Options{}).one(flow.NetFlowV9, test.items...)
			equal(t, "MACs", [2]byte{r.SrcMAC[5], r.DstMAC[5]}, test.want)
		}
	})
}

func TestCase39_MPLS(t *testing.T) {
	label := func(value uint32, bottom uint32) []byte { return width(uint64(value<<4|bottom), 3) }
	stack := func(labels ...[]byte) (items []item) {
		for i, l := range labels {
			items = append(items, el(uint16(70+i), l))
		}
		return items
	}
	tests := []struct {
		name     string
		items    []item
		entries  []uint32
		elements uint8
	}{
		{"two, the second is the bottom", stack(label(24001, 0), label(16, 1), label(99, 0)),
			[]uint32{24001 << 4, 16<<4 | 1}, 3},
		{"empty ones behind", stack(label(24001, 0), label(0, 0), label(0, 0)), []uint32{24001 << 4}, 3},
		{"explicit null on top", stack(label(0, 0), label(16, 1)), []uint32{0, 16<<4 | 1}, 2},
		{"none", stack(label(0, 0), label(0, 0)), nil, 2},
		{"ten without a bottom", stack(slices.Repeat([][]byte{label(5, 0)}, 10)...),
			slices.Repeat([]uint32{5 << 4}, 10), 10},
		{"experimental bits stay", stack(width(16<<4|5<<1|1, 3)), []uint32{16<<4 | 5<<1 | 1}, 1},
		{"4 bytes wide", stack(width(16<<4|1, 4)), []uint32{16<<4 | 1}, 1},
	}
	for _, test := range tests {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				r := newLab(t, Options{}).one(p, append(test.items, el(1, u32(1)))...)
				equal(t, "elements", r.MPLSElements, test.elements)
				if got := r.MPLS[:r.MPLSCount]; !slices.Equal(got, test.entries) {
					t.Errorf("labels are %x, want %x", got, test.entries)
				}
			})
		}
	}
	t.Run("top label and pseudowire", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, el(46, u8(4)), el(47, ip("192.0.2.7")), el(249, u32(77)),
			el(90, []byte{0, 0, 0xfb, 0xf0, 0, 0, 0, 12}))
		equal(t, "type", r.MPLSTopLabelType, 4)
		equal(t, "address", r.MPLSTopLabelAddr, ip128("192.0.2.7"))
		equal(t, "pseudowire", r.MPLSPseudowire, 77)
		equal(t, "route distinguisher", r.MPLSRD, [8]byte{0, 0, 0xfb, 0xf0, 0, 0, 0, 12})
		equal(t, "labels sent", r.Sent(flow.MPLS), false)
		r = newLab(t, Options{}).one(flow.IPFIX, el(140, ip("2001:db8::7")))
		equal(t, "IPv6 address", r.MPLSTopLabelAddr, ip128("2001:db8::7"))
	})
}

func TestCase40_ForwardingStatus(t *testing.T) {
	const dropped = 2<<6 | 3
	for _, v := range [][]byte{u8(dropped), u16(dropped), u32(dropped)} {
		for _, p := range both {
			equal(t, "status", newLab(t, Options{}).one(p, el(89, v)).ForwardingStatus, dropped)
		}
	}
}

func TestCase41_SRv6(t *testing.T) {
	segments := slices.Concat(ip("2001:db8::3"), ip("2001:db8::2"), ip("2001:db8::1"))
	for _, i := range []item{variable(497, segments), el(497, segments),
		variable(497, append(slices.Clone(segments), 1, 2, 3))} {
		r := newLab(t, Options{}).one(flow.IPFIX, i, el(31, u32(0xfff12345)))
		want := []flow.Addr{ip128("2001:db8::3"), ip128("2001:db8::2"), ip128("2001:db8::1")}
		if !slices.Equal(r.SRv6Segments, want) {
			t.Errorf("segments are %v, want %v", r.SRv6Segments, want)
		}
		equal(t, "flow label", r.FlowLabel, 0x12345)
	}
	r := newLab(t, Options{}).one(flow.IPFIX, variable(497, nil))
	equal(t, "sent of an empty list", r.Sent(flow.SRv6Segments), false)
}

func TestCase43_NamesFromOptions(t *testing.T) {
	l := newLab(t, Options{})
	l.learn(flow.NetFlowV9, el(2, u32(7)), el(82, []byte("Gi0/7\x00\x00\x00")), el(83, text("to the core  ")))
	equal(t, "v9 name", l.one(flow.NetFlowV9, v4Flow()...).Names.Interface[7],
		flow.InterfaceName{Name: "Gi0/7", Description: "to the core"})
	l.learn(flow.IPFIX, el(10, u32(8)), variable(82, text("Te0/8")), variable(83, nil))
	l.learn(flow.IPFIX, el(234, u32(3)), el(235, u32(3)), variable(236, text("customers")), el(90, make([]byte, 8)))
	r := l.one(flow.IPFIX, v4Flow()...)
	equal(t, "IPFIX name", r.Names.Interface[8], flow.InterfaceName{Name: "Te0/8"})
	equal(t, "VRF", r.Names.VRF[3], "customers")
	l.learn(flow.IPFIX, el(10, u32(8)), variable(82, text("Te0/8.1")))
	equal(t, "new name", l.one(flow.IPFIX, v4Flow()...).Names.Interface[8].Name, "Te0/8.1")
	l.source = addrPort("192.0.2.2:4000")
	if names := l.one(flow.IPFIX, v4Flow()...).Names; names != nil {
		t.Errorf("another exporter has names: %v", names)
	}
	t.Run("long names are cut", func(t *testing.T) {
		equal(t, "length", len(nameText(make([]byte, 0))), 0)
		equal(t, "length", len(nameText(slices.Repeat(text("x"), 1000))), maxNameLength)
	})
}

func TestCase43_ExporterAddressFromOptions(t *testing.T) {
	l := newLab(t, Options{})
	l.learn(flow.IPFIX, el(149, u32(0)), el(130, ip("192.0.2.77")), el(42, u64(5)))
	r := l.one(flow.IPFIX, v4Flow()...)
	equal(t, "exporter", r.Exporter, ip128("192.0.2.77"))
	equal(t, "source", r.Source, ip128("192.0.2.1"))
	equal(t, "what the stream says", l.stream(flow.IPFIX, 0).Stated(), ip128("192.0.2.77"))
	l.learn(flow.IPFIX, el(149, u32(0)), el(130, ip("0.0.0.0")))
	equal(t, "exporter after an empty address", l.one(flow.IPFIX, v4Flow()...).Exporter, ip128("192.0.2.77"))
	equal(t, "exporter of the record", l.one(flow.IPFIX, append(v4Flow(), el(131, ip("2001:db8::77")))...).Exporter,
		ip128("2001:db8::77"))
}

func TestCase05_ICMPFromTheDestinationPort(t *testing.T) {
	tests := []struct {
		name       string
		items      []item
		kind, code uint8
		sent       bool
	}{
		{"32", []item{el(4, u8(1)), el(32, u16(8<<8))}, 8, 0, true},
		{"139", []item{el(4, u8(58)), el(139, u16(128<<8|1))}, 128, 1, true},
		{"176 and 177", []item{el(4, u8(1)), el(176, u8(3)), el(177, u8(1))}, 3, 1, true},
		{"178 and 179", []item{el(4, u8(58)), el(178, u8(1)), el(179, u8(4))}, 1, 4, true},
		{"the port of ICMP", []item{el(4, u8(1)), el(7, u16(0)), el(11, u16(3<<8|3))}, 3, 3, true},
		{"the port of ICMPv6", []item{el(11, u16(128<<8)), el(4, u8(58))}, 128, 0, true},
		{"an element before the port", []item{el(4, u8(1)), el(11, u16(0)), el(32, u16(8<<8))}, 8, 0, true},
		{"the port of UDP", []item{el(4, u8(17)), el(11, u16(3<<8|3))}, 0, 0, false},
	}
	for _, test := range tests {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				r := newLab(t, Options{}).one(p, test.items...)
				equal(t, "ICMP", [2]uint8{r.ICMPType, r.ICMPCode}, [2]uint8{test.kind, test.code})
				equal(t, "sent", r.Sent(flow.ICMP), test.sent)
			})
		}
	}
}

func TestPortsAndPrefixesThatStandIn(t *testing.T) {
	r := newLab(t, Options{}).one(flow.IPFIX, el(4, u8(17)), el(180, u16(5353)), el(181, u16(53)), el(182, u16(0)),
		el(183, u16(0)))
	equal(t, "UDP ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{5353, 53})
	r = newLab(t, Options{}).one(flow.IPFIX, el(180, u16(1)), el(181, u16(2)), el(7, u16(5353)), el(11, u16(53)))
	equal(t, "IE 7 and 11 before 180 and 181", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{5353, 53})
	r = newLab(t, Options{}).one(flow.IPFIX, el(44, ip("198.51.100.0")), el(9, u8(24)), el(45, ip("203.0.113.0")),
		el(13, u8(24)))
	equal(t, "prefixes", [2]flow.Addr{r.SrcAddr, r.DstAddr}, [2]flow.Addr{ip128("198.51.100.0"), ip128("203.0.113.0")})
	r = newLab(t, Options{}).one(flow.IPFIX, el(170, ip("2001:db8::")), el(169, ip("2001:db8:1::")))
	equal(t, "IPv6 prefixes", [2]flow.Addr{r.SrcAddr, r.DstAddr},
		[2]flow.Addr{ip128("2001:db8::"), ip128("2001:db8:1::")})
	for _, items := range [][]item{
		{el(44, ip("198.51.100.0")), el(8, ip("198.51.100.7"))},
		{el(8, ip("198.51.100.7")), el(44, ip("198.51.100.0"))},
	} {
		equal(t, "address before prefix", newLab(t, Options{}).one(flow.IPFIX, items...).SrcAddr, ip128("198.51.100.7"))
	}
}

func TestPlainFields(t *testing.T) {
	r := newLab(t, Options{}).one(flow.IPFIX, el(136, u8(3)), el(61, u8(1)), el(128, u32(1)), el(129, u32(2)),
		el(234, u32(3)),
		el(235, u32(4)), el(18, ip("192.0.2.3")), el(15, ip("192.0.2.4")), el(5, u8(0x20)), el(16, u32(4200000000)),
		el(17, u16(64500)))
	equal(t, "flow end reason", r.FlowEndReason, 3)
	equal(t, "direction", r.Direction, 1)
	equal(t, "peer AS", [2]uint32{r.PeerDstAS, r.PeerSrcAS}, [2]uint32{1, 2})
	equal(t, "VRFs", [2]uint32{r.IngressVRF, r.EgressVRF}, [2]uint32{3, 4})
	equal(t, "next hops", [2]flow.Addr{r.BGPNextHop, r.NextHop}, [2]flow.Addr{ip128("192.0.2.3"), ip128("192.0.2.4")})
	equal(t, "ToS", r.ToS, 0x20)
	equal(t, "AS", [2]uint32{r.SrcAS, r.DstAS}, [2]uint32{4200000000, 64500})
	equal(t, "template", r.TemplateID, 256)
	equal(t, "protocol", r.Protocol, flow.IPFIX)
	equal(t, "export time", r.ExportMs, exportMs)
	equal(t, "received", r.Received, received)
}
