package netflow

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

var ipfixHeader = header{exportS: exportS}

func TestCase19_MessageLength(t *testing.T) {
	data := func(n int) []byte { return set(256, slices.Repeat(dataOf(v4Flow()...), n)) }
	tests := []struct {
		name    string
		change  func(p []byte) []byte
		records int
		reasons map[exporter.Reason]uint64
	}{
		{"as it is", func(p []byte) []byte { return p }, 2, nil},
		{"a set behind the message", func(p []byte) []byte { return append(p, data(1)...) }, 3,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"the datagram is cut within its set", func(p []byte) []byte { return p[:len(p)-1] }, 0,
			map[exporter.Reason]uint64{exporter.Truncated: 1, exporter.BadSet: 1}},
		{"length of less than a header", func(p []byte) []byte { copy(p[2:], u16(15)); return p }, 0,
			map[exporter.Reason]uint64{exporter.BadHeader: 1}},
		{"another message behind it", func(p []byte) []byte { return append(p, p...) }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"garbage behind it", func(p []byte) []byte { return append(p, u64(0x0102030405060708)...) }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"zeros behind it", func(p []byte) []byte { return append(p, make([]byte, 20)...) }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"length two bytes short", func(p []byte) []byte { copy(p[2:], u16(uint16(len(p)-2))); return p }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"length two bytes short, garbage behind", func(p []byte) []byte {
			copy(p[2:], u16(uint16(len(p)-2)))
			return append(p, 0, 9, 0, 3, 7)
		}, 2, map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"length without the header", func(p []byte) []byte { copy(p[2:], u16(uint16(len(p)-16))); return p }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"length of a header", func(p []byte) []byte { copy(p[2:], u16(16)); return p }, 2,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1}},
		{"length beyond the datagram", func(p []byte) []byte { copy(p[2:], u16(9000)); return p }, 2,
			map[exporter.Reason]uint64{exporter.Truncated: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.send(ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...))))
			equal(t, "number of records", len(l.send(test.change(ipfix(ipfixHeader, data(2))))), test.records)
			l.failed(l.stream(flow.IPFIX, 0), test.reasons)
		})
	}
	t.Run("a cut header names no stream", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(ipfix(ipfixHeader)[:15])
		l.send(v9(ipfixHeader)[:19])
		equal(t, "unattributed", l.table.UnattributedCount(exporter.Truncated), 2)
	})
}

