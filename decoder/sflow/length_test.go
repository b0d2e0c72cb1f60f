package sflow

import (
	"encoding/binary"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// sampledHeaderOf is a sampled_header with the length of the frame and the stripped bytes that an agent states.
func sampledHeaderOf(protocol, length, stripped uint32, header []byte) []byte {
	return typed(sampledHeader, words(protocol, length, stripped), opaque(header))
}

// withLength4 is a frame or packet whose IPv4 header, which begins at an offset, claims so many bytes.
func withLength4(b []byte, at int, length uint16) []byte {
	b = append([]byte(nil), b...)
	binary.BigEndian.PutUint16(b[at+2:], length)
	return b
}

// withChecksum4 fills in the checksum of an IPv4 header at the start of b.
func withChecksum4(b []byte) []byte {
	b = append([]byte(nil), b...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum>>16+sum&0xffff))
	return b
}

// One rule for the bytes of all vendors (README, "Bytes"): the packet's length where the agent states it, else the
// frame's on the wire as the agent counts it, else what follows from the IP header (case 49).
func TestCase49_LengthsOfDevices(t *testing.T) {
	long, padded := withLength4(tcp4(), 14, 1500), join(tcp4(), make([]byte, 6))
	tagged := withLength4(tcp4(5), 18, 1500)
	jumbo := withLength4(tcp4(), 14, 9000)
	own := func(length uint32) []byte {
		return ipRecord(sampledIPv4, length, 6, "10.0.0.1", "10.0.0.2", 1234, 443, 0x18, 0)
	}
	ether := func(length uint32) []byte {
		return typed(sampledEthernet, words(length), make([]byte, 16), words(0x0800))
	}
	snapped := join(long, make([]byte, 128-len(long)))
	for _, test := range []struct {
		name    string
		records [][]byte
		bytes   uint64
	}{
		{"the checksum counted and stripped", [][]byte{sampledHeaderOf(1, 1518, 4, snapped)}, 1518},
		{"the checksum counted, nothing stripped", [][]byte{sampledHeaderOf(1, 1518, 0, snapped)}, 1518},
		{"the checksum not counted", [][]byte{sampledHeaderOf(1, 1514, 0, snapped)}, 1514},
		{"a tag stripped with the checksum", [][]byte{sampledHeaderOf(1, 1522, 8, snapped)}, 1522},
		{"the least frame, padded", [][]byte{sampledHeaderOf(1, 64, 4, padded)}, 64},
		{"the least frame, its padding not sampled", [][]byte{sampledHeaderOf(1, 64, 4, tcp4())}, 64},
		{"a jumbo frame", [][]byte{sampledHeaderOf(1, 9018, 4, join(jumbo, make([]byte, 74)))}, 9018},
		{"128 bytes of a jumbo frame", [][]byte{sampledHeaderOf(1, 128, 0, join(jumbo, make([]byte, 74)))}, 9018},
		{"the length of the header only", [][]byte{sampledHeaderOf(1, 128, 0, snapped)}, 1518},
		{"the length of the header and the checksum", [][]byte{sampledHeaderOf(1, 132, 4, snapped)}, 1518},
		{"the length of the header only, 8 bytes stripped", [][]byte{sampledHeaderOf(1, 128, 8, snapped)}, 1522},
		{"less than the header", [][]byte{sampledHeaderOf(1, 64, 0, snapped)}, 1518},
		{"the length of the header only, tagged", [][]byte{sampledHeaderOf(1, uint32(len(tagged)), 0, tagged)}, 1522},
		{"the header without a link", [][]byte{sampledHeaderOf(headerIPv4, 40, 0, withLength4(packet4(), 0, 1500))},
			1500},
		{"no length, and nothing to take it from", [][]byte{sampledHeaderOf(1, 0, 0, tcp4()[:10]), own(0)}, 0},
		{"the agent's own length of the packet", [][]byte{sampledHeaderOf(1, 1518, 4, snapped), own(1500)}, 1500},
		{"the agent's own only", [][]byte{own(1500)}, 1500},
		{"the agent's own of 0, and the frame's", [][]byte{own(0), ether(1514)}, 1514},
		{"the agent's own and the frame's", [][]byte{ether(1514), own(1500)}, 1500},
		{"a length that no frame has", [][]byte{sampledHeaderOf(1, 0x00800000, 4, snapped)}, 1518},
		{"a length of all ones, of a packet", [][]byte{sampledHeaderOf(headerIPv4, 0xffffffff, 0,
			withLength4(packet4(), 0, 1500))}, 1500},
		{"64 KiB, of a host that leaves cutting to its card", [][]byte{sampledHeaderOf(1, 65549, 0,
			withLength4(tcp4(), 14, 65535))}, 65549},
		{"more, of one that states no length in IPv4", [][]byte{sampledHeaderOf(1, 180_014, 0,
			withLength4(tcp4(), 14, 0))}, 180_014},
		{"the frame's beside a header without length", [][]byte{ether(1514), sampledHeaderOf(1, 0, 0, tcp4())}, 58},
	} {
		permutations(test.records, func(order [][]byte) {
			t.Run(test.name, func(t *testing.T) {
				equal(t, "bytes", newLab(t, Options{}).sample(compact(plainHead, order...)).Bytes, test.bytes)
			})
		})
	}
}

