package message

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

var testLayout = Layout{
	CollectorID: "collector-1", PolicyOriginator: "example", PolicyLevel: "tlp:green",
	IPRefExtensions: []string{"scireg"},
}

// fullRow is blocktest.FullRow with the fields that only messages have.
func fullRow() enrich.Row {
	r := blocktest.FullRow()
	f := r.Flow
	f.IPVersion, f.Received, f.Sequence = 6, 1_795_392_001_234_567_890, 4711
	f.Has |= flow.Start | flow.End | flow.Bytes | flow.Packets | flow.SrcAddr | flow.DstAddr
	f.Bytes, f.Packets = 1<<60, 1<<42
	f.Exporter, f.NextHop = flow.AddrFrom4([4]byte{192, 0, 2, 250}), flow.AddrFrom4([4]byte{198, 51, 100, 1})
	f.SrcPort, f.DstPort, f.IPProtocol = 65535, 53, 58
	f.OutIf, f.OutIfKind = 12, flow.InterfaceIndex
	f.SrcAS, f.DstAS, f.PeerDstAS, f.ASPath = 64500, math.MaxUint32, 64500, []uint32{64500, 64501, 64501}
	f.MPLSElements = 4
	r.MPLSLabel, r.MPLSExp = append(r.MPLSLabel, 0), append(r.MPLSExp, 0)
	return r
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
	r.In.ID, r.PolicyScope.Listed = "</script>&'", []string{"", `"`}
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
			Received: (blocktest.DayStart + int64(i)) * 1e6, SamplingRate: 1000, SamplingSource: flow.SamplingSelector,
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
			PolicyScope: enrich.Scopes{AS: [2]uint32{f.SrcAS, f.DstAS}}, Protocol: "tcp",
			IPVersion: 4,
			SrcPort:   f.SrcPort, DstPort: 443, ApplicationPort: 443,
			StartMs: blocktest.DayStart + int64(rnd.IntN(60000)),
			EndMs:   blocktest.DayStart + 60000,
			Bits:    f.Bytes * 8000, Packets: f.Packets * 1000,
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