func TestCase20_OneBadSetCostsItself(t *testing.T) {
	good := slices.Concat(set(2, templateOf(256, v4Flow()...)), set(256, dataOf(v4Flow()...)))
	after := set(256, dataOf(v4Flow()...))
	tests := []struct {
		name    string
		bad     []byte
		records int
		reasons map[exporter.Reason]uint64
	}{
		{"reserved ids", slices.Concat(set(0, u32(1)), set(1), set(4, u32(1)), set(255, u64(1))), 2,
			map[exporter.Reason]uint64{exporter.UnknownSet: 4}},
		{"length 3", slices.Concat(u16(256), u16(3)), 1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"length 0", slices.Concat(u16(256), u16(0)), 1, map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"length beyond the message", slices.Concat(u16(256), u16(500)), 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}},
		{"no records", set(256), 2, nil},
		{"a template cut within its fields", set(2, slices.Concat(u16(257), u16(3), specsOf(v4Flow()[:2]))), 2,
			map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{"a template cut before its enterprise", set(2, slices.Concat(u16(257), u16(1), u16(0x8001), u16(4))), 2,
			map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{"an options template cut before its scope count", set(3, slices.Concat(u16(257), u16(1))), 2,
			map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{"a template with the id of a set", set(2, templateOf(255, v4Flow()...)), 2,
			map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
		{"template id 0 that is no padding", set(2, u32(0), templateOf(257, v4Flow()...)), 2,
			map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			equal(t, "number of records", len(l.send(ipfix(ipfixHeader, good, test.bad, after))), test.records)
			l.failed(l.stream(flow.IPFIX, 0), test.reasons)
		})
	}
}

func TestCase22_ConflictBySourcePort(t *testing.T) {
	one, two := []item{el(1, u32(100)), el(2, u32(1))}, []item{el(2, u32(7)), el(1, u32(700))}
	three := []item{el(85, u32(9000))}
	define := func(items []item) []byte { return ipfix(ipfixHeader, set(2, templateOf(256, items...))) }
	data := func(items []item) []byte { return ipfix(ipfixHeader, set(256, dataOf(items...))) }

	t.Run("an exporter may change its port", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(define(one))
		l.source = addrPort("192.0.2.1:4001")
		equal(t, "bytes", l.send(data(one))[0].Bytes, 100)
		l.send(define(one))
		l.failed(l.stream(flow.IPFIX, 0), nil)
	})
	t.Run("two ports with definitions of their own", func(t *testing.T) {
		l := newLab(t, Options{})
		a, b, c := addrPort("192.0.2.1:4000"), addrPort("192.0.2.1:4001"), addrPort("192.0.2.1:4002")
		l.send(define(one))
		l.source = b
		l.send(define(two))
		for range 3 {
			l.source = a
			equal(t, "bytes of port a", l.send(data(one))[0].Bytes, 100)
			l.send(define(one))
			l.source = b
			equal(t, "bytes of port b", l.send(data(two))[0].Bytes, 700)
			l.send(define(two))
		}
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.TemplateConflict: 1})
		l.source = a
		l.send(define(three))
		equal(t, "bytes of port a, redefined", l.send(data(three))[0].Bytes, 9000)
		l.source = b
		equal(t, "bytes of port b", l.send(data(two))[0].Bytes, 700)
		l.source = c
		equal(t, "a port without a definition has the latest", l.send(data(three))[0].Bytes, 9000)
	})
	t.Run("after half an hour it is an exporter that started anew", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(define(one))
		l.wait(31 * time.Minute)
		l.source = addrPort("192.0.2.1:4001")
		l.send(define(two))
		l.failed(l.stream(flow.IPFIX, 0), nil)
		equal(t, "bytes", l.send(data(two))[0].Bytes, 700)
	})
	t.Run("sampling is the domain's, whatever the port", func(t *testing.T) {
		l := newLab(t, Options{})
		option := []item{el(149, u32(0)), el(34, u32(50))}
		l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, option...)), set(300, dataOf(option...))))
		l.source = addrPort("192.0.2.1:4001")
		l.send(define(one))
		equal(t, "rate", l.send(data(one))[0].SamplingRate, 50)
	})
}

func TestCase23_WithdrawalIsCountedAndIgnored(t *testing.T) {
	option := []item{el(149, u32(0)), el(34, u32(50))}
	tests := []struct {
		name    string
		sets    []byte
		reasons map[exporter.Reason]uint64
	}{
		{"of a template", set(2, u16(256), u16(0)), map[exporter.Reason]uint64{exporter.Withdrawal: 1}},
		{"of all templates", set(2, u16(2), u16(0)), map[exporter.Reason]uint64{exporter.Withdrawal: 1}},
		{"of an options template: 4 bytes too", set(3, u16(300), u16(0)),
			map[exporter.Reason]uint64{exporter.Withdrawal: 1}},
		{"of all options templates", set(3, u16(3), u16(0)), map[exporter.Reason]uint64{exporter.Withdrawal: 1}},
		{"between definitions", set(3, u16(301), u16(0), optionsIPFIX(302, 1, option...)),
			map[exporter.Reason]uint64{exporter.Withdrawal: 1}},
		{"two at once", set(2, u16(256), u16(0), u16(257), u16(0)), map[exporter.Reason]uint64{exporter.Withdrawal: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.send(ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...)), set(3, optionsIPFIX(300, 1, option...))))
			r := l.send(ipfix(ipfixHeader, test.sets, set(256, dataOf(v4Flow()...)), set(300, dataOf(option...))))
			equal(t, "number of records", len(r), 1)
			l.failed(l.stream(flow.IPFIX, 0), test.reasons)
			equal(t, "options", l.stream(flow.IPFIX, 0).Options.Load(), 1)
		})
	}
	t.Run("NetFlow v9 has none: an empty template is bad", func(t *testing.T) {
		l := newLab(t, Options{})
		l.send(v9(ipfixHeader, set(0, templateOf(256, v4Flow()...))))
		equal(t, "records", len(l.send(v9(ipfixHeader, set(0, u16(256), u16(0)), set(256, dataOf(v4Flow()...))))), 1)
		l.failed(l.stream(flow.NetFlowV9, 0), map[exporter.Reason]uint64{exporter.BadTemplate: 1})
	})
}

