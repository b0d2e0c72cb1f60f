package netflow

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func TestCase07_v9CountIsIgnored(t *testing.T) {
	for _, count := range []uint16{0, 1, 3, math.MaxUint16} {
		p := v9(header{exportS: exportS}, set(0, templateOf(256, v4Flow()...)),
			set(256, dataOf(v4Flow()...), dataOf(v4Flow()...)))
		copy(p[2:], u16(count))
		l := newLab(t, Options{})
		equal(t, "number of records", len(l.send(p)), 2)
		l.failed(l.stream(flow.NetFlowV9, 0), nil)
	}
}

func TestCase08_v9SequenceCountsDatagrams(t *testing.T) {
	type datagram struct {
		sequence, uptime uint32
		exportS          uint32
	}
	const up = 1_000_000
	tests := []struct {
		name string
		in   []datagram
		want counts
	}{
		{"in order, whatever they hold", []datagram{{5, up, 0}, {6, up, 0}, {7, up, 0}}, counts{}},
		{"wraps", []datagram{{math.MaxUint32, up, 0}, {0, up, 0}, {1, up, 0}}, counts{}},
		{"three lost", []datagram{{5, up, 0}, {9, up, 0}}, counts{lost: 3}},
		{"duplicated", []datagram{{5, up, 0}, {6, up, 0}, {6, up, 0}, {7, up, 0}}, counts{duplicated: 1}},
		{"late", []datagram{{5, up, 0}, {7, up, 0}, {6, up, 0}, {8, up, 0}}, counts{reordered: 1}},
		{"started anew: uptime and number fall", []datagram{{5000, up, 0}, {5001, up, 0}, {0, 1000, 60}, {1, 2000, 61}},
			counts{restarts: 1}},
		{"a clock that drifts is no restart", []datagram{{1, up, 0}, {2, up, 6}, {3, up, 12}, {4, up, 18}}, counts{}},
		{"an uptime that wraps is no restart", []datagram{{5, math.MaxUint32 - 999, 0}, {6, 1000, 2}, {7, 2000, 3}},
			counts{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			first := test.in[0]
			for n := uint32(4); n > 0; n-- { // until it is known how the exporter counts
				l.send(v9(header{exportS: exportS + first.exportS, uptime: first.uptime, sequence: first.sequence - n}))
			}
			for _, dg := range test.in {
				l.send(v9(header{exportS: exportS + dg.exportS, uptime: dg.uptime, sequence: dg.sequence}))
			}
			sequence(t, l.stream(flow.NetFlowV9, 0), test.want)
		})
	}
}

func TestCase09_TemplatesBelongToTheirDomain(t *testing.T) {
	for _, p := range both {
		t.Run(p.String(), func(t *testing.T) {
			l := newLab(t, Options{HoldFor: -1})
			send := func(domain uint32, sets ...[]byte) []flow.Record {
				h := header{exportS: exportS, domain: domain}
				if p == flow.NetFlowV9 {
					return l.send(v9(h, sets...))
				}
				return l.send(ipfix(h, sets...))
			}
			one, two := []item{el(1, u32(100)), el(2, u32(1))}, []item{el(2, u32(7)), el(1, u32(700))}
			kind := uint16(setTemplateV9)
			if p == flow.IPFIX {
				kind = setTemplateIPFIX
			}
			send(1, set(kind, templateOf(256, one...)))
			send(2, set(kind, templateOf(256, two...)))
			equal(t, "bytes of domain 1", send(1, set(256, dataOf(one...)))[0].Bytes, 100)
			equal(t, "bytes of domain 2", send(2, set(256, dataOf(two...)))[0].Bytes, 700)
			equal(t, "records of domain 3, which has no template", len(send(3, set(256, dataOf(one...)))), 0)
			l.failed(l.stream(p, 3), map[exporter.Reason]uint64{exporter.NoTemplate: 1})
		})
	}
	t.Run("NetFlow v9 and IPFIX share nothing", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(v9(header{exportS: exportS}, set(0, templateOf(256, v4Flow()...))))
		equal(t, "records", len(l.send(ipfix(header{exportS: exportS}, set(256, dataOf(v4Flow()...))))), 0)
	})
	t.Run("exporters share nothing", func(t *testing.T) {
		l := newLab(t, Options{})
		l.all(flow.NetFlowV9, v4Flow()...)
		l.source = addrPort("192.0.2.2:4000")
		equal(t, "records", len(l.send(v9(header{exportS: exportS}, set(256, dataOf(v4Flow()...))))), 0)
	})
}

