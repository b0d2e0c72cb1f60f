package sflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/packet"
)

// parts collects the descriptions of one packet that a sample has, in any order.
type parts struct {
	any   bool // the sample has at least one
	frame bool // it has a sampled header
	cut   bool // the sampled header ends within a header of the packet
	// What the agent parsed itself (sampled_ipv4, sampled_ipv6, sampled_ethernet). It is used if the frame lacks it.
	ip       described
	ipLength uint32
	src, dst [6]byte
	ethernet bool
	// The frame's length as sampled_ethernet has it; 0: unknown.
	ethernetLength uint32
	stripped       uint16 // the outermost tag that a switch removed (extended_vlantunnel); 0: none
}

// described is a packet as sampled_ipv4 or sampled_ipv6 describes it. Has is 0 if there was none.
type described struct {
	Has                        flow.Fields
	IPVersion, IPProtocol, ToS uint8
	ICMPType, ICMPCode         uint8
	SrcPort, DstPort, TCPFlags uint16
	SrcAddr, DstAddr           flow.Addr
}

// Flow record formats (enterprise 0).
const (
	sampledHeader   = 1
	sampledEthernet = 2
	sampledIPv4     = 3
	sampledIPv6     = 4
	extendedSwitch  = 1001
	extendedRouter  = 1002
	extendedGateway = 1003
	extendedMPLS    = 1006
	extendedVLAN    = 1012
)

// record reads one record of a flow sample into f. Formats without fields of ours are skipped.
func (d *Decoder) record(f *flow.Record, format uint32, body []byte, seen *parts) bool {
	r := reader{b: body}
	switch format {
	case sampledHeader:
		return d.header(f, &r, seen)
	case sampledEthernet:
		return ethernet(&r, seen)
	case sampledIPv4:
		return fields4(&r, seen)
	case sampledIPv6:
		return fields6(&r, seen)
	case extendedSwitch:
		return switched(f, &r)
	case extendedRouter:
		return router(f, &r)
	case extendedGateway:
		return d.gateway(f, &r)
	case extendedMPLS:
		return labels(f, &r)
	case extendedVLAN:
		return vlanTunnel(&r, seen)
	}
	return true
}

// Header protocols of sampled_header.
const (
	headerEthernet   = 1
	headerFDDI       = 4
	headerFrameRelay = 5
	headerPPP        = 7
	headerAAL5       = 9
	headerAAL5IP     = 10
	headerIPv4       = 11
	headerIPv6       = 12
	headerMPLS       = 13
	headerPOS        = 14 // PPP on SONET (RFC 2615)
	headerWLAN       = 15
	headerWLANPart   = 17 // a frame of those that one of IEEE 802.11 aggregates (A-MSDU)
)

// fcs is the length of Ethernet's checksum. A frame's length includes it; a sampled header does not.
const fcs = 4

// header reads a sampled packet header.
func (d *Decoder) header(f *flow.Record, r *reader, seen *parts) bool {
	b := r.fixed(16) // header protocol, length of the frame, bytes stripped from it, length of the header
	if b == nil {
		return false
	}
	protocol, length, stripped := word(b, 0), word(b, 1), word(b, 2)
	frame := r.take(word(b, 3))
	if r.failed {
		return false
	}
	if seen.frame && f.Sent(flow.SrcAddr) {
		return true // of two headers, as of a packet and what it carries, the first counts
	}
	seen.any, seen.frame = true, true
	f.Bytes = uint64(length)
	f.Has |= flow.Bytes
	first := packet.Ethernet
	switch protocol {
	case headerEthernet:
		if isPacket(frame, length) {
			first = packet.IP
		}
	case headerPPP, headerPOS:
		first = packet.PPP
	case headerWLAN:
		first = packet.IEEE80211
	case headerWLANPart: // addresses and a length, as IEEE 802.3 has them
	case headerFDDI:
		first = packet.FDDI
	case headerFrameRelay:
		first = packet.FrameRelay
	case headerAAL5:
		first = packet.LLC
	case headerIPv4, headerIPv6, headerAAL5IP:
		first = packet.IP
	case headerMPLS:
		first = packet.MPLS
	default:
		return true
	}
	info := d.parseFrame(frame, first, f)
	seen.cut = info.Cut
	if length > largestFrame && info.NetworkLength > 0 {
		f.Bytes = wholeLength(&info, first, 0, stripped)
		return true
	}
	if !d.lengths.states(&info, len(frame), length, stripped) {
		f.Bytes = max(f.Bytes, wholeLength(&info, first, length, stripped))
	}
	return true
}