func TestCase24_TemplatesExpire(t *testing.T) {
	l := newLab(t, Options{TemplateExpiry: time.Hour, HoldFor: -1})
	define := ipfix(ipfixHeader, set(2, templateOf(256, v4Flow()...)))
	data := ipfix(ipfixHeader, set(256, dataOf(v4Flow()...)))
	l.send(define)
	l.wait(50 * time.Minute)
	l.send(define) // the same again: a refresh
	l.wait(50 * time.Minute)
	equal(t, "records before it expired", len(l.send(data)), 1)
	l.wait(11 * time.Minute)
	equal(t, "records after it expired", len(l.send(data)), 0)
	l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.NoTemplate: 1})
	l.send(define)
	equal(t, "records when it is defined again", len(l.send(data)), 1)
}

func TestCase25_EnterpriseFieldsInOptions(t *testing.T) {
	option := []item{vendor(9, 7, u32(1)), vendor(2636, 137, u16(5)), el(34, u32(77)), vendor(9, 0, u8(1)),
		el(35, u8(1))}
	l := newLab(t, Options{})
	l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, option...)), set(300, dataOf(option...))))
	// Element 0 of an enterprise is 0x8000 on the wire.
	r := l.one(flow.IPFIX, append([]item{vendor(9, 0, u32(0xdeadbeef)), vendor(9, 1, u32(1))}, v4Flow()...)...)
	equal(t, "rate", r.SamplingRate, 77)
	equal(t, "bytes", r.Bytes, 1500)
	equal(t, "source port", r.SrcPort, 1234)
}

func TestCase26_OptionsNeedAScope(t *testing.T) {
	option := []item{el(149, u32(0)), el(34, u32(50))}
	for _, test := range []struct {
		name    string
		scopes  int
		rate    uint32
		reasons map[exporter.Reason]uint64
	}{
		{"one", 1, 50, nil},
		{"all", 2, 50, nil},
		{"none", 0, 50, nil},
		{"more than there are", 3, 1, map[exporter.Reason]uint64{exporter.BadTemplate: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, test.scopes, option...)), set(300, dataOf(option...))))
			equal(t, "rate", l.one(flow.IPFIX, v4Flow()...).SamplingRate, test.rate)
			l.failed(l.stream(flow.IPFIX, 0), test.reasons)
		})
	}
}

