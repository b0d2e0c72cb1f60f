package sflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func TestCase52_Gateway(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, tcp4())
	sequence := func(as ...uint32) segment { return segment{2, as} }
	set := func(as ...uint32) segment { return segment{1, as} }
	tests := []struct {
		name                    string
		record                  []byte
		next                    string
		src, peerSrc, peer, dst uint32
		path, communities       []uint32
		preference              uint32
	}{
		{"a path", gatewayRecord("192.0.2.10", 64499, 64498, 64497, []segment{sequence(64500, 4200000001, 64502)},
			[]uint32{64500<<16 | 7, 0xffffff01}, 100),
			"192.0.2.10", 64498, 64497, 64500, 64502, []uint32{64500, 4200000001, 64502},
			[]uint32{64500<<16 | 7, 0xffffff01}, 100},
		{"a sequence and a set", gatewayRecord("2001:db8::9", 64499, 1, 2, []segment{sequence(10, 20), set(30, 40)},
			nil, 0),
			"2001:db8::9", 1, 2, 10, 40, []uint32{10, 20, 30, 40}, nil, 0},
		{"an empty path: the flow ends in the router's own AS, which stays 0",
			gatewayRecord("192.0.2.10", 64499, 7, 8, nil, nil, 100),
			"192.0.2.10", 7, 8, 0, 0, nil, nil, 100},
		{"an empty segment", gatewayRecord("192.0.2.10", 64499, 7, 8, []segment{sequence(), sequence(5)}, nil, 100),
			"192.0.2.10", 7, 8, 5, 5, []uint32{5}, nil, 100},
		{"no source AS: the flow begins in the router's own AS, which stays 0",
			gatewayRecord("", 64499, 0, 0, []segment{sequence(5)}, nil, 0),
			"::", 0, 0, 5, 5, []uint32{5}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, frame, test.record))
			equal(t, "next hop", r.BGPNextHop, addr(test.next))
			equal(t, "source AS", r.SrcAS, test.src)
			equal(t, "source peer", r.PeerSrcAS, test.peerSrc)
			equal(t, "destination peer", r.PeerDstAS, test.peer)
			equal(t, "destination AS", r.DstAS, test.dst)
			equal(t, "preference", r.LocalPref, test.preference)
			if !slices.Equal(r.ASPath, test.path) || !slices.Equal(r.Communities, test.communities) {
				t.Errorf("path %v, communities %v; want %v, %v", r.ASPath, r.Communities, test.path, test.communities)
			}
			equal(t, "fields sent", r.Sent(flow.BGPNextHop|flow.SrcAS|flow.DstAS|flow.PeerSrcAS|flow.PeerDstAS|
				flow.ASPath|
				flow.Communities|flow.LocalPref), true)
			equal(t, "the IGP's next hop sent", r.Sent(flow.NextHop), false)
			l.failed(nil)
		})
	}
}

// A record that ends behind the AS path, as in sFlow version 4, has no communities and no preference.
func TestCase52_GatewayWithoutCommunities(t *testing.T) {
	whole := gatewayRecord("192.0.2.10", 64499, 7, 8, []segment{{2, []uint32{64500, 64501}}}, nil, 0)
	body := whole[8 : len(whole)-8]
	l := newLab(t, Options{})
	r := l.sample(compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()), typed(extendedGateway, body)))
	equal(t, "destination AS", r.DstAS, 64501)
	equal(t, "AS numbers", len(r.ASPath), 2)
	equal(t, "communities", len(r.Communities), 0)
	l.failed(nil)
}

// The lists of samples in one datagram do not share memory.
func TestCase52_PathsOfSeveralSamples(t *testing.T) {
	var samples [][]byte
	for n := uint32(1); n <= 40; n++ {
		samples = append(samples, compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()),
			gatewayRecord("192.0.2.10", 1, 2, 3, []segment{{2, []uint32{n, n + 1}}}, []uint32{n + 2}, n)))
	}
	for i, r := range newLab(t, Options{}).send(datagramOf(head{agent: agentAddress}, samples...)) {
		n := uint32(i + 1)
		if !slices.Equal(r.ASPath, []uint32{n, n + 1}) || !slices.Equal(r.Communities, []uint32{n + 2}) {
			t.Errorf("sample %d: path %v, communities %v", i, r.ASPath, r.Communities)
		}
	}
}