func TestCase10_v9OptionsTemplate(t *testing.T) {
	// The scope is System (1), which is not IE 1: taken for octets it would shift nothing, but Interface (2) and Cache
	// (4) would be packets and a protocol.
	sampling := []item{el(1, u32(0)), el(34, u32(512)), el(35, u8(1))}
	data := set(256, dataOf(v4Flow()...))
	tests := []struct {
		name    string
		padding int
		reasons map[exporter.Reason]uint64
		options []byte
		rate    uint32
	}{
		{"no padding", 0, nil, optionsV9(300, 1, sampling...), 512},
		{"padded to 4 bytes", 2, nil, optionsV9(300, 1, sampling...), 512},
		{"padded by more", 5, nil, optionsV9(300, 1, sampling...), 512},
		{"several scopes", 2, nil, optionsV9(300, 2, el(1, u32(0)), el(3, u8(1)), el(34, u32(512)), el(35, u8(1))),
			512},
		{"lengths are no multiple of 4", 0, map[exporter.Reason]uint64{exporter.BadTemplate: 1},
			slices.Concat(u16(300), u16(5), u16(8), specsOf(sampling)), 1},
		{"lengths beyond the set", 0, map[exporter.Reason]uint64{exporter.BadTemplate: 1},
			slices.Concat(u16(300), u16(4), u16(400), specsOf(sampling)), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			option := dataOf(sampling...)
			if test.name == "several scopes" {
				option = dataOf(el(1, u32(0)), el(3, u8(1)), el(34, u32(512)), el(35, u8(1)))
			}
			r := l.send(v9(header{exportS: exportS},
				set(setOptionsV9, test.options, make([]byte, test.padding)),
				set(setTemplateV9, templateOf(256, v4Flow()...)),
				set(300, option, make([]byte, 3)), data))
			equal(t, "number of records", len(r), 1)
			equal(t, "rate", r[0].SamplingRate, test.rate)
			equal(t, "bytes", r[0].Bytes, 1500)
			l.failed(l.stream(flow.NetFlowV9, 0), test.reasons)
		})
	}
}

func TestCase11_PaddingIsNoRecord(t *testing.T) {
	short := []item{el(4, u8(17)), el(5, u8(0)), el(6, u8(0))} // 3 bytes
	for _, p := range both {
		for _, test := range []struct {
			name    string
			items   []item
			padding int
			records int
		}{
			{"none", v4Flow(), 0, 1},
			{"3 bytes", v4Flow(), 3, 1},
			{"a record less 1", v4Flow(), len(dataOf(v4Flow()...)) - 1, 1},
			{"records of 3 bytes, 2 of padding", short, 2, 1},
		} {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				h := header{exportS: exportS}
				data := set(256, dataOf(test.items...), make([]byte, test.padding))
				var got []flow.Record
				if p == flow.NetFlowV9 {
					got = l.send(v9(h, set(0, templateOf(256, test.items...), make([]byte, 2)), data, make([]byte, 3)))
				} else {
					got = l.send(ipfix(h, set(2, templateOf(256, test.items...), make([]byte, 2)), data,
						make([]byte, 3)))
				}
				equal(t, "number of records", len(got), test.records)
				l.failed(l.stream(p, 0), nil)
			})
		}
	}
}

func TestCase12_v9TimesFromUptime(t *testing.T) {
	const max32 = math.MaxUint32
	tests := []struct {
		name       string
		uptime     uint32
		items      []item
		start, end int64
	}{
		{"plain", 100_000, []item{el(22, u32(40_000)), el(21, u32(90_000))}, -60_000, -10_000},
		{"across the wrap", 5_000, []item{el(22, u32(max32-4_999)), el(21, u32(1_000))}, -10_000, -4_000},
		{"last after the header", 5_000, []item{el(22, u32(4_000)), el(21, u32(5_200))}, -1_000, 200},
		{"IPFIX milliseconds in v9", 100_000, []item{el(152, u64(exportMs-777)), el(153, u64(exportMs-7))}, -777, -7},
		{"milliseconds before uptimes", 100_000,
			[]item{el(22, u32(1)), el(21, u32(1)), el(152, u64(exportMs-777)), el(153, u64(exportMs-7))}, -777, -7},
		{"8 bytes wide", 100_000, []item{el(22, u64(40_000)), el(21, u64(90_000))}, -60_000, -10_000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.send(v9(header{exportS: exportS, uptime: test.uptime},
				set(0, templateOf(256, test.items...)), set(256, dataOf(test.items...))))[0]
			equal(t, "start", r.StartMs-exportMs, test.start)
			equal(t, "end", r.EndMs-exportMs, test.end)
			equal(t, "times sent", r.Has&(flow.Start|flow.End), flow.Start|flow.End)
		})
	}
}