// largestFrame is more than the length of any frame whose packet has its length in 16 bits.
const largestFrame = 1<<16 + 256

// frameLengths tell of an agent whether it states the lengths of frames, or only those of the bytes that it sampled. A
// frame with an IP header that claims more than there is would be multiplied if all lengths were doubted.
type frameLengths struct {
	known   bool // it stated a length beyond the sampled bytes
	largest int  // bytes of its longest sampled header: shorter ones are whole frames
}

// states reports whether a stated length is that of the frame.
func (l *frameLengths) states(info *packet.Info, sampled int, length, stripped uint32) bool {
	beyond := uint64(length) > uint64(sampled)+uint64(stripped)
	if beyond && info.IP && info.LinkLength+info.NetworkLength <= int(length) {
		l.known = true
	}
	l.largest = max(l.largest, sampled)
	return beyond || l.known && sampled < l.largest
}

// parseFrame reads a frame. If it has no MPLS labels, those of extended_mpls are kept.
func (d *Decoder) parseFrame(frame []byte, first packet.Layer, f *flow.Record) packet.Info {
	if f.MPLSCount == 0 {
		return d.parse.Parse(frame, first, f)
	}
	labels, count := f.MPLS, f.MPLSCount
	f.MPLS, f.MPLSCount = [len(f.MPLS)]uint32{}, 0
	info := d.parse.Parse(frame, first, f)
	if f.MPLSCount == 0 {
		f.MPLS, f.MPLSCount = labels, count
	}
	return info
}