// A small packet that claims to be a large one is not believed of an agent that is known to state the lengths of
// frames.
func TestCase49_PacketsThatClaimMore(t *testing.T) {
	l := newLab(t, Options{})
	claims := sampledHeaderOf(1, uint32(len(tcp4()))+4, 4, withLength4(tcp4(), 14, 65535))
	send := func(record []byte) uint64 { return l.sample(compact(plainHead, record)).Bytes }
	equal(t, "bytes before the agent is known", send(claims), 65535+14+4)
	snapped := join(withLength4(tcp4(), 14, 1500), make([]byte, 74))
	equal(t, "bytes of a long frame", send(sampledHeaderOf(1, 1518, 4, snapped)), 1518)
	equal(t, "bytes of what claims more", send(claims), uint64(len(tcp4())+4))
	equal(t, "bytes of a header's length", send(sampledHeaderOf(1, 128, 0, snapped)), 1518)
}

// Packets that come in other link layers, or in two headers.
func TestCase51_LinkLayersOfDevices(t *testing.T) {
	checked := withChecksum4(withLength4(packet4(), 0, 1500))
	hdlc := join(bin("0f00 0800"), packet4())
	for _, test := range []struct {
		name   string
		header []byte
		mac    bool
	}{
		{"a packet under Ethernet's number, its length the sample's", sampledHeaderOf(1, 40, 0, checked), false},
		{"a packet under Ethernet's number, another length", sampledHeaderOf(1, 9999, 0, checked), false},
		{"Cisco HDLC", sampledHeaderOf(headerPPP, 48, 4, hdlc), false},
		{"Cisco HDLC on SONET", sampledHeaderOf(headerPOS, 48, 4, hdlc), false},
		{"Cisco HDLC, broadcast", sampledHeaderOf(headerPPP, 48, 4, join(bin("8f00 0800"), packet4())), false},
		{"Cisco HDLC with MPLS", sampledHeaderOf(headerPPP, 48, 4, join(bin("0f00 8847 0005d1ff"), packet4())), false},
		{"PPP", sampledHeaderOf(headerPPP, 48, 4, join(bin("ff03 0021"), packet4())), false},
		{"PPP without address and control", sampledHeaderOf(headerPOS, 48, 4, join(bin("0021"), packet4())), false},
		{"a network service header", sampledHeaderOf(1, 80, 4, join(bin("020000000002 020000000001 894f"),
			bin("0fc2 0201 00002aff"), packet4())), true},
		{"a network service header with a frame and metadata", sampledHeaderOf(1, 120, 4,
			join(bin("020000000002 020000000001 894f"), bin("0fc6 0103 00002aff"), make([]byte, 16), tcp4())), true},
		{"frame relay", sampledHeaderOf(headerFrameRelay, 48, 4, join(bin("1841 03 cc"), packet4())), false},
		{"frame relay with SNAP", sampledHeaderOf(headerFrameRelay, 56, 4,
			join(bin("1841 03 00 80 000000 0800"), packet4())), false},
		{"frame relay of Cisco", sampledHeaderOf(headerFrameRelay, 48, 4, join(bin("1841 0800"), packet4())), false},
		{"frame relay with an address of 4 bytes", sampledHeaderOf(headerFrameRelay, 48, 4,
			join(bin("18406041 03 cc"), packet4())), false},
		{"ATM with SNAP", sampledHeaderOf(headerAAL5, 60, 0, join(bin("aaaa03 000000 0800"), packet4())), false},
		{"ATM with a bridged frame", sampledHeaderOf(headerAAL5, 80, 0, join(bin("aaaa03 0080c2 0007 0000"), tcp4())),
			true},
		{"ATM, IP only", sampledHeaderOf(headerAAL5IP, 60, 0, packet4()), false},
		{"FDDI", sampledHeaderOf(headerFDDI, 80, 4,
			join(bin("50 020000000002 020000000001 aaaa03 000000 0800"), packet4())), true},
		{"an aggregated frame of wireless LAN", sampledHeaderOf(headerWLANPart, 80, 0,
			join(bin("020000000002 020000000001 0030 aaaa03 000000 0800"), packet4())), true},
		{"IPv4 under the number of IPv6", sampledHeaderOf(headerIPv6, 60, 0, packet4()), false},
		{"four tags", sampledHeaderOf(1, 80, 4, tcp4(1, 2, 3, 4)), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.sample(compact(plainHead, test.header))
			equal(t, "source", r.SrcAddr, addr("10.0.0.1"))
			equal(t, "ports", [2]uint16{r.SrcPort, r.DstPort}, [2]uint16{1234, 443})
			equal(t, "hardware addresses were sent", r.Sent(flow.SrcMAC), test.mac)
			l.failed(nil)
		})
	}
	l := newLab(t, Options{})
	r := l.sample(compact(plainHead, sampledHeaderOf(1, 1518, 4, tcp4(7)),
		sampledHeaderOf(headerIPv6, 900, 0, packet6())))
	equal(t, "of two headers, version", r.IPVersion, 4)
	equal(t, "bytes", r.Bytes, 1518)
	r = l.sample(compact(plainHead, sampledHeaderOf(1, 64, 4, bin("020000000002 020000000001 0806 0001")),
		sampledHeaderOf(headerIPv6, 900, 0, packet6())))
	equal(t, "behind one without a packet, version", r.IPVersion, 6)
}
