package packet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/decoder/flow"
)

// bin is bytes from hex digits; spaces are for the reader.
func bin(digits string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func u16(n uint16) []byte  { return binary.BigEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte  { return binary.BigEndian.AppendUint32(nil, n) }
func ip(s string) []byte   { return netip.MustParseAddr(s).AsSlice() }
func a(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// join builds a frame of its parts, from the outside in.
func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// The ends of the frames: outer and inner link, and the addresses of either flow.
var (
	macs      = bin("020000000002 020000000001")
	innerMACs = bin("020000000012 020000000011")
)

// ether is an Ethernet header up to the EtherType, ipv4Header one of 20 bytes whose packet has size more.
func ether(kind uint16) []byte      { return join(macs, u16(kind)) }
func innerEther(kind uint16) []byte { return join(innerMACs, u16(kind)) }

const (
	outer4Src, outer4Dst = "192.0.2.1", "198.51.100.2"
	inner4Src, inner4Dst = "10.0.0.1", "10.0.0.2"
	outer6Src, outer6Dst = "2001:db8::1", "2001:db8::2"
	inner6Src, inner6Dst = "2001:db8:1::1", "2001:db8:1::2"
)

func header4(proto uint8, src, dst string, fragment uint16, options []byte, size int) []byte {
	length := 20 + len(options) + size
	return join([]byte{0x45 + byte(len(options)/4), 0xb8}, u16(uint16(length)), u16(7), u16(fragment),
		[]byte{63, proto, 0, 0},
		ip(src), ip(dst), options)
}

func outer4(proto uint8, body ...[]byte) []byte {
	b := join(body...)
	return join(header4(proto, outer4Src, outer4Dst, 0x4000, nil, len(b)), b)
}

func inner4(proto uint8, body ...[]byte) []byte {
	b := join(body...)
	return join(header4(proto, inner4Src, inner4Dst, 0, nil, len(b)), b)
}

func header6(next uint8, src, dst string, size int) []byte {
	return join(u32(0x6b8_12345), u16(uint16(size)), []byte{next, 64}, ip(src), ip(dst))
}

func outer6(next uint8, body ...[]byte) []byte {
	b := join(body...)
	return join(header6(next, outer6Src, outer6Dst, len(b)), b)
}

func inner6(next uint8, body ...[]byte) []byte {
	b := join(body...)
	return join(header6(next, inner6Src, inner6Dst, len(b)), b)
}

// tcp has the flags NS, SYN and ACK.
func tcp() []byte { return join(u16(1234), u16(443), u32(1), u32(2), bin("51 12 ffff 0000 0000")) }

func udp(dst uint16, body ...[]byte) []byte {
	b := join(body...)
	return join(u16(5000), u16(dst), u16(uint16(8+len(b))), u16(0), b)
}

// The records that the frames make, as building blocks.
func with(edits ...func(*flow.Record)) flow.Record {
	var r flow.Record
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func link(r *flow.Record) {
	r.DstMAC, r.SrcMAC = [6]byte(macs[:6]), [6]byte(macs[6:])
	r.Has |= flow.DstMAC | flow.SrcMAC
}

func innerLink(r *flow.Record) {
	r.DstMAC, r.SrcMAC = [6]byte(innerMACs[:6]), [6]byte(innerMACs[6:])
	r.Has |= flow.DstMAC | flow.SrcMAC
}

func net4(proto uint8, src, dst string) func(*flow.Record) {
	return func(r *flow.Record) {
		r.IPVersion, r.ToS, r.IPProtocol, r.SrcAddr, r.DstAddr = 4, 0xb8, proto, a(src), a(dst)
		r.Has |= flow.ToS | flow.IPProtocol | flow.SrcAddr | flow.DstAddr
	}
}

func net6(proto uint8, src, dst string) func(*flow.Record) {
	return func(r *flow.Record) {
		r.IPVersion, r.ToS, r.FlowLabel, r.IPProtocol, r.SrcAddr, r.DstAddr = 6, 0xb8, 0x12345, proto, a(src), a(dst)
		r.Has |= flow.ToS | flow.FlowLabel | flow.IPProtocol | flow.SrcAddr | flow.DstAddr
	}
}

func ports(src, dst uint16) func(*flow.Record) {
	return func(r *flow.Record) {
		r.SrcPort, r.DstPort = src, dst
		r.Has |= flow.SrcPort | flow.DstPort
	}
}

func segment(r *flow.Record) {
	ports(1234, 443)(r)
	r.TCPFlags = 0x112
	r.Has |= flow.TCPFlags
}

func icmp(kind, code uint8) func(*flow.Record) {
	return func(r *flow.Record) {
		r.ICMPType, r.ICMPCode = kind, code
		r.Has |= flow.ICMP
	}
}

func tag(id uint16) func(*flow.Record) {
	return func(r *flow.Record) { r.FrameVLAN, r.Has = id, r.Has|flow.FrameVLAN }
}

func innerTag(id uint16) func(*flow.Record) {
	return func(r *flow.Record) { r.FrameInnerVLAN, r.Has = id, r.Has|flow.FrameInnerVLAN }
}

// stack is label entries without their TTL, as a record holds them.
func stack(entries ...uint32) func(*flow.Record) {
	return func(r *flow.Record) {
		r.MPLSCount = uint8(copy(r.MPLS[:], entries))
		r.Has |= flow.MPLS
	}
}
