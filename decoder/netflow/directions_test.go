package netflow

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Counters of both directions in one record are two records: a firewall's as those of RFC 5103 (case 35). A direction
// without packets is none, and nothing is lost by it.
func TestCase35_InitiatorAndResponder(t *testing.T) {
	ends := []item{el(8, ip("10.0.0.5")), el(12, ip("198.51.100.20")), el(7, u16(51000)), el(11, u16(443)),
		el(4, u8(6)),
		el(10, u16(3)), el(14, u16(4)), el(225, ip("203.0.113.5")), el(226, ip("198.51.100.20"))}
	type direction = [2]uint64 // bytes, packets
	none := direction{}
	event := []item{el(233, u8(1)), el(323, u64(exportMs))}
	tests := []struct {
		name             string
		items            []item
		forward, reverse direction
		rows             string
	}{
		{"4 bytes", []item{el(231, u32(1687)), el(232, u32(2_221_543)), el(298, u32(12)), el(299, u32(1600))},
			direction{1687, 12}, direction{2_221_543, 1600}, "both"},
		{"8 bytes", []item{el(231, u64(1687)), el(232, u64(1<<40)), el(298, u64(12)), el(299, u64(1<<33))},
			direction{1687, 12}, direction{1 << 40, 1 << 33}, "both"},
		{"6 bytes, the responder first", []item{el(232, width(1<<40, 6)), el(299, width(1<<33, 6)), el(231, u16(1687)),
			el(298, u8(12))}, direction{1687, 12}, direction{1 << 40, 1 << 33}, "both"},
		{"bytes alone", []item{el(231, u32(1687)), el(232, u32(99))}, direction{1687, 0}, direction{99, 0}, "both"},
		{"packets alone", []item{el(298, u32(12)), el(299, u32(9))}, direction{0, 12}, direction{0, 9}, "both"},
		{"nothing from the responder", []item{el(231, u32(1687)), el(232, u32(0)), el(298, u32(12)), el(299, u32(0))},
			direction{1687, 12}, none, "forward"},
		{"nothing from the initiator", []item{el(231, u32(0)), el(232, u32(99)), el(298, u32(0)), el(299, u32(1))},
			none, direction{99, 1}, "reverse"},
		{"the responder's counters alone", []item{el(232, u32(99)), el(299, u32(1))}, none, direction{99, 1},
			"reverse"},
		{"an event without packets", append(slices.Clone(event), el(231, u32(0)), el(232, u32(0))), none, none,
			"forward"},
		{"an event with the responder's", append(slices.Clone(event), el(231, u32(0)), el(232, u32(70))), none,
			direction{70, 0}, "reverse"},
		{"beside counters of the flow", []item{el(1, u32(500)), el(2, u32(5)), el(231, u32(400)), el(232, u32(100))},
			direction{500, 5}, none, "forward"},
		{"beside counters of the flow that are 0",
			[]item{el(1, u32(0)), el(2, u32(0)), el(231, u32(400)), el(298, u32(4)), el(232, u32(100)),
				el(299, u32(1))},
			direction{400, 4}, direction{100, 1}, "both"},
		{"RFC 5103", []item{el(1, u32(500)), el(2, u32(5)), reversed(1, u32(900)), reversed(2, u32(9))},
			direction{500, 5}, direction{900, 9}, "both"},
		{"RFC 5103, the other direction's first", []item{reversed(2, u64(9)), reversed(1, u64(900)), el(1, u32(500)),
			el(2, u32(5))}, direction{500, 5}, direction{900, 9}, "both"},
		{"RFC 5103, the other direction only", []item{el(1, u64(0)), el(2, u64(0)), reversed(1, u64(900)),
			reversed(2, u64(9))}, none, direction{900, 9}, "reverse"},
		{"RFC 5103, neither", []item{el(1, u64(0)), reversed(1, u64(0))}, none, none, "forward"},
		{"RFC 5103, totals of the other direction only", []item{el(85, u64(0)), el(86, u64(0)), reversed(85, u64(900)),
			reversed(86, u64(9))}, none, direction{900, 9}, "reverse"},
	}
	for _, p := range both {
		for _, test := range tests {
			if p == flow.NetFlowV9 && slices.ContainsFunc(test.items, func(i item) bool { return i.pen != 0 }) {
				continue // it has no enterprise numbers
			}
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				got := l.all(p, append(slices.Clone(ends), test.items...)...)
				l.failed(l.stream(p, 0), nil)
				want := map[string][]direction{"both": {test.forward, test.reverse}, "forward": {test.forward},
					"reverse": {test.reverse}}[test.rows]
				if len(got) != len(want) {
					t.Fatalf("%d records, want %d", len(got), len(want))
				}
				equal(t, "records counted", l.stream(p, 0).Records.Load(), uint64(len(want)))
				for i, counted := range want {
					equal(t, "bytes and packets", direction{got[i].Bytes, got[i].Packets}, counted)
				}
				if test.rows != "reverse" {
					equal(t, "source", got[0].SrcAddr, ip128("10.0.0.5"))
				}
				if test.rows == "forward" {
					return
				}
				r := &got[len(got)-1]
				sent := func(ids ...uint16) bool {
					return slices.ContainsFunc(test.items, func(i item) bool { return slices.Contains(ids, i.id) })
				}
				equal(t, "packets of the reverse were sent", r.Sent(flow.Packets), sent(299, 2, 86))
				equal(t, "source", r.SrcAddr, ip128("198.51.100.20"))
				equal(t, "destination port", r.DstPort, 51000)
				equal(t, "interfaces", [2]uint32{r.InIf, r.OutIf}, [2]uint32{4, 3})
				equal(t, "destination behind the NAT", r.PostNATDstAddr, ip128("203.0.113.5"))
				equal(t, "flags were sent", r.Sent(flow.TCPFlags), false)
				equal(t, "an event was sent", r.Sent(flow.FirewallEvent), sent(233))
			})
		}
	}
}

