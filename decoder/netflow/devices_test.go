package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Times as devices send them that mix up units, epochs or signs.
func TestCase30_TimesOfDevices(t *testing.T) {
	const start, end = exportMs - 61_250, exportMs - 1_750
	unix := func(ms int64, perMs uint64) []byte { return u64(uint64(ms/1000)<<32 | uint64(ms%1000)*perMs) }
	for _, test := range []struct {
		name       string
		protocol   flow.Protocol
		items      []item
		start, end int64
	}{
		{"seconds since 1970 in NTP's place, and microseconds", flow.IPFIX,
			[]item{el(154, unix(start, 1000)), el(155, unix(end, 1000))}, start, end},
		{"seconds since 1970 in NTP's place, and nanoseconds", flow.IPFIX,
			[]item{el(156, unix(start, 1_000_000)), el(157, unix(end, 1_000_000))}, start, end},
		{"seconds since 1970 in NTP's place, and a binary fraction", flow.IPFIX,
			[]item{el(156, u64(uint64(start/1000)<<32|3<<30)), el(157, u64(uint64(end/1000)<<32|1<<30))},
			exportMs - 61_250, exportMs - 1_750},
		{"NTP in milliseconds' place", flow.IPFIX, []item{el(152, ntp(start)), el(153, ntp(end))}, start, end},
		{"the same since 1970 in seconds' place", flow.IPFIX,
			[]item{el(150, u64((exportS-62)<<32|3<<30)), el(151, u64((exportS-2)<<32|1<<30))}, start, end},
		{"a flow that ends in the second of the export", flow.IPFIX,
			[]item{el(158, u32(61_250_000)), el(159, u32(1<<32-900_000))}, start, exportMs + 900},
		{"deltas of hours, in 8 bytes", flow.IPFIX, []item{el(158, u64(7_200_000_000)), el(159, u64(1_750_000))},
			exportMs - 7_200_000, end},
		{"deltas that are exchanged", flow.IPFIX, []item{el(158, u32(1_750_000)), el(159, u32(61_250_000))}, start,
			end},
		{"milliseconds since 1970 in 8 bytes for uptimes", flow.NetFlowV9,
			[]item{el(22, u64(uint64(start))), el(21, u64(uint64(end)))}, start, end},
		{"the same in IPFIX", flow.IPFIX, []item{el(22, u64(uint64(start))), el(21, u64(uint64(end)))}, start, end},
		{"uptimes beyond 32 bits in 8 bytes", flow.NetFlowV9,
			[]item{el(22, u64(1<<32+testUptime-61_250)), el(21, u64(1<<32+testUptime-1_750))}, start, end},
		{"uptimes beyond 32 bits since the start of the device", flow.IPFIX,
			[]item{el(160, u64(exportMs-5_000_000_000)), el(22, u64(5_000_000_000-61_250)),
				el(21, u64(5_000_000_000-1_750))}, start, end},
		{"seconds since 1970 for uptimes", flow.NetFlowV9,
			[]item{el(22, u32(exportS-61)), el(21, u32(exportS-2))}, exportMs - 61_000, exportMs - 2000},
		{"milliseconds in 6 bytes", flow.IPFIX,
			[]item{el(152, width(uint64(start), 6)), el(153, width(uint64(end), 6))}, start, end},
		{"milliseconds of variable length", flow.IPFIX,
			[]item{variable(152, u64(uint64(start))), variable(153, u64(uint64(end)))}, start, end},
		{"milliseconds that are impossible beside seconds", flow.IPFIX,
			[]item{el(150, u32(exportS-61)), el(151, u32(exportS-1)), el(152, u64(1<<63)), el(153, u64(1<<63))},
			exportMs - 61_000, exportMs - 1000},
		{"the same in another order", flow.IPFIX,
			[]item{el(152, u64(1<<63)), el(153, u64(1<<63)), el(150, u32(exportS-61)), el(151, u32(exportS-1))},
			exportMs - 61_000, exportMs - 1000},
		{"nanoseconds that are impossible beside milliseconds", flow.IPFIX,
			[]item{el(156, u64(7)), el(157, u64(9)), el(152, u64(start)), el(153, u64(end))}, start, end},
		{"milliseconds of all ones beside uptimes", flow.NetFlowV9,
			[]item{el(22, u32(testUptime-61_250)), el(21, u32(testUptime-1_750)), el(152, u64(1<<64-1)),
				el(153, u64(1<<64-1))}, start, end},
		{"an observation time that is impossible beside nothing", flow.IPFIX, []item{el(323, u64(1<<63))}, exportMs,
			exportMs},
		{"an end of all ones beside seconds", flow.IPFIX,
			[]item{el(152, u64(start)), el(153, u64(1<<64-1)), el(151, u32(exportS-1))}, start, exportMs - 1000},
		{"all ones for unknown", flow.IPFIX, []item{el(152, u64(1<<64-1)), el(153, u64(1<<64-1))}, exportMs, exportMs},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(test.protocol, append(test.items, el(1, u32(5)))...)
			equal(t, "start", r.StartMs-exportMs, test.start-exportMs)
			equal(t, "end", r.EndMs-exportMs, test.end-exportMs)
		})
	}
}