func TestCase13_v9EnterpriseBitHasNoNumber(t *testing.T) {
	items := append([]item{el(0x8000|7, u16(0xffff)), el(40_000, u32(1))}, v4Flow()...)
	r := newLab(t, Options{}).one(flow.NetFlowV9, items...)
	equal(t, "source port", r.SrcPort, 1234) // 0x8007 is not IE 7
	equal(t, "bytes", r.Bytes, 1500)
	r = newLab(t, Options{}).one(flow.NetFlowV9, el(40001, ip("192.0.2.10")), el(40002, ip("192.0.2.20")),
		el(40003, u16(10)),
		el(40004, u16(20)), el(40005, u8(2)))
	equal(t, "translated addresses", [2]flow.Addr{r.PostNATSrcAddr, r.PostNATDstAddr},
		[2]flow.Addr{ip128("192.0.2.10"), ip128("192.0.2.20")})
	equal(t, "translated ports", [2]uint16{r.PostNATSrcPort, r.PostNATDstPort}, [2]uint16{10, 20})
	equal(t, "firewall event", r.FirewallEvent, 2)
	// In IPFIX the same numbers have an enterprise behind them and are not those of Cisco ASA.
	r = newLab(t, Options{}).one(flow.IPFIX, vendor(9, 40001&^0x8000, ip("192.0.2.10")), el(1, u32(5)))
	equal(t, "translated address in IPFIX", r.Sent(flow.PostNATSrcAddr), false)
	equal(t, "bytes in IPFIX", r.Bytes, 5)
}

func TestCase14_RedefinitionReplacesAtOnce(t *testing.T) {
	l := newLab(t, Options{})
	before, after := []item{el(1, u32(100)), el(2, u32(1))}, []item{el(1, u64(200)), el(2, u64(2)), el(4, u8(6))}
	h := header{exportS: exportS}
	r := l.send(v9(h, set(0, templateOf(256, before...)), set(256, dataOf(before...)),
		set(0, templateOf(256, after...)), set(256, dataOf(after...))))
	equal(t, "number of records", len(r), 2)
	equal(t, "bytes", [2]uint64{r[0].Bytes, r[1].Bytes}, [2]uint64{100, 200})
	equal(t, "bytes of the next datagram", l.send(v9(h, set(256, dataOf(after...))))[0].Bytes, 200)
	l.failed(l.stream(flow.NetFlowV9, 0), nil)
}

func TestCase15_TemplateBehindItsData(t *testing.T) {
	for _, p := range both {
		t.Run(p.String(), func(t *testing.T) {
			l := newLab(t, Options{})
			option := []item{el(1, u32(0)), el(34, u32(64))}
			h := header{exportS: exportS}
			var r []flow.Record
			if p == flow.NetFlowV9 {
				r = l.send(v9(h, set(256, dataOf(v4Flow()...)), set(300, dataOf(option...)),
					set(1, optionsV9(300, 1, option...)), set(0, templateOf(256, v4Flow()...))))
			} else {
				option[0] = el(149, u32(0))
				r = l.send(ipfix(h, set(256, dataOf(v4Flow()...)), set(300, dataOf(option...)),
					set(3, optionsIPFIX(300, 1, option...)), set(2, templateOf(256, v4Flow()...))))
			}
			equal(t, "number of records", len(r), 1)
			equal(t, "bytes", r[0].Bytes, 1500)
			equal(t, "rate", r[0].SamplingRate, 64)
			s := l.stream(p, 0)
			equal(t, "held and recovered", [2]uint64{s.Held.Load(), s.Recovered.Load()}, [2]uint64{2, 2})
			equal(t, "options", s.Options.Load(), 1)
			l.failed(s, nil)
		})
	}
}

func TestCase15_HeldDataKeepsItsOwnTime(t *testing.T) {
	l := newLab(t, Options{})
	items := append(v4Flow(), el(22, u32(1000)), el(21, u32(2000)))
	l.send(v9(header{exportS: exportS, uptime: 3000, sequence: 7}, set(256, dataOf(items...))))
	l.received += int64(20 * time.Second)
	r := l.send(v9(header{exportS: exportS + 20, uptime: 23000, sequence: 8}, set(0, templateOf(256, items...))))
	equal(t, "number of records", len(r), 1)
	equal(t, "export time", r[0].ExportMs, exportMs)
	equal(t, "received", r[0].Received, received)
	equal(t, "sequence number", r[0].Sequence, 7)
	equal(t, "start", r[0].StartMs, exportMs-2000)
}