// Totals that come again at each active timeout count once (case 65).
func TestCase65_RepeatedTotals(t *testing.T) {
	type record struct {
		end            int64 // seconds after the first
		bytes, packets uint64
		want           [2]uint64
	}
	const start = exportMs - 600_000
	tests := []struct {
		name    string
		width   int
		absent  []uint16
		records []record
	}{
		{"growing", 8, nil, []record{{0, 1000, 10, [2]uint64{1000, 10}}, {60, 2500, 25, [2]uint64{1500, 15}},
			{120, 2500, 25, [2]uint64{}}, {180, 9000, 30, [2]uint64{6500, 5}}}},
		{"growing, 4 bytes", 4, nil, []record{{0, 1000, 10, [2]uint64{1000, 10}}, {60, 2500, 25, [2]uint64{1500, 15}}}},
		{"4 bytes that wrap", 4, nil, []record{{0, 4_294_967_000, 10, [2]uint64{4_294_967_000, 10}},
			{60, 500, 25, [2]uint64{796, 15}}}},
		{"late", 8, nil, []record{{0, 1000, 10, [2]uint64{1000, 10}}, {120, 9000, 30, [2]uint64{8000, 20}},
			{60, 2500, 25, [2]uint64{}}, {180, 9100, 31, [2]uint64{100, 1}}}},
		{"one end for all", 8, nil, []record{{0, 1000, 10, [2]uint64{1000, 10}}, {0, 1000, 10, [2]uint64{1000, 10}}}},
		{"they fall: these are no totals", 8, nil,
			[]record{{0, 1000, 10, [2]uint64{1000, 10}}, {60, 900, 9, [2]uint64{900, 9}},
				{120, 2000, 20, [2]uint64{2000, 20}}}},
		{"without a start", 8, []uint16{152}, []record{{0, 1000, 10, [2]uint64{1000, 10}},
			{60, 2500, 25, [2]uint64{2500, 25}}}},
		{"without an end", 8, []uint16{153}, []record{{0, 1000, 10, [2]uint64{1000, 10}},
			{60, 2500, 25, [2]uint64{2500, 25}}}},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				for _, r := range test.records {
					items := []item{el(8, ip("192.0.2.1")), el(12, ip("198.51.100.1")), el(4, u8(6)), el(7, u16(1)),
						el(11, u16(2)),
						el(85, width(r.bytes, test.width)), el(86, width(r.packets, test.width)),
						el(152, u64(start)), el(153, u64(uint64(start+r.end*1000)))}
					items = slices.DeleteFunc(items, func(i item) bool { return slices.Contains(test.absent, i.id) })
					got := l.one(p, items...)
					equal(t, "bytes and packets", [2]uint64{got.Bytes, got.Packets}, r.want)
					// Another flow of the same time has its own totals.
					items[3] = el(7, u16(uint16(100+r.end)))
					got = l.one(p, items...)
					equal(t, "bytes of another flow", got.Bytes, r.bytes)
				}
			})
		}
	}
	t.Run("uptimes", func(t *testing.T) {
		l := newLab(t, Options{})
		for i, want := range []uint64{1000, 1500} {
			r := l.one(flow.NetFlowV9, el(8, ip("192.0.2.1")), el(85, u32(uint32(1000+1500*i))),
				el(22, u32(testUptime-100_000)), el(21, u32(uint32(testUptime-50_000+i*40_000))))
			equal(t, "bytes", r.Bytes, want)
		}
		equal(t, "counted", l.stream(flow.NetFlowV9, 0).TimesRead(exporter.TotalsRepeated), 1)
	})
	t.Run("of both directions", func(t *testing.T) {
		l := newLab(t, Options{})
		for i, want := range [][2]uint64{{1000, 70}, {1500, 30}} {
			r := l.all(flow.IPFIX, el(8, ip("192.0.2.1")), el(12, ip("192.0.2.2")), el(85, u64(uint64(1000+1500*i))),
				vendor(reversePEN, 85, u64(uint64(70+30*i))),
				el(152, u64(start)), el(153, u64(uint64(start+1000+i*60_000))))
			equal(t, "bytes", [2]uint64{r[0].Bytes, r[1].Bytes}, want)
		}
	})
	t.Run("two exporters, two domains", func(t *testing.T) {
		l := newLab(t, Options{})
		items := []item{el(8, ip("192.0.2.1")), el(85, u64(1000)), el(152, u64(start)), el(153, u64(start+1000))}
		later := append(slices.Clone(items[:3]), el(153, u64(start+2000)))
		for _, domain := range []uint32{1, 2} {
			r := l.send(message(flow.IPFIX, domain, set(2, templateOf(256, items...)), set(256, dataOf(items...))))
			equal(t, "bytes", r[0].Bytes, 1000)
		}
		l.source = addrPort("192.0.2.9:4000")
		r := l.send(message(flow.IPFIX, 1, set(2, templateOf(256, later...)), set(256, dataOf(later...))))
		equal(t, "bytes of another exporter", r[0].Bytes, 1000)
	})
}