// NTP's second era begins in 2036, seconds since 1970 leave 31 bits in 2038.
func TestCase30_TimesOfLaterYears(t *testing.T) {
	for name, at := range map[string]int64{"2035": 2_065_000_000, "2036": 2_086_000_000, "2038": 2_147_484_000} {
		for _, items := range [][]item{
			{el(150, u32(uint32(at-9))), el(151, u32(uint32(at-1)))},
			{el(152, u64(uint64(at-9)*1000)), el(153, u64(uint64(at-1)*1000))},
			{el(154, ntp((at-9)*1000)), el(155, ntp((at-1)*1000))},
			{el(158, u32(9_000_000)), el(159, u32(1_000_000))},
			{el(22, u32(testUptime-9000)), el(21, u32(testUptime-1000))},
		} {
			l := newLab(t, Options{})
			l.received = at * 1e9
			h := header{exportS: uint32(at), uptime: testUptime}
			records := l.send(v9(h, set(0, templateOf(256, items...)), set(256, dataOf(items...))))
			equal(t, name+": records", len(records), 1)
			equal(t, name+": start", records[0].StartMs, (at-9)*1000)
			equal(t, name+": end", records[0].EndMs, (at-1)*1000)
		}
	}
}

// An exporter that subtracts a counter from a lower one sends a number just below 2^64.
func TestCase75_NegativeCounters(t *testing.T) {
	minus := func(n uint64) []byte { return u64(-n) }
	for _, test := range []struct {
		name           string
		items          []item
		bytes, packets uint64
		negative       uint64 // records
	}{
		{"both", []item{el(1, minus(40)), el(2, minus(1))}, 0, 0, 1},
		{"one", []item{el(1, minus(1500)), el(2, u64(7))}, 0, 7, 1},
		{"none", []item{el(1, u64(1500)), el(2, u64(7))}, 1500, 7, 0},
		{"32 bits are large, but not negative", []item{el(1, u32(1<<32-1)), el(2, u32(1<<31))}, 1<<32 - 1, 1 << 31, 0},
		{"totals", []item{el(85, minus(40)), el(86, u64(2))}, 0, 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.one(flow.IPFIX, append(v4Flow()[:5], test.items...)...)
			equal(t, "bytes", r.Bytes, test.bytes)
			equal(t, "packets", r.Packets, test.packets)
			equal(t, "noted", l.stream(flow.IPFIX, 0).TimesRead(exporter.CountersNegative), test.negative)
		})
	}
	t.Run("of the other direction", func(t *testing.T) {
		l := newLab(t, Options{})
		r := l.one(flow.IPFIX, append(v4Flow(), vendor(reversePEN, 1, minus(40)), vendor(reversePEN, 2, minus(1)))...)
		equal(t, "bytes", r.Bytes, 1500)
		equal(t, "noted", l.stream(flow.IPFIX, 0).TimesRead(exporter.CountersNegative), 1)
	})
}