func TestCase52_GatewayWithWrongCounts(t *testing.T) {
	next := join(address("192.0.2.10"), words(64499, 7, 8))
	for name, body := range map[string][]byte{
		"4 G segments":              join(next, words(0xffffffff, 2, 1, 5), words(0, 100)),
		"4 G numbers of a segment":  join(next, words(1, 2, 0xffffffff, 5), words(0, 100)),
		"1 G numbers, times 4 is 0": join(next, words(1, 2, 0x40000000, 5), words(0, 100)),
		"4 G communities":           join(next, words(1, 2, 1, 5), words(0xffffffff, 100)),
		"no preference":             join(next, words(1, 2, 1, 5), words(0)),
		"an address of type 9":      join(words(9), next),
		"nothing":                   nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()), typed(extendedGateway, body),
				switchRecord(10, 20)))
			equal(t, "fields of the gateway sent", r.Has&(flow.ASPath|flow.SrcAS|flow.BGPNextHop|flow.LocalPref), 0)
			equal(t, "the record behind it is read", r.VLAN, 10)
			l.failed(map[exporter.Reason]uint64{exporter.BadRecord: 1})
		})
	}
}

// A path that is longer than any real one is cut, and what is behind it is read.
func TestCase52_HugePath(t *testing.T) {
	path := make([]uint32, 3*maxPath)
	for i := range path {
		path[i] = uint32(i)
	}
	r := newLab(t, Options{}).sample(compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()),
		gatewayRecord("192.0.2.10", 1, 2, 3, []segment{{2, path}}, path, 77)))
	equal(t, "path", len(r.ASPath), maxPath)
	equal(t, "communities", len(r.Communities), maxPath)
	equal(t, "preference", r.LocalPref, 77)
}

func TestCase53_Router(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, tcp4())
	for _, test := range []struct {
		name, next string
		want       string
	}{{"IPv4", "192.0.2.9", "192.0.2.9"}, {"IPv6", "2001:db8::9", "2001:db8::9"}, {"not known", "", "::"}} {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).sample(compact(plainHead, frame, routerRecord(test.next, 24, 48)))
			equal(t, "next hop", r.NextHop, addr(test.want))
			equal(t, "masks", [2]uint8{r.SrcMask, r.DstMask}, [2]uint8{24, 48})
			equal(t, "fields sent", r.Sent(flow.NextHop|flow.SrcMask|flow.DstMask), true)
			equal(t, "BGP's next hop sent", r.Sent(flow.BGPNextHop), false)
		})
	}
}

func TestCase53_VLANs(t *testing.T) {
	frame := func(vlans ...uint16) []byte { return headerRecord(headerEthernet, 1518, tcp4(vlans...)) }
	tunnel := func(tags ...uint32) []byte {
		return typed(extendedVLAN, words(uint32(len(tags))), words(tags...))
	}
	const unset = -1
	tests := []struct {
		name     string
		records  [][]byte
		vlan     int
		src, dst int
		tag      int
	}{
		{"no tag, no switch", [][]byte{frame()}, unset, unset, unset, unset},
		{"the frame's tag", [][]byte{frame(30)}, 30, unset, unset, 30},
		{"the frame's outer tag", [][]byte{frame(40, 30)}, 40, unset, unset, 40},
		{"switch in wins", [][]byte{frame(30), switchRecord(10, 20)}, 10, 10, 20, 30},
		{"switch in wins, before the frame", [][]byte{switchRecord(10, 20), frame(30)}, 10, 10, 20, 30},
		{"switch out where in is 0", [][]byte{frame(30), switchRecord(0, 20)}, 20, 0, 20, 30},
		{"switch says 0 and 0: the frame's tag", [][]byte{frame(30), switchRecord(0, 0)}, 30, 0, 0, 30},
		{"switch says 0 and 0, no tag", [][]byte{frame(), switchRecord(0, 0)}, 0, 0, 0, unset},
		{"unknown in is kept as the reference has it", [][]byte{frame(30), switchRecord(0xffffffff, 20)}, 65535, unset,
			20, 30},
		{"unknown out", [][]byte{frame(30), switchRecord(10, 0xffffffff)}, 10, 10, unset, 30},
		{"4095 is unknown", [][]byte{frame(30), switchRecord(4095, 4095)}, 4095, unset, unset, 30},
		{"4094 is a VLAN", [][]byte{frame(), switchRecord(4094, 4094)}, 4094, 4094, 4094, unset},
		{"stripped tags", [][]byte{frame(), tunnel(0x8100e032, 0x8100001e)}, 50, unset, unset, unset},
		{"stripped tags come before the frame's", [][]byte{frame(30), tunnel(0x81000032)}, 50, unset, unset, 30},
		{"switch wins over stripped tags", [][]byte{tunnel(0x81000032), switchRecord(10, 20), frame()}, 10, 10, 20,
			unset},
		{"switch says 0 and 0: stripped tags", [][]byte{switchRecord(0, 0), tunnel(0x81000032), frame()}, 50, 0, 0,
			unset},
		{"stripped tags before a switch that says 0 and 0", [][]byte{tunnel(0x81000032), switchRecord(0, 0), frame()},
			50, 0,
			0, unset},
		{"stripped tags last", [][]byte{frame(30), switchRecord(0, 0), tunnel(0x81000032)}, 50, 0, 0, 30},
		{"no stripped tags", [][]byte{frame(30), tunnel()}, 30, unset, unset, 30},
	}
	sent := func(r flow.Record, field flow.Fields, id uint16) int {
		if r.Sent(field) {
			return int(id)
		}
		return unset
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t, Options{}).sample(compact(plainHead, test.records...))
			equal(t, "VLAN", sent(r, flow.VLAN, r.VLAN), test.vlan)
			equal(t, "source VLAN", sent(r, flow.SrcVLAN, r.SrcVLAN), test.src)
			equal(t, "destination VLAN", sent(r, flow.DstVLAN, r.DstVLAN), test.dst)
			equal(t, "tag", sent(r, flow.FrameVLAN, r.FrameVLAN), test.tag)
		})
	}
}