// The memory of totals is bounded, and a source that sends many flows takes it from none that sends few.
func TestTotalsAreBounded(t *testing.T) {
	const bytes, start = 1000 * flowBytes, exportMs - 600_000
	l := newLab(t, Options{TotalsBytes: bytes})
	items := func(n uint32, end int64, total uint64) []item {
		return []item{el(8, u32(n)), el(85, u64(total)), el(152, u64(start)), el(153, u64(uint64(start+end)))}
	}
	send := func(source string, n uint32, end int64, total uint64) uint64 {
		l.source = addrPort(source)
		return l.one(flow.IPFIX, items(n, end, total)...).Bytes
	}
	const small, large = "192.0.2.1:4000", "192.0.2.2:4000"
	for i := range uint32(10) {
		equal(t, "bytes of a new flow", send(small, i, 1000, 500), 500)
	}
	for i := range uint32(5000) {
		l.received += int64(time.Millisecond)
		send(large, i, 1000, 500)
		if used := l.d.totals.memory.Used(); used > bytes {
			t.Fatalf("%d bytes are used, want at most %d", used, bytes)
		}
	}
	equal(t, "forgotten of the large source", l.stream(flow.IPFIX, 0).TimesRead(exporter.TotalsForgotten) >= 4000, true)
	equal(t, "bytes of the latest flow", send(large, 4999, 2000, 700), 200)
	equal(t, "bytes of a forgotten one", send(large, 1, 2000, 700), 700)
	for i := range uint32(10) {
		equal(t, "bytes of a small source's flow", send(small, i, 2000, 700), 200)
	}
	equal(t, "forgotten of the small source", l.stream(flow.IPFIX, 0).TimesRead(exporter.TotalsForgotten), 0)
	l.wait(2 * time.Hour)
	equal(t, "bytes used when all flows have ended", l.d.totals.memory.Used(), 0)
	equal(t, "sources", len(l.d.totals.sources), 0)
}

// Sequence numbers of source ports are in the source's account, and go with it.
func TestNumbersAreCharged(t *testing.T) {
	l := newLab(t, Options{})
	l.one(flow.IPFIX, v4Flow()...)
	src := l.d.sources[ip128("192.0.2.1")]
	before := src.has.templates.Used()
	for port := range uint16(20) {
		l.source = netipPort(l.source, 5000+port)
		l.send(message(flow.IPFIX, 0, set(256, dataOf(v4Flow()...))))
	}
	s := src.sessions[sessionKey{flow.IPFIX, 0}]
	equal(t, "bytes of the ports", src.has.templates.Used()-before, s.numbers.Bytes())
	if n := s.numbers.Bytes(); n < 8*600 || n > 8*1000 {
		t.Errorf("8 ports cost %d bytes", n)
	}
	src.evictTemplates(l.d, func(*template) bool { return true })
	equal(t, "bytes when they were evicted", s.numbers.Bytes(), 0)
	equal(t, "bytes of the source", src.has.templates.Used(), s.cost())
}