// What an element does not say another one may.
func TestCase74_ElementsThatStandIn(t *testing.T) {
	mac := func(n byte) []byte { return []byte{2, 0, 0, 0, 0, n} }
	none := make([]byte, 6)
	for _, test := range []struct {
		name  string
		items []item
		want  func(*flow.Record) bool
	}{
		{"DSCP", []item{el(195, u8(46))}, func(r *flow.Record) bool { return r.ToS == 46<<2 && r.Sent(flow.ToS) }},
		{"DSCP beside ToS", []item{el(195, u8(46)), el(5, u8(0))}, func(r *flow.Record) bool { return r.ToS == 0 }},
		{"physical interfaces beside 0", []item{el(10, u32(0)), el(252, u32(5)), el(253, u32(6)), el(14, u32(0))},
			func(r *flow.Record) bool { return r.InIf == 5 && r.OutIf == 6 }},
		{"physical interfaces beside logical ones",
			[]item{el(252, u32(5)), el(10, u32(105)), el(14, u32(106)), el(253, u32(6))},
			func(r *flow.Record) bool { return r.InIf == 105 && r.OutIf == 106 }},
		{"physical interfaces alone", []item{el(252, u32(5)), el(253, u32(6))}, func(r *flow.Record) bool {
			return r.InIf == 5 && r.OutIf == 6 && r.Sent(flow.InIf|flow.OutIf)
		}},
		{"addresses behind, those before empty", []item{el(56, none), el(81, mac(3)), el(57, mac(4)), el(80, none)},
			func(r *flow.Record) bool { return r.SrcMAC[5] == 3 && r.DstMAC[5] == 4 }},
		{"addresses before and behind", []item{el(81, mac(3)), el(56, mac(1)), el(80, mac(2)), el(57, mac(4))},
			func(r *flow.Record) bool { return r.SrcMAC[5] == 1 && r.DstMAC[5] == 2 }},
		{"ICMP's element in a record of TCP (Cisco)", []item{el(4, u8(6)), el(11, u16(443)), el(32, u16(443))},
			func(r *flow.Record) bool { return !r.Sent(flow.ICMP) && r.DstPort == 443 }},
		{"ICMP's element in one of ICMP", []item{el(4, u8(1)), el(11, u16(0)), el(32, u16(0x0301))},
			func(r *flow.Record) bool { return r.Sent(flow.ICMP) && r.ICMPType == 3 && r.ICMPCode == 1 }},
		{"the number of an echo in ICMP's port (ASA)",
			[]item{el(4, u8(1)), el(11, u16(17549)), el(176, u8(0)), el(177, u8(0))},
			func(r *flow.Record) bool { return r.Sent(flow.ICMP) && r.ICMPType == 0 && r.ICMPCode == 0 }},
		{"AS numbers that do not fit", []item{el(16, u16(asTrans)), el(17, u16(65000))},
			func(r *flow.Record) bool { return r.SrcAS == 0 && r.DstAS == 65000 }},
		{"the same number in 4 bytes", []item{el(16, u32(asTrans))},
			func(r *flow.Record) bool { return r.SrcAS == asTrans }},
		{"forwarding status in the first of 4 bytes", []item{el(89, u32(0x40<<24))},
			func(r *flow.Record) bool { return r.ForwardingStatus == 0x40 }},
		{"forwarding status in the last", []item{el(89, u32(0x83))},
			func(r *flow.Record) bool { return r.ForwardingStatus == 0x83 }},
		{"whole label stack entries", []item{el(70, u32(299_776<<12|64)), el(71, u32(24_001<<12|0x1ff))},
			func(r *flow.Record) bool {
				return slices.Equal(r.MPLS[:r.MPLSCount], []uint32{299_776 << 4, 24_001<<4 | 1})
			}},
		{"labels in 4 bytes", []item{el(70, u32(24_001<<4)), el(71, u32(16<<4|1))}, func(r *flow.Record) bool {
			return slices.Equal(r.MPLS[:r.MPLSCount], []uint32{24_001 << 4, 16<<4 | 1})
		}},
	} {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				if r := newLab(t, Options{}).one(p, append(test.items, el(1, u32(5)))...); !test.want(&r) {
					t.Errorf("%+v", r)
				}
			})
		}
	}
	t.Run("physical interfaces of the other direction", func(t *testing.T) {
		records := newLab(t, Options{}).all(flow.IPFIX, append(v4Flow(), el(252, u32(5)), el(253, u32(6)),
			vendor(reversePEN, 1, u32(7)), vendor(reversePEN, 252, u32(8)), vendor(reversePEN, 253, u32(9)))...)
		equal(t, "records", len(records), 2)
		equal(t, "interfaces", [4]uint32{records[0].InIf, records[0].OutIf, records[1].InIf, records[1].OutIf},
			[4]uint32{5, 6, 8, 9})
	})
}

// An address that many devices have names none.
func TestCase63_AddressesThatNameNobody(t *testing.T) {
	for _, stated := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "::", "::1", "ff02::5",
		"::ffff:127.0.0.1"} {
		id := uint16(130)
		if len(ip(stated)) == 16 {
			id = 131
		}
		for _, p := range both {
			r := newLab(t, Options{}).one(p, append(v4Flow(), el(id, ip(stated)))...)
			equal(t, stated+" in a record: exporter", r.Exporter, ip128("192.0.2.1"))
		}
		l := newLab(t, Options{})
		option := []item{el(144, u32(1)), el(id, ip(stated))}
		l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, option...)), set(300, dataOf(option...))))
		r := l.one(flow.IPFIX, v4Flow()...)
		equal(t, stated+" in an option record: exporter", r.Exporter, ip128("192.0.2.1"))
	}
	r := newLab(t, Options{}).one(flow.IPFIX, append(v4Flow(), el(130, ip("127.0.0.1")), el(131, ip("2001:db8::7")))...)
	equal(t, "beside one that names it: exporter", r.Exporter, ip128("2001:db8::7"))
}