// isPacket reports whether a so-called Ethernet frame begins with an IP header: the packet's length matches the
// frame's, with or without a checksum.
func isPacket(b []byte, length uint32) bool {
	if hasChecksum4(b) {
		return true
	}
	const leastFrame, mostLink = 64, 26 // bytes; mostLink: Ethernet header, two tags and checksum
	var packet uint32
	switch {
	case len(b) >= 20 && b[0] == 0x45:
		packet = uint32(binary.BigEndian.Uint16(b[2:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		packet = uint32(binary.BigEndian.Uint16(b[4:])) + 40
	default:
		return false
	}
	switch kind := binary.BigEndian.Uint16(b[12:]); {
	case kind == 0x0800 && b[14]>>4 == 4, kind == 0x86dd && b[14]>>4 == 6, kind == 0x8100, kind == 0x88a8,
		kind == 0x8847, kind == 0x88e7:
		return length == packet || length == packet+fcs
	}
	return length >= packet && length <= packet+mostLink || packet < leastFrame && length == leastFrame
}

// hasChecksum4 reports whether b begins with an IPv4 header without options whose checksum is right (RFC 1071).
func hasChecksum4(b []byte) bool {
	if len(b) < 20 || b[0] != 0x45 || b[10]|b[11] == 0 {
		return false
	}
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return uint16(sum>>16+sum&0xffff) == 0xffff
}

// wholeLength returns a frame's length from its IP header, link header and checksum included. It returns 0 if the
// stated length is large enough for the packet.
func wholeLength(info *packet.Info, first packet.Layer, stated, stripped uint32) uint64 {
	length := uint64(info.LinkLength) + uint64(info.NetworkLength)
	if !info.IP || info.NetworkLength == 0 || length <= uint64(stated) {
		return 0
	}
	if first == packet.Ethernet {
		length += uint64(max(stripped, fcs))
	}
	return length
}

// ethernet reads sampled_ethernet. XDR pads each of the two addresses to 8 bytes; some agents do not, which the
// record's length shows. It only adds to a header or a packet: alone it is no flow.
func ethernet(r *reader, seen *parts) bool {
	const padded = 24
	size := 8
	if len(r.b) < padded {
		size = 6
	}
	length := r.uint32()
	src, dst := r.fixed(size), r.fixed(size)
	r.skip(4) // EtherType
	if r.failed {
		return false
	}
	seen.any, seen.ethernet = true, true
	seen.src, seen.dst, seen.ethernetLength = [6]byte(src), [6]byte(dst), length
	return true
}

// fields4 reads sampled_ipv4, which the agent parsed itself.
func fields4(r *reader, seen *parts) bool {
	length, protocol := r.uint32(), r.uint32()
	src, dst := r.take(4), r.take(4)
	srcPort, dstPort, flags, tos := r.uint32(), r.uint32(), r.uint32(), r.uint32()
	if r.failed {
		return false
	}
	f := &seen.ip
	seen.any, seen.ipLength = true, length
	f.IPVersion = 4
	f.SrcAddr, f.DstAddr = flow.AddrFrom4([4]byte(src)), flow.AddrFrom4([4]byte(dst))
	fields(f, protocol, srcPort, dstPort, flags, tos)
	return true
}

// fields6 reads sampled_ipv6.
func fields6(r *reader, seen *parts) bool {
	length, protocol := r.uint32(), r.uint32()
	src, dst := r.take(16), r.take(16)
	srcPort, dstPort, flags, priority := r.uint32(), r.uint32(), r.uint32(), r.uint32()
	if r.failed {
		return false
	}
	f := &seen.ip
	seen.any, seen.ipLength = true, length
	f.IPVersion = 6
	f.SrcAddr, f.DstAddr = flow.Addr(src), flow.Addr(dst)
	fields(f, protocol, srcPort, dstPort, flags, priority)
	return true
}

// length takes the length from the first that knows it: the packet's in sampled_ipv4 or sampled_ipv6, the frame's in
// sampled_header, that in sampled_ethernet. Agents send the same packet in several descriptions, in any order; pmacct,
// goflow2 and nfdump take the packet's too.
func (seen *parts) length(f *flow.Record) {
	switch {
	case seen.ipLength > 0:
		f.Bytes = uint64(seen.ipLength)
	case f.Bytes == 0 && seen.ethernetLength > 0:
		f.Bytes = uint64(seen.ethernetLength)
	case !seen.frame && seen.ip.Has == 0:
		return
	}
	f.Has |= flow.Bytes
}

// complete fills in from the agent's own descriptions what the sampled header lacks: everything if it has no IP header,
// or what was cut off if both describe the same packet.
func (seen *parts) complete(f *flow.Record) {
	seen.length(f)
	if seen.ethernet && !f.Sent(flow.SrcMAC) {
		f.SrcMAC, f.DstMAC = seen.src, seen.dst
		f.Has |= flow.SrcMAC | flow.DstMAC
	}
	if seen.stripped != 0 && f.VLAN == 0 {
		f.VLAN = seen.stripped
		f.Has |= flow.VLAN
	}
	ip := &seen.ip
	if ip.Has == 0 {
		return
	}
	if !f.Sent(flow.SrcAddr) {
		f.IPVersion, f.SrcAddr, f.DstAddr = ip.IPVersion, ip.SrcAddr, ip.DstAddr
		f.IPProtocol, f.ToS = ip.IPProtocol, ip.ToS
		f.Has |= ip.Has & (flow.SrcAddr | flow.DstAddr | flow.IPProtocol | flow.ToS)
	} else if !seen.cut || f.SrcAddr != ip.SrcAddr || f.DstAddr != ip.DstAddr {
		return
	}
	// A header that was cut within IPv6 extension headers has the last of these as its protocol.
	if f.IPProtocol != ip.IPProtocol && !f.Sent(flow.SrcPort) {
		f.IPProtocol = ip.IPProtocol
	}
	missing := ip.Has &^ f.Has
	if missing&flow.SrcPort != 0 {
		f.SrcPort, f.DstPort = ip.SrcPort, ip.DstPort
	}
	if missing&flow.TCPFlags != 0 {
		f.TCPFlags = ip.TCPFlags
	}
	if missing&flow.ICMP != 0 {
		f.ICMPType, f.ICMPCode = ip.ICMPType, ip.ICMPCode
	}
	f.Has |= missing & (flow.SrcPort | flow.DstPort | flow.TCPFlags | flow.ICMP)
}

// fields reads the common part. For ICMP the ports are its type and code.
func fields(f *described, protocol, srcPort, dstPort, flags, tos uint32) {
	f.Has = flow.SrcAddr | flow.DstAddr | flow.IPProtocol | flow.SrcPort | flow.DstPort | flow.ToS
	f.IPProtocol, f.ToS = uint8(protocol), uint8(tos)
	f.SrcPort, f.DstPort = uint16(srcPort), uint16(dstPort)
	switch f.IPProtocol {
	case 6:
		f.TCPFlags = uint16(flags & 0x1ff)
		f.Has |= flow.TCPFlags
	case 1, 58:
		f.ICMPType, f.ICMPCode = uint8(srcPort), uint8(dstPort)
		f.SrcPort, f.DstPort = 0, 0
		f.Has = f.Has&^(flow.SrcPort|flow.DstPort) | flow.ICMP
	}
}
