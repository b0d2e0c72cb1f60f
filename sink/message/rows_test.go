package message

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

const dayStart = 1_795_392_000_000 // 2026-11-23 00:00 UTC, Unix milliseconds

var testLayout = Layout{
	CollectorID: "collector-1", PolicyOriginator: "example", PolicyLevel: "tlp:green",
	IPRefExtensions: []string{"scireg"},
}

// fullRow has a value for every column and every key of ext.
func fullRow() enrich.Row {
	return enrich.Row{
		Flow: &flow.Record{
			Protocol: flow.IPFIX, IPVersion: 6, Received: 1_795_392_001_234_567_890, SamplingRate: 2048,
			SamplingSource: flow.SamplingRecord,
			Has: flow.Start | flow.End | flow.Bytes | flow.Packets | flow.SrcAddr | flow.DstAddr | flow.ToS |
				flow.FlowLabel |
				flow.VLAN | flow.SrcVLAN | flow.DstVLAN | flow.InnerSrcVLAN | flow.InnerDstVLAN |
				flow.MPLS | flow.MPLSTopLabelType | flow.MPLSTopLabelAddr | flow.MPLSPseudowire | flow.MPLSRD |
				flow.ASPath | flow.Communities | flow.LocalPref | flow.MED |
				flow.TCPFlags | flow.ForwardingStatus | flow.NextHop | flow.ICMP,
			TCPFlags: 0x1ff, ForwardingStatus: 64, NextHop: flow.AddrFrom4([4]byte{198, 51, 100, 1}), ICMPType: 129,
			ICMPCode: 255,
			Exporter: flow.AddrFrom4([4]byte{192, 0, 2, 250}), Sequence: 4711,
			SrcAddr: flow.AddrFrom4([4]byte{192, 0, 2, 1}),
			DstAddr: flow.Addr{0x20, 0x01, 0x0d, 0xb8, 15: 2},
			SrcPort: 65535, DstPort: 53, IPProtocol: 58, InIf: 11, OutIf: 12, SrcAS: 64500, DstAS: math.MaxUint32,
			PeerDstAS: 64500,
			Bytes:     1 << 60, Packets: 1 << 42,
			ToS: 0xb8, FlowLabel: 0xfffff, VLAN: 100, SrcVLAN: 101, DstVLAN: 102, InnerSrcVLAN: 103, InnerDstVLAN: 104,
			MPLSCount: 3, MPLSElements: 4, MPLS: [10]uint32{1048575<<4 | 5<<1, 0, 24001<<4 | 7<<1 | 1},
			MPLSTopLabelType: 4, MPLSTopLabelAddr: flow.AddrFrom4([4]byte{203, 0, 113, 9}),
			MPLSPseudowire: math.MaxUint32,
			LocalPref:      200, MED: 50, ASPath: []uint32{64500, 64501, 64501},
			Communities: []uint32{65535<<16 | 65281, 64500 << 16},
		},
		DeviceID: "rtr1", DeviceRef: "rtr1__v3", VRFName: "customer-7",
		In:      enrich.Interface{ID: "rtr1::1", Ref: "rtr1::1__v1", Edge: true},
		Out:     enrich.Interface{ID: "rtr1::2", Ref: "rtr1::2__v2", Edge: true},
		SrcASID: 64500, DstASID: math.MaxUint32, SrcASRef: "64500__v1", DstASRef: "4294967295__v1",
		SrcIPRef: "192.0.2.0/24__v1", DstIPRef: "2001:db8::/32__v1", SrcExtRef: []string{"11__v1"},
		DstExtRef: []string{"12__v1"},
		HasPeer:   true, PeerIP: flow.AddrFrom4([4]byte{}), PeerASID: 64501, PeerIPRef: "0.0.0.0/0__v1",
		PeerASRef:   "64501__v1",
		PolicyScope: []string{"comm:re", "as:64500"}, Protocol: "ipv6-icmp", IPVersion: 6,
		SrcPort: 65535, DstPort: 53, ApplicationPort: 53, StartMs: dayStart + 1, EndMs: dayStart + 999,
		Bits: math.MaxUint64, Packets: 1 << 53, ASPathID: []uint32{64500, 64501}, ASPathPadding: []uint16{1, 300},
		MPLSLabel: []uint32{1048575, 0, 24001, 0}, MPLSExp: []uint8{5, 0, 7, 0}, MPLSBottomLabel: 24001,
		MPLSRD:        "0:64500:7",
		StatedStartMs: 1 << 50, StatedEndMs: 1<<50 + 1,
	}
}

// emptyRow has nothing that may be missing.
func emptyRow() enrich.Row {
	return enrich.Row{Flow: &flow.Record{Protocol: flow.NetFlowV5}, DeviceID: "unknown", Protocol: "0", IPVersion: 4,
		StartMs: dayStart, EndMs: dayStart}
}