// Next hops of both families: that of the flow's own counts, the other where that is none (case 67).
func TestCase67_NextHopsByFamily(t *testing.T) {
	four := []item{el(8, ip("192.0.2.1")), el(12, ip("192.0.2.2"))}
	six := []item{el(27, ip("2001:db8::1")), el(28, ip("2001:db8::2"))}
	const hop4, hop6, none4, none6 = "203.0.113.1", "2001:db8::ff", "0.0.0.0", "::"
	tests := []struct {
		name   string
		flow   []item
		v4, v6 string
		want   string
	}{
		{"IPv4, both", four, hop4, hop6, hop4}, {"IPv6, both", six, hop4, hop6, hop6},
		{"IPv4, neither", four, none4, none6, none4}, {"IPv6, neither", six, none4, none6, none6},
		{"IPv4, its own", four, hop4, none6, hop4}, {"IPv6, its own", six, none4, hop6, hop6},
		{"IPv4 over IPv6", four, none4, hop6, hop6}, {"IPv6 over IPv4", six, hop4, none6, hop4},
	}
	for _, p := range both {
		for _, test := range tests {
			for _, turned := range []bool{false, true} {
				t.Run(p.String()+" "+test.name, func(t *testing.T) {
					hops := []item{el(15, ip(test.v4)), el(62, ip(test.v6)), el(18, ip(test.v4)), el(63, ip(test.v6))}
					if turned {
						slices.Reverse(hops)
					}
					l := newLab(t, Options{})
					l.all(p, slices.Concat(four, []item{el(15, ip(hop4)), el(62, ip(hop6)), el(1, u32(1))})...)
					r := l.one(p, append(slices.Concat(test.flow, hops), el(1, u32(1)))...)
					equal(t, "next hop", r.NextHop.String(), test.want)
					equal(t, "BGP next hop", r.BGPNextHop.String(), test.want)
				})
			}
		}
	}
}

func TestCase68_StationAddresses(t *testing.T) {
	station, mac := el(366, ip("10.20.30.40")), el(365, []byte{2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee})
	none := flow.Addr{}
	a, own := ip128("10.20.30.40"), ip128("192.0.2.1")
	tests := []struct {
		name     string
		items    []item
		src, dst flow.Addr
	}{
		{"from the station", []item{mac, station, el(61, u8(0))}, a, none},
		{"to the station", []item{mac, station, el(61, u8(1))}, none, a},
		{"no direction", []item{mac, station}, a, none},
		{"the source is known", []item{station, el(8, ip("192.0.2.1")), el(61, u8(0))}, own, none},
		{"the destination is known, from the station", []item{station, el(12, ip("192.0.2.1")), el(61, u8(0))}, a, own},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				r := newLab(t, Options{}).one(p, append(test.items, el(1, u32(9)))...)
				equal(t, "source", r.SrcAddr, test.src)
				equal(t, "destination", r.DstAddr, test.dst)
				equal(t, "version", r.IPVersion, 4)
				equal(t, "the ends were sent", [2]bool{r.Sent(flow.SrcAddr), r.Sent(flow.DstAddr)},
					[2]bool{test.src != none, test.dst != none})
				if test.items[0].id == 365 {
					equal(t, "MAC addresses were sent", [2]bool{r.Sent(flow.SrcMAC), r.Sent(flow.DstMAC)},
						[2]bool{test.src != none, test.dst != none})
				}
			})
		}
	}
}