func TestCase17_v9CountersByDirection(t *testing.T) {
	in := []item{el(1, u32(100)), el(2, u32(1))}
	out := []item{el(23, u32(900)), el(24, u32(9))}
	total := []item{el(85, u64(5000)), el(86, u64(50))}
	asa := []item{el(231, u64(77)), el(298, u64(7))}
	empty := []item{el(1, u32(0)), el(2, u32(0))}
	emptyOut := []item{el(23, u32(0)), el(24, u32(0))}
	tests := []struct {
		name           string
		items          []item
		bytes, packets uint64
		sent           bool
	}{
		{"deltas", in, 100, 1, true},
		{"egress deltas alone", out, 900, 9, true},
		{"both, no direction", slices.Concat(out, in), 100, 1, true},
		{"both, ingress", slices.Concat(in, out, []item{el(61, u8(0))}), 100, 1, true},
		{"both, egress", slices.Concat([]item{el(61, u8(1))}, in, out), 900, 9, true},
		{"an empty egress side never counts", slices.Concat(in, emptyOut, []item{el(61, u8(1))}), 100, 1, true},
		{"an empty ingress side gives way", slices.Concat(out, empty), 900, 9, true},
		{"totals", total, 5000, 50, true},
		{"deltas before totals", slices.Concat(total, in), 100, 1, true},
		{"a firewall's initiator", asa, 77, 7, true},
		{"layer 2 if there is nothing else", []item{el(352, u64(64)), el(2, u32(1))}, 64, 1, true},
		{"layer 3 before layer 2", []item{el(352, u64(64)), el(1, u64(46)), el(2, u32(1))}, 46, 1, true},
		{"none", []item{el(4, u8(6))}, 0, 0, false},
	}
	for _, test := range tests {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				r := newLab(t, Options{}).one(p, test.items...)
				equal(t, "counters", [2]uint64{r.Bytes, r.Packets}, [2]uint64{test.bytes, test.packets})
				equal(t, "sent", r.Sent(flow.Bytes|flow.Packets), test.sent)
			})
		}
	}
}

func TestCase18_BothFamiliesInOneTemplate(t *testing.T) {
	four := []item{el(8, ip("198.51.100.1")), el(12, ip("203.0.113.9")), el(9, u8(24)), el(13, u8(25))}
	six := []item{el(27, ip("2001:db8::1")), el(28, ip("2001:db8::2")), el(29, u8(48)), el(30, u8(64))}
	no4 := []item{el(8, ip("0.0.0.0")), el(12, ip("0.0.0.0")), el(9, u8(0)), el(13, u8(0))}
	no6 := []item{el(27, ip("::")), el(28, ip("::")), el(29, u8(0)), el(30, u8(0))}
	tests := []struct {
		name             string
		items            []item
		version          uint8
		source           string
		srcMask, dstMask uint8
	}{
		{"IPv4 filled", slices.Concat(four, no6), 4, "198.51.100.1", 24, 25},
		{"IPv4 filled, second", slices.Concat(no6, four), 4, "198.51.100.1", 24, 25},
		{"IPv6 filled", slices.Concat(no4, six), 6, "2001:db8::1", 48, 64},
		{"IPv6 filled, first", slices.Concat(six, no4), 6, "2001:db8::1", 48, 64},
		{"both, IE 60 says 6", slices.Concat(four, six, []item{el(60, u8(6))}), 6, "2001:db8::1", 48, 64},
		{"both, IE 60 says 4", slices.Concat([]item{el(60, u8(4))}, four, six), 4, "198.51.100.1", 24, 25},
		{"both empty", slices.Concat(no4, no6), 4, "0.0.0.0", 0, 0},
		{"IPv4 alone", four, 4, "198.51.100.1", 24, 25},
		{"IPv6 alone", six, 6, "2001:db8::1", 48, 64},
		{"IPv6 with IE 9 and 13", []item{six[0], six[1], el(9, u8(48)), el(13, u8(64))}, 6, "2001:db8::1", 48, 64},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.NetFlowV9, append(test.items, el(1, u32(1)))...)
			equal(t, "IP version", r.IPVersion, test.version)
			equal(t, "source", r.SrcAddr, ip128(test.source))
			equal(t, "masks", [2]uint8{r.SrcMask, r.DstMask}, [2]uint8{test.srcMask, test.dstMask})
		})
	}
	t.Run("no addresses", func(t *testing.T) {
		equal(t, "IP version", newLab(t, Options{}).one(flow.NetFlowV9, el(1, u32(1))).IPVersion, 0)
	})
	for _, test := range []struct {
		name  string
		items []item
	}{
		{"next hops of both families", []item{el(15, ip("0.0.0.0")), el(62, ip("2001:db8::9")),
			el(63, ip("2001:db8::9")), el(18, ip("0.0.0.0"))}},
		{"empty one last", []item{el(62, ip("2001:db8::9")), el(15, ip("0.0.0.0")), el(18, ip("0.0.0.0")),
			el(63, ip("2001:db8::9"))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.NetFlowV9, test.items...)
			equal(t, "next hops", [2]flow.Addr{r.NextHop, r.BGPNextHop},
				[2]flow.Addr{ip128("2001:db8::9"), ip128("2001:db8::9")})
		})
	}
}
