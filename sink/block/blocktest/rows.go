// Package blocktest has rows for tests of blocks and of what reads them. It only imports the row type.
package blocktest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rpki"
)

// DayStart is when the rows begin: 2026-11-23 00:00 UTC, in Unix milliseconds.
const DayStart = 1_795_392_000_000

// FullRow has a value for every column and every key of ext.
func FullRow() enrich.Row {
	return enrich.Row{
		Flow: &flow.Record{
			Protocol: flow.IPFIX, IPVersion: 4, Received: 17, SamplingRate: 2048, SamplingSource: flow.SamplingRecord,
			Has: flow.ToS | flow.FlowLabel | flow.VLAN | flow.SrcVLAN | flow.DstVLAN | flow.InnerSrcVLAN |
				flow.InnerDstVLAN |
				flow.MPLS | flow.MPLSTopLabelType | flow.MPLSTopLabelAddr | flow.MPLSPseudowire | flow.MPLSRD |
				flow.ASPath | flow.Communities | flow.LocalPref | flow.MED |
				flow.TCPFlags | flow.ForwardingStatus | flow.NextHop | flow.ICMP,
			InIf: 11, OutIf: 258, OutIfKind: flow.InterfaceDiscarded, TCPFlags: 0x1ff, ForwardingStatus: 64,
			NextHop:  flow.Addr{},
			ICMPType: 129, ICMPCode: 255,
			SrcAddr: flow.AddrFrom4([4]byte{192, 0, 2, 1}),
			DstAddr: flow.Addr{0x20, 0x01, 0x0d, 0xb8, 15: 2},
			ToS:     0xb8, FlowLabel: 0xfffff, VLAN: 100, SrcVLAN: 101, DstVLAN: 102, InnerSrcVLAN: 103,
			InnerDstVLAN: 104,
			MPLSCount:    3, MPLS: [10]uint32{1048575<<4 | 5<<1, 0, 24001<<4 | 7<<1 | 1},
			MPLSTopLabelType: 4, MPLSTopLabelAddr: flow.AddrFrom4([4]byte{203, 0, 113, 9}),
			MPLSPseudowire: math.MaxUint32,
			LocalPref:      200, MED: 50, Communities: []uint32{65535<<16 | 65281, 64500 << 16},
		},
		DeviceID: "rtr1", DeviceRef: "rtr1__v3", VRFName: "customer-7",
		In:      enrich.Interface{ID: "rtr1::1", Ref: "rtr1::1__v1", Edge: true},
		Out:     enrich.Interface{ID: "rtr1::2", Ref: "rtr1::2__v2", Edge: true},
		SrcASID: 64500, DstASID: math.MaxUint32, SrcASRef: "64500__v1", DstASRef: "4294967295__v1",
		SrcCountry: "CH", DstCountry: "NL",
		SrcIPRef: "192.0.2.0/24__v1", DstIPRef: "2001:db8::/32__v1", SrcExtRef: []string{"11__v1"},
		DstExtRef: []string{"12__v1"},
		HasPeer:   true, PeerIP: flow.AddrFrom4([4]byte{}), PeerASID: 64501, PeerIPRef: "0.0.0.0/0__v1",
		PeerASRef:   "64501__v1",
		PolicyScope: enrich.Scopes{Listed: []string{"comm:re"}, AS: [2]uint32{64500}},
		Protocol:    "ipv6-icmp", IPVersion: 6,
		SrcPort: 65535, DstPort: 53, ApplicationPort: 53, StartMs: DayStart + 1, EndMs: DayStart + 999,
		Bits: math.MaxUint64, Packets: 1 << 53, ASPathID: []uint32{64500, 64501}, ASPathPadding: []uint16{1, 300},
		ExtCommunities:   []uint64{0x0002_fbf4_0000_0007, 0x030c_0000_0000_0008},
		LargeCommunities: []route.Large{{Global: 4226809946, Data1: 0, Data2: 7}},
		MPLSLabel:        []uint32{1048575, 0, 24001}, MPLSExp: []uint8{5, 0, 7}, MPLSBottomLabel: 24001,
		MPLSRD:        "0:64500:7",
		StatedStartMs: 1 << 50, StatedEndMs: 1<<50 + 1,
		SrcRPKI: rpki.Valid, DstRPKI: rpki.Invalid,
		Route: enrich.RouteColumns{HasSrc: true, HasSrcLocalPref: true, HasSrcMED: true, SrcLocalPref: 90, SrcMED: 8,
			SrcPath: []uint32{64510, 64511}, SrcPadding: []uint16{2, 1},
			SrcCommunities: []uint32{64510<<16 | 3, 0xffffff01},
			SrcExtended:    []uint64{0x0003_fbf4_0000_0009},
			SrcLarge:       []route.Large{{Global: 64510, Data1: 1, Data2: 2}}, PeerAS: 64510, Source: "bgp",
			Router: "192.0.2.250", HasFrom: true, HasTo: true,
			From: route.Make(192<<56|2<<40, 0, 24, false), To: route.Make(0x20010db8<<32, 0, 32, true)},
	}
}