func TestCase27_VariableLengths(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255, 256, 3000} {
		items := append(v4Flow(), variable(82, make([]byte, n)), el(10, u32(7)))
		l := newLab(t, Options{})
		r := l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...)), set(256, dataOf(items...), dataOf(items...))))
		equal(t, "number of records", len(r), 2)
		equal(t, "interface behind the text", [2]uint32{r[0].InIf, r[1].InIf}, [2]uint32{7, 7})
	}
	t.Run("the long form of a short length", func(t *testing.T) {
		items := []item{variable(82, text("ab")), el(10, u32(7))}
		l := newLab(t, Options{})
		r := l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...)),
			set(256, u8(255), u16(2), text("ab"), u32(7))))
		equal(t, "interface", r[0].InIf, 7)
	})
	t.Run("an address of variable length", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, variable(8, ip("192.0.2.7")), variable(12, ip("2001:db8::1")),
			variable(1, u16(9)))
		equal(t, "source", r.SrcAddr, ip128("192.0.2.7"))
		equal(t, "destination sent", r.Sent(flow.DstAddr), false)
		equal(t, "bytes", r.Bytes, 9)
	})
	t.Run("beyond the set", func(t *testing.T) {
		items := []item{el(10, u32(7)), variable(82, text("ab"))}
		for _, cut := range [][]byte{{200, 1}, {255}, {255, 1}, {255, 0xff, 0xff, 1}} {
			l := newLab(t, Options{})
			r := l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...)),
				set(256, dataOf(items...), u32(8), cut), set(256, dataOf(items...))))
			equal(t, "number of records", len(r), 2)
			l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.BadRecord: 1})
		}
	})
	t.Run("all fields variable", func(t *testing.T) {
		items := []item{variable(82, nil), variable(83, nil)}
		l := newLab(t, Options{})
		r := l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...)), set(256, make([]byte, 7))))
		equal(t, "number of records", len(r), 3) // 2 bytes each: the last byte is padding
		l.failed(l.stream(flow.IPFIX, 0), nil)
	})
}

func TestCase28_ZeroLengthFields(t *testing.T) {
	for _, p := range both {
		r := newLab(t, Options{}).one(p, el(10, nil), el(1, u32(5)), el(8, nil), el(14, u32(3)))
		equal(t, "bytes", r.Bytes, 5)
		equal(t, "sent", r.Has&(flow.InIf|flow.OutIf|flow.SrcAddr), flow.OutIf)
		l := newLab(t, Options{HoldFor: -1})
		equal(t, "records of no bytes", len(l.all(p, el(10, nil), el(1, nil))), 0)
		l.failed(l.stream(p, 0), map[exporter.Reason]uint64{exporter.BadTemplate: 1, exporter.NoTemplate: 1})
	}
	t.Run("options of no bytes", func(t *testing.T) {
		l := newLab(t, Options{HoldFor: -1})
		l.send(ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, el(149, nil), el(34, nil))), set(300, make([]byte, 100))))
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.BadTemplate: 1, exporter.NoTemplate: 1})
	})
	t.Run("longer than any set", func(t *testing.T) {
		l := newLab(t, Options{HoldFor: -1})
		l.send(ipfix(ipfixHeader, set(2, slices.Concat(u16(256), u16(2), u16(1), u16(65000), u16(2), u16(65000)))))
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.BadTemplate: 1})
	})
}