func TestCase53_MPLS(t *testing.T) {
	labels := func(in ...uint32) []byte {
		return typed(extendedMPLS, address("192.0.2.9"), words(uint32(len(in))), words(in...), words(1, 0x000991ff))
	}
	plainFrame := headerRecord(headerEthernet, 1518, tcp4())
	labelled := headerRecord(headerMPLS, 1518, join(bin("000101ff"), packet4()))
	tests := []struct {
		name    string
		records [][]byte
		want    []uint32
	}{
		{"incoming stack", [][]byte{plainFrame, labels(0x000120ff, 0x00010bff)}, []uint32{0x120, 0x10b}},
		{"the frame's own stack comes first", [][]byte{labelled, labels(0x000120ff, 0x00010bff)}, []uint32{0x101}},
		{"the frame's own stack comes first, in the other order", [][]byte{labels(0x000120ff, 0x00010bff), labelled},
			[]uint32{0x101}},
		{"incoming stack before a frame without labels", [][]byte{labels(0x000121ff), plainFrame}, []uint32{0x121}},
		{"empty", [][]byte{plainFrame, labels()}, nil},
		{"twelve, of which ten are kept", [][]byte{plainFrame,
			labels(0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000,
				0x1000, 0x1000, 0x1100)}, []uint32{0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, test.records...))
			l.failed(nil)
			var want [10]uint32
			copy(want[:], test.want)
			equal(t, "stack", r.MPLS, want)
			equal(t, "labels", int(r.MPLSCount), len(test.want))
			equal(t, "sent", r.Sent(flow.MPLS), len(test.want) > 0)
		})
	}
}

func TestCase53_WrongCounts(t *testing.T) {
	for name, record := range map[string][]byte{
		"4 G labels": typed(extendedMPLS, address("192.0.2.9"), words(0xffffffff, 1, 2)),
		"1 G labels": typed(extendedMPLS, address("192.0.2.9"), words(0x40000000, 1, 2)),
		"4 G tags":   typed(extendedVLAN, words(0xffffffff, 1, 2)),
		"no masks":   typed(extendedRouter, address("192.0.2.9")),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, headerRecord(headerEthernet, 1518, tcp4()), record))
			equal(t, "fields sent", r.Has&(flow.MPLS|flow.VLAN|flow.NextHop), 0)
			l.failed(map[exporter.Reason]uint64{exporter.BadRecord: 1})
		})
	}
}

// A header that is said to be Ethernet's and begins with IP is known by the length of the frame, with or without what
// agents count of the link (case 51).
func TestCase51_PacketsWithoutLinkHeader(t *testing.T) {
	const packet = 40
	for length, want := range map[uint32]bool{
		packet: true, packet + 4: true, packet + 14: true, packet + 18: true, packet + 22: true, packet + 26: true,
		64:         true,
		packet - 1: false, packet + 27: false, 1518: false,
	} {
		equal(t, "a packet", isPacket(packet4(), length), want)
	}
	frame := join(bin("450000280002 020000000001 0800"), packet4())
	equal(t, "a frame to an address that begins like IP", isPacket(frame, 58), false)
}