// sflowRow is one of sFlow, with values that rows of sFlow never had.
func sflowRow() enrich.Row {
	r := fullRow()
	r.Flow.Protocol = flow.SFlow5
	r.Flow.InIf, r.Flow.InIfKind = 0, flow.InterfaceInternal
	r.Flow.OutIf, r.Flow.OutIfKind = 258, flow.InterfaceDiscarded
	return r
}

// hostileRow has texts that metadata should not have, and numbers that a broken exporter sends.
func hostileRow() enrich.Row {
	r := fullRow()
	r.DeviceID, r.DeviceRef = "a\"b\\c\n\t\x00\x1f\x7f", "ü\u2028€😀"
	r.In.ID, r.PolicyScope = "</script>&'", []string{"", `"`, "as:64500"}
	r.StartMs, r.EndMs = math.MaxInt64, 0
	r.SrcExtRef, r.DstExtRef = []string{`"x"`}, []string{""}
	r.MPLSRD = "vrfid:4294967295"
	return r
}

// traffic returns rows as a core router's flows look: a few interfaces, many prefixes, mostly the same keys of ext.
func traffic(n int) []enrich.Row {
	rnd := rand.New(rand.NewPCG(1, 2))
	rows := make([]enrich.Row, n)
	for i := range rows {
		src, dst, in, out := rnd.IntN(500), rnd.IntN(500), rnd.IntN(64), rnd.IntN(64)
		f := &flow.Record{
			Protocol: flow.IPFIX, IPVersion: 4,
			Has: flow.Start | flow.End | flow.Bytes | flow.Packets | flow.SrcAddr | flow.DstAddr | flow.ToS |
				flow.VLAN | flow.SrcVLAN | flow.DstVLAN,
			Received: (dayStart + int64(i)) * 1e6, SamplingRate: 1000, SamplingSource: flow.SamplingSelector,
			Sequence: uint32(i) * 20,
			Exporter: flow.AddrFrom4([4]byte{10, 0, 0, 1}),
			SrcAddr:  flow.AddrFrom4([4]byte{192, 0, byte(src), byte(i)}),
			DstAddr:  flow.AddrFrom4([4]byte{198, 51, byte(dst), byte(i)}),
			SrcPort:  uint16(rnd.Uint32()), DstPort: 443, IPProtocol: 6, InIf: uint32(in), OutIf: uint32(out),
			SrcAS: uint32(64500 + src), DstAS: uint32(64500 + dst), Bytes: uint64(rnd.IntN(1e6)),
			Packets: uint64(rnd.IntN(1e3)),
			ToS:     uint8(rnd.IntN(4) * 8), VLAN: uint16(in), SrcVLAN: uint16(in), DstVLAN: uint16(out),
		}
		r := enrich.Row{
			Flow: f, DeviceID: "core1.example.net", DeviceRef: "core1.example.net__v2",
			In: enrich.Interface{ID: fmt.Sprintf("core1.example.net::et-0/0/%d", in),
				Ref: fmt.Sprintf("core1.example.net::et-0/0/%d__v1", in), Edge: in < 10},
			Out: enrich.Interface{ID: fmt.Sprintf("core1.example.net::et-0/0/%d", out),
				Ref: fmt.Sprintf("core1.example.net::et-0/0/%d__v1", out)},
			SrcASID: f.SrcAS, DstASID: f.DstAS, SrcASRef: fmt.Sprintf("%d__v1", f.SrcAS),
			DstASRef: fmt.Sprintf("%d__v1", f.DstAS),
			SrcIPRef: fmt.Sprintf("192.0.%d.0/24__v3", src%256), DstIPRef: fmt.Sprintf("198.51.%d.0/24__v1", dst%256),
			SrcExtRef: []string{""}, DstExtRef: []string{""},
			PolicyScope: []string{fmt.Sprintf("as:%d", f.SrcAS), fmt.Sprintf("as:%d", f.DstAS)}, Protocol: "tcp",
			IPVersion: 4,
			SrcPort:   f.SrcPort, DstPort: 443, ApplicationPort: 443, StartMs: dayStart + int64(rnd.IntN(60000)),
			EndMs: dayStart + 60000,
			Bits:  f.Bytes * 8000, Packets: f.Packets * 1000,
		}
		if i%4 == 0 {
			r.SrcExtRef, r.DstExtRef = []string{fmt.Sprintf("%d__v1", src)}, []string{fmt.Sprintf("%d__v1", dst)}
		}
		if i%2 == 0 {
			r.HasPeer, r.PeerASID, r.PeerASRef = true, r.DstASID, r.DstASRef
			r.PeerIP = flow.AddrFrom4([4]byte{203, 0, 113, byte(out)})
		}
		if i%8 == 0 {
			f.Has |= flow.ASPath | flow.Communities | flow.LocalPref
			f.ASPath = []uint32{64500, uint32(64600 + dst), r.DstASID, r.DstASID}
			r.ASPathID, r.ASPathPadding = []uint32{64500, uint32(64600 + dst), r.DstASID}, []uint16{1, 1, 2}
			f.Communities, f.LocalPref = []uint32{64500<<16 | uint32(out), 64500<<16 | 666}, 100
		}
		rows[i] = r
	}
	return rows
}