// EmptyRow has no value that is optional.
func EmptyRow() enrich.Row {
	return enrich.Row{Flow: &flow.Record{Protocol: flow.NetFlowV5}, DeviceID: "unknown", Protocol: "0", IPVersion: 4,
		StartMs: DayStart, EndMs: DayStart}
}

// FullJSON is FullRow as stored in the table, without ext and insert_time.
const FullJSON = `{"start_time":"2026-11-23 00:00:00.001","end_time":"2026-11-23 00:00:00.999",
"collector_id":"collector-1","policy_originator":"example","policy_level":"tlp:green","policy_scope":["comm:re",` +
	`"as:64500"],
"flow_type": "netflow","device_id":"rtr1","device_ref":"rtr1__v3",
"src_as_id":64500,"src_as_ref":"64500__v1","src_ip":"::ffff:192.0.2.1","src_ip_ref":"192.0.2.0/24__v1","src_port":65535,
"dst_as_id":4294967295,"dst_as_ref":"4294967295__v1","dst_ip":"2001:db8::2","dst_ip_ref":"2001:db8::/32__v1",` +
	`"dst_port":53,
"protocol":"ipv6-icmp","in_interface_id":"rtr1::1","in_interface_ref":"rtr1::1__v1","in_interface_edge":true,
"out_interface_id":"rtr1::2","out_interface_ref":"rtr1::2__v2","out_interface_edge":true,
"peer_as_id":64501,"peer_as_ref":"64501__v1","peer_ip":"::ffff:0.0.0.0","peer_ip_ref":"0.0.0.0/0__v1",
"ip_version":6,"application_port":53,"bit_count":18446744073709551615,"packet_count":9007199254740992,
"sampling_rate":2048,"sampling_source":"record","in_if_index":11,"out_if_index":1073742082,
"tcp_flags":511,"forwarding_status":64,"next_hop":"::","icmp_type":129,"icmp_code":255,
"src_country":"CH","dst_country":"NL"}`

// EmptyJSON is EmptyRow as stored in the table.
const EmptyJSON = `{"start_time":"2026-11-23 00:00:00.000","end_time":"2026-11-23 00:00:00.000",
"collector_id":"collector-1","policy_originator":"example","policy_level":"tlp:green","policy_scope":[],
"flow_type":"netflow","device_id":"unknown","device_ref":null,
"src_as_id":0,"src_as_ref":null,"src_ip":"::","src_ip_ref":null,"src_port":0,
"dst_as_id":0,"dst_as_ref":null,"dst_ip":"::","dst_ip_ref":null,"dst_port":0,
"protocol":"0","in_interface_id":null,"in_interface_ref":null,"in_interface_edge":false,
"out_interface_id":null,"out_interface_ref":null,"out_interface_edge":false,
"peer_as_id":null,"peer_as_ref":null,"peer_ip":null,"peer_ip_ref":null,
"ip_version":4,"application_port":0,"bit_count":0,"packet_count":0,"sampling_rate":0,"sampling_source":"assumed",` +
	`"in_if_index":0,"out_if_index":0,
"tcp_flags":null,"forwarding_status":null,"next_hop":null,"icmp_type":null,"icmp_code":null,
"src_country":"","dst_country":""}`

