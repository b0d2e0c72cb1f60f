package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Each element with RFC 5103's enterprise number means in the second record what it means in a record of one direction
// (case 73).
func TestCase73_ReverseElements(t *testing.T) {
	mac := func(n byte) []byte { return []byte{2, 0, 0, 0, 0, n} }
	counters := []item{reversed(1, u32(900)), reversed(2, u32(9))}
	tests := []struct {
		name       string
		items      []item
		get        func(*flow.Record) any
		one, other any // of the first and the second record
	}{
		{"ToS", []item{el(5, u8(0x20)), reversed(5, u8(0x88))}, func(r *flow.Record) any { return r.ToS }, uint8(0x20),
			uint8(0x88)},
		{"ToS of the flow only", []item{el(5, u8(0x20))}, func(r *flow.Record) any { return r.ToS }, uint8(0x20),
			uint8(0x20)},
		{"TCP flags", []item{el(6, u8(2)), reversed(6, u8(18))}, func(r *flow.Record) any { return r.TCPFlags },
			uint16(2), uint16(18)},
		{"VLAN", []item{el(58, u16(10)), reversed(58, u16(20))},
			func(r *flow.Record) any { return [2]uint16{r.SrcVLAN, r.VLAN} },
			[2]uint16{10, 10}, [2]uint16{20, 20}},
		{"dot1q VLAN", []item{el(243, u16(10)), reversed(243, u16(20))}, func(r *flow.Record) any { return r.SrcVLAN },
			uint16(10), uint16(20)},
		{"MAC", []item{el(56, mac(1)), el(80, mac(2)), reversed(56, mac(3)), reversed(80, mac(4))},
			func(r *flow.Record) any { return [2][6]byte{r.SrcMAC, r.DstMAC} },
			[2][6]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}, [2][6]byte{{2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 4}}},
		{"interfaces", []item{el(10, u32(1)), el(14, u32(2)), reversed(10, u32(3)), reversed(14, u32(4))},
			func(r *flow.Record) any { return [2]uint32{r.InIf, r.OutIf} }, [2]uint32{1, 2}, [2]uint32{3, 4}},
		{"interfaces of the flow only", []item{el(10, u32(1)), el(14, u32(2))},
			func(r *flow.Record) any { return [2]uint32{r.InIf, r.OutIf} }, [2]uint32{1, 2}, [2]uint32{2, 1}},
		{"next hop", []item{el(15, ip("192.0.2.7")), reversed(15, ip("192.0.2.8"))},
			func(r *flow.Record) any { return r.NextHop.String() }, "192.0.2.7", "192.0.2.8"},
		{"BGP next hop", []item{el(18, ip("192.0.2.7")), reversed(18, ip("192.0.2.8"))},
			func(r *flow.Record) any { return r.BGPNextHop.String() }, "192.0.2.7", "192.0.2.8"},
		{"next hop of the flow only", []item{el(15, ip("192.0.2.7"))},
			func(r *flow.Record) any { return r.Sent(flow.NextHop) }, true, false},
		{"AS", []item{el(16, u32(1)), el(17, u32(2)), reversed(16, u32(3))},
			func(r *flow.Record) any { return [2]uint32{r.SrcAS, r.DstAS} }, [2]uint32{1, 2}, [2]uint32{3, 1}},
		{"flow label", []item{el(31, u32(7)), reversed(31, u32(8))}, func(r *flow.Record) any { return r.FlowLabel },
			uint32(7), uint32(8)},
		{"forwarding status", []item{el(89, u8(64)), reversed(89, u8(128))},
			func(r *flow.Record) any { return r.ForwardingStatus }, uint8(64), uint8(128)},
		{"end reason", []item{el(136, u8(1)), reversed(136, u8(3))},
			func(r *flow.Record) any { return r.FlowEndReason }, uint8(1), uint8(3)},
		{"direction", []item{el(61, u8(0)), reversed(61, u8(1))}, func(r *flow.Record) any { return r.Direction },
			uint8(0), uint8(1)},
		{"ICMP", []item{el(4, u8(1)), el(32, u16(0x0800)), reversed(32, u16(0))},
			func(r *flow.Record) any { return r.ICMPType }, uint8(8), uint8(0)},
		{"uptimes", []item{el(160, u64(exportMs-100_000)), el(22, u32(10_000)), el(21, u32(20_000)),
			reversed(22, u32(30_000)),
			reversed(21, u32(40_000))},
			func(r *flow.Record) any { return [2]int64{r.StartMs - exportMs, r.EndMs - exportMs} },
			[2]int64{-90_000, -80_000}, [2]int64{-70_000, -60_000}},
		{"milliseconds", []item{el(152, u64(exportMs-9000)), el(153, u64(exportMs-1000)),
			reversed(152, u64(exportMs-8000)),
			reversed(153, u64(exportMs-2000))},
			func(r *flow.Record) any { return [2]int64{r.StartMs - exportMs, r.EndMs - exportMs} },
			[2]int64{-9000, -1000}, [2]int64{-8000, -2000}},
		{"times that cannot be", []item{el(152, u64(exportMs-9000)), el(153, u64(exportMs-1000)), reversed(152, u64(0)),
			reversed(153, u64(0))},
			func(r *flow.Record) any { return [2]int64{r.StartMs - exportMs, r.EndMs - exportMs} },
			[2]int64{-9000, -1000}, [2]int64{-9000, -1000}},
		{"variable length", []item{el(58, u16(10)), {id: 58, pen: reversePEN, value: u16(20), variable: true}},
			func(r *flow.Record) any { return r.SrcVLAN }, uint16(10), uint16(20)},
		{"an address of another length", []item{el(56, mac(1)), reversed(56, u32(3))},
			func(r *flow.Record) any { return r.DstMAC }, [6]byte{}, [6]byte{2, 0, 0, 0, 0, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			base := slices.DeleteFunc(v4Flow(), func(i item) bool { return i.id == 4 })
			r := l.all(flow.IPFIX, slices.Concat(base, test.items, counters)...)
			if len(r) != 2 {
				t.Fatalf("%d records, want 2", len(r))
			}
			equal(t, "the flow's", test.get(&r[0]), test.one)
			equal(t, "the other direction's", test.get(&r[1]), test.other)
			// A record after it without values of the other direction has none of them left.
			r = l.all(flow.IPFIX, slices.Concat(v4Flow(), counters)...)
			equal(t, "left", r[1].Has&(flow.SrcVLAN|flow.NextHop|flow.TCPFlags), 0)
		})
	}
}