// An unspecified address names nobody, in whichever order and family it comes (case 63 of the exporter's address).
func TestCase63_UnspecifiedExporters(t *testing.T) {
	four, six, no4, no6 := el(130, ip("203.0.113.9")), el(131, ip("2001:db8::9")), el(130, ip("0.0.0.0")),
		el(131, ip("::"))
	tests := []struct {
		name  string
		items []item
		want  string
	}{
		{"IPv4, then ::", []item{four, no6}, "203.0.113.9"}, {":: , then IPv4", []item{no6, four}, "203.0.113.9"},
		{"0.0.0.0, then IPv6", []item{no4, six}, "2001:db8::9"},
		{"IPv6, then 0.0.0.0", []item{six, no4}, "2001:db8::9"},
		{"neither", []item{no4, no6}, "192.0.2.1"},
		{"both", []item{four, six}, "203.0.113.9"}, {"both, IPv6 first", []item{six, four}, "203.0.113.9"},
		{"both over IPv6", []item{four, six}, "2001:db8::9"},
		{"both over IPv6, IPv6 first", []item{six, four}, "2001:db8::9"},
		{"IPv4 over IPv6", []item{no6, four}, "203.0.113.9"},
		{"the source's own, and IPv6", []item{el(130, ip("192.0.2.1")), six}, "192.0.2.1"},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				exporterAt := func() *lab {
					l := newLab(t, Options{})
					if strings.Contains(test.name, "over IPv6") {
						l.source = addrPort("[2001:db8::1]:4000")
					}
					return l
				}
				l := exporterAt()
				scope := el(144, u32(1))
				if p == flow.NetFlowV9 {
					scope = el(1, u32(0))
				}
				l.learn(p, append([]item{scope}, test.items...)...)
				equal(t, "by options", l.one(p, v4Flow()...).Exporter.String(), test.want)
				l = exporterAt()
				equal(t, "by the record", l.one(p, append(test.items, v4Flow()...)...).Exporter.String(), test.want)
				if want := l.source.Addr().String(); l.one(p, v4Flow()...).Exporter.String() != want {
					t.Errorf("the next record's exporter is not %s", want)
				}
			})
		}
	}
}

// Option records say the route distinguishers of VRFs (case 69).
func TestCase69_RouteDistinguishers(t *testing.T) {
	rd := func(n byte) []byte { return []byte{0, 0, 0xfb, 0xf4, 0, 0, 0, n} }
	none := make([]byte, 8)
	tests := []struct {
		name  string
		items []item
		want  []byte
	}{
		{"ingress", []item{el(234, u32(1)), el(235, u32(2))}, rd(1)},
		{"egress", []item{el(234, u32(1)), el(235, u32(2)), el(61, u8(1))}, rd(2)},
		{"the other, where the ingress has none", []item{el(234, u32(9)), el(235, u32(2))}, rd(2)},
		{"the egress alone", []item{el(235, u32(2))}, rd(2)},
		{"the record's own", []item{el(234, u32(1)), el(90, rd(7))}, rd(7)},
		{"none in the record", []item{el(234, u32(1)), el(90, none)}, rd(1)},
		{"a VRF that is not known", []item{el(234, u32(9))}, nil},
		{"no VRF", nil, nil},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				before := l.one(p, append(v4Flow(), test.items...)...)
				for id, n := range map[uint32]byte{1: 1, 2: 2} {
					scope := el(144, u32(1))
					if p == flow.NetFlowV9 {
						scope = el(1, u32(0))
					}
					key := uint16(234)
					if id == 2 {
						key = 235
					}
					l.learn(p, scope, el(key, u32(id)), el(90, rd(n)), el(236, text("customer")))
				}
				r := l.one(p, append(v4Flow(), test.items...)...)
				again := newLab(t, Options{Saved: NewSaved(l.d.State())}).one(p, append(v4Flow(), test.items...)...)
				equal(t, "sent", r.Sent(flow.MPLSRD), test.want != nil)
				if test.want != nil {
					equal(t, "RD", r.MPLSRD, [8]byte(test.want))
					equal(t, "RD after a restart", again.MPLSRD, [8]byte(test.want))
				}
				equal(t, "RD before the options", before.Sent(flow.MPLSRD),
					slices.ContainsFunc(test.items, func(i item) bool { return i.id == 90 }))
			})
		}
	}
}

// A message that is cut where a set ends has lost what came behind: how many records is not known, so the next message
// tells nothing (case 19).
func TestCase19_MessageCutAtASetsEnd(t *testing.T) {
	l := newLab(t, Options{})
	data := func(n int) []byte { return set(256, slices.Repeat(dataOf(v4Flow()...), n)) }
	send := func(number uint32, cut int, sets ...[]byte) {
		p := ipfix(header{exportS: exportS, sequence: number}, sets...)
		l.send(p[:len(p)-cut])
	}
	send(0, 0, set(2, templateOf(256, v4Flow()...)), data(1))
	for i := range uint32(5) {
		send(1+2*i, 0, data(2))
	}
	send(11, len(data(5)), data(1), data(5))
	send(17, 0, data(1))
	send(18, 0, data(1))
	sequence(t, l.stream(flow.IPFIX, 0), counts{})
	l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.Truncated: 1})
}