// Traffic returns rows like a core router's flows: few interfaces, many prefixes, mostly the same keys of ext.
func Traffic(n int) []enrich.Row {
	rnd := rand.New(rand.NewPCG(1, 2))
	texts := func(n int, format string) []string {
		s := make([]string, n)
		for i := range s {
			s[i] = fmt.Sprintf(format, i)
		}
		return s
	}
	interfaces, interfaceRefs := texts(64, "core1.example.net::et-0/0/%d"),
		texts(64, "core1.example.net::et-0/0/%d__v1")
	asRefs, ipRefs := texts(500, "%d__v1"), texts(5000, "192.0.%d.0/24__v3")
	scireg, countries := texts(50, "%d__v1"), texts(60, "%02X")
	rows := make([]enrich.Row, n)
	for i := range rows {
		src, dst := rnd.IntN(500), rnd.IntN(500)
		in, out := rnd.IntN(64), rnd.IntN(64)
		f := &flow.Record{
			Protocol: flow.IPFIX, IPVersion: 4, Has: flow.ToS | flow.VLAN | flow.SrcVLAN | flow.DstVLAN,
			Received: int64(i) * 1e6, SamplingRate: 1000, SamplingSource: flow.SamplingSelector,
			SrcAddr: flow.AddrFrom4([4]byte{192, 0, byte(src), byte(i)}),
			DstAddr: flow.AddrFrom4([4]byte{198, 51, byte(dst), byte(i)}),
			ToS:     uint8(rnd.IntN(4) * 8), VLAN: uint16(in), SrcVLAN: uint16(in), DstVLAN: uint16(out),
		}
		r := enrich.Row{
			Flow: f, DeviceID: "core1.example.net", DeviceRef: "core1.example.net__v2",
			In:      enrich.Interface{ID: interfaces[in], Ref: interfaceRefs[in], Edge: in < 10},
			Out:     enrich.Interface{ID: interfaces[out], Ref: interfaceRefs[out]},
			SrcASID: uint32(64500 + src), DstASID: uint32(64500 + dst), SrcASRef: asRefs[src], DstASRef: asRefs[dst],
			SrcIPRef: ipRefs[rnd.IntN(5000)], DstIPRef: ipRefs[rnd.IntN(5000)],
			SrcCountry: countries[src%60], DstCountry: countries[dst%60],
			SrcExtRef: []string{""}, DstExtRef: []string{""},
			PolicyScope: enrich.Scopes{AS: [2]uint32{uint32(64500 + src), uint32(64500 + dst)}},
			Protocol:    []string{"tcp", "udp"}[i%2], IPVersion: 4,
			SrcPort: uint16(rnd.Uint32()), DstPort: 443, ApplicationPort: 443,
			StartMs: DayStart + int64(rnd.IntN(60000)), EndMs: DayStart + 60000,
			Bits: uint64(rnd.IntN(1e9)), Packets: uint64(rnd.IntN(1e5)),
		}
		if i%4 == 0 {
			r.SrcExtRef, r.DstExtRef = []string{scireg[src/10]}, []string{scireg[dst/10]}
		}
		if i%2 == 0 {
			r.HasPeer, r.PeerASID, r.PeerASRef = true, r.DstASID, r.DstASRef
			r.PeerIP = flow.AddrFrom4([4]byte{203, 0, 113, byte(out)})
			f.Has |= flow.ASPath | flow.Communities | flow.LocalPref
			r.ASPathID, r.ASPathPadding = []uint32{64500, uint32(64600 + dst), r.DstASID}, []uint16{1, 1, 2}
			f.Communities, f.LocalPref = []uint32{64500<<16 | uint32(out), 64500<<16 | 666}, 100
		}
		rows[i] = r
	}
	return rows
}

// Mixed returns rows of which some have a value in every column.
func Mixed(n int) []enrich.Row {
	rows := Traffic(n)
	full, empty := FullRow(), EmptyRow()
	for i := range rows {
		switch {
		case i%7 == 3:
			rows[i] = full
		case i%11 == 5:
			rows[i] = empty
		}
	}
	return rows
}