func TestCase29_IntegersOfAnyWidth(t *testing.T) {
	fits := []struct {
		name  string
		id    uint16
		max   uint64 // what the record's field can hold
		value func(*flow.Record) uint64
	}{
		{"octetDeltaCount", 1, math.MaxUint64, func(r *flow.Record) uint64 { return r.Bytes }},
		{"packetDeltaCount", 2, math.MaxUint64, func(r *flow.Record) uint64 { return r.Packets }},
		{"octetTotalCount", 85, math.MaxUint64, func(r *flow.Record) uint64 { return r.Bytes }},
		{"ingressInterface", 10, math.MaxUint32, func(r *flow.Record) uint64 { return uint64(r.InIf) }},
		{"egressInterface", 14, math.MaxUint32, func(r *flow.Record) uint64 { return uint64(r.OutIf) }},
		{"bgpSourceAsNumber", 16, math.MaxUint32, func(r *flow.Record) uint64 { return uint64(r.SrcAS) }},
		{"bgpDestinationAsNumber", 17, math.MaxUint32, func(r *flow.Record) uint64 { return uint64(r.DstAS) }},
		{"sourceTransportPort", 7, math.MaxUint16, func(r *flow.Record) uint64 { return uint64(r.SrcPort) }},
		{"protocolIdentifier", 4, math.MaxUint8, func(r *flow.Record) uint64 { return uint64(r.IPProtocol) }},
		{"ingressVRFID", 234, math.MaxUint32, func(r *flow.Record) uint64 { return uint64(r.IngressVRF) }},
	}
	for _, test := range fits {
		t.Run(test.name, func(t *testing.T) {
			for w := 1; w <= 16; w++ {
				r := newLab(t, Options{}).one(flow.IPFIX, el(test.id, width(0x63, w)))
				equal(t, "small value", test.value(&r), 0x63)
				all := slices.Repeat(u8(0xff), w)
				want := test.max
				switch {
				case w < 8:
					want = min(want, 1<<(8*w)-1)
				case want == math.MaxUint64:
					want = 0 // below zero: case 75
				}
				r = newLab(t, Options{}).one(flow.IPFIX, el(test.id, all))
				equal(t, "largest value", test.value(&r), want)
			}
		})
	}
	t.Run("addresses have only their own", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, el(8, width(1, 3)), el(12, width(1, 5)), el(27, width(1, 15)),
			el(28, width(1, 4)),
			el(56, width(1, 5)), el(80, width(1, 8)), el(15, width(1, 16)), el(90, width(1, 7)), el(1, u8(1)))
		equal(t, "sent", r.Has, flow.Bytes)
	})
	t.Run("flags are the last bytes", func(t *testing.T) {
		r := newLab(t, Options{}).one(flow.IPFIX, el(6, u16(0x112)), el(5, u16(0xb8)))
		equal(t, "flags", r.TCPFlags, 0x112)
		equal(t, "ToS", r.ToS, 0xb8)
		r = newLab(t, Options{}).one(flow.IPFIX, el(6, u32(0x1b)), el(5, u8(0xb8)))
		equal(t, "wide flags", r.TCPFlags, 0x1b)
	})
}

func TestCase41_RepeatedElementTheLastCounts(t *testing.T) {
	outer := []item{el(27, ip("2001:db8::1")), el(28, ip("2001:db8::2")), el(4, u8(4)), el(7, u16(1))}
	inner := []item{el(27, ip("2001:db8::3")), el(28, ip("2001:db8::4")), el(4, u8(6)), el(7, u16(2))}
	tail := []item{el(1, u32(9)), variable(82, text("x"))}
	for _, test := range []struct {
		name  string
		items []item
	}{
		{"fixed lengths", slices.Concat(outer, inner, tail[:1])},
		{"variable lengths", slices.Concat(outer, inner, tail)},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).one(flow.IPFIX, test.items...)
			equal(t, "addresses", [2]flow.Addr{r.SrcAddr, r.DstAddr},
				[2]flow.Addr{ip128("2001:db8::3"), ip128("2001:db8::4")})
			equal(t, "protocol", r.IPProtocol, 6)
			equal(t, "port", r.SrcPort, 2)
			equal(t, "bytes", r.Bytes, 9)
		})
	}
}

// Of elements that other forms can stand in for, the first form counts, but the last of the same.
func TestCase41_RepeatedElementBesideOtherForms(t *testing.T) {
	r := newLab(t, Options{}).one(flow.IPFIX, el(152, u64(exportMs-9000)), el(152, u64(exportMs-5000)),
		el(150, u32(exportS-1)),
		el(15, ip("192.0.2.1")), el(15, ip("192.0.2.2")))
	equal(t, "start", r.StartMs, exportMs-5000)
	equal(t, "next hop", r.NextHop, ip128("192.0.2.2"))
}

func TestCase42_StructuredDataIsSkipped(t *testing.T) {
	list := make([]byte, 300)
	items := append(v4Flow(), variable(291, list), variable(292, list[:5]), variable(293, nil), el(10, u32(7)))
	r := newLab(t, Options{}).one(flow.IPFIX, items...)
	equal(t, "interface behind the lists", r.InIf, 7)
}
