// Package packet parses the headers of a sampled packet into a flow record. What the sample cuts off is left out, never
// guessed. It does not allocate; its work is bounded by the frame's length and a depth limit.
//
// The record describes the outer flow: a tunnel (GRE, IP in IP, VXLAN, Geneve) is a flow between its ends. With
// Options.Inner it describes the inner flow, if the sample includes it. A pseudowire is not a tunnel in this sense: the
// frame inside is the only flow. Bytes after the end of an IP packet are padding of the frame and ignored.
package packet

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Layer is the protocol of a frame's first header.
type Layer uint8

// The layers that a frame can begin with.
const (
	Ethernet Layer = iota
	IP             // IPv4 or IPv6, by the version nibble
	IPv4
	IPv6
	MPLS
	PPP
	IEEE80211
	FDDI
	FrameRelay
	LLC // IEEE 802.2 with SNAP, as in ATM (RFC 2684 §5), or IP without it
)

// Options configure the parsing of tunnels.
type Options struct{ Inner bool }

// Info holds properties of a frame that are not in the record.
type Info struct {
	IP            bool   // an IP header was found
	Cut           bool   // the sample ends within a header
	EtherType     uint16 // of the payload after all tags; 0 if there is none
	LinkLength    int    // bytes before the outermost IP header
	NetworkLength int    // of the outermost IP packet, by its own header; 0 if unknown
}

// EtherTypes (IEEE 802).
const (
	typeIPv4     = 0x0800
	typeIPv6     = 0x86dd
	typeVLAN     = 0x8100
	typeQinQ     = 0x88a8
	typeQinQOld  = 0x9100
	typeMPLS     = 0x8847
	typeMPLSMC   = 0x8848
	typePPPoE    = 0x8864
	typeTEB      = 0x6558 // Ethernet within GRE or Geneve
	firstType    = 0x0600 // smaller values are lengths (IEEE 802.3)
	snapHeader   = 8
	etherHeader  = 14
	pppIPv4      = 0x0021
	pppIPv6      = 0x0057
	pppMPLS      = 0x0281
	pppMPLSMC    = 0x0283
	maxTags      = 4
	maxTunnels   = 4
	maxExtension = 16 // IPv6 extension headers
)

// Parse parses a frame that begins with the given layer into r.
func (o Options) Parse(frame []byte, first Layer, r *flow.Record) Info {
	p := parser{o: o, r: r, length: len(frame)}
	switch first {
	case Ethernet:
		p.ethernet(frame)
	case IPv4:
		p.ipv4(frame)
	case IPv6:
		p.ipv6(frame)
	case MPLS:
		p.mpls(frame)
	case PPP:
		p.ppp(frame)
	case IEEE80211:
		p.wlan(frame)
	case FDDI:
		p.fddi(frame)
	case FrameRelay:
		p.frameRelay(frame)
	case LLC:
		p.llc(frame)
	default:
		p.ip(frame)
	}
	return p.info
}

// parser is the state of parsing one frame.
type parser struct {
	o       Options
	r       *flow.Record
	info    Info
	length  int // of the frame
	tunnels int
}

// ethernet reads an Ethernet II header or an 802.3 one with SNAP.
func (p *parser) ethernet(b []byte) {
	if len(b) < etherHeader {
		p.info.Cut = true
		return
	}
	p.r.DstMAC, p.r.SrcMAC = [6]byte(b[0:6]), [6]byte(b[6:12])
	p.r.Has |= flow.DstMAC | flow.SrcMAC
	p.tagged(snap(binary.BigEndian.Uint16(b[12:]), b[etherHeader:]))
}

// snap removes LLC with SNAP (RFC 1042), if an 802.3 length stands in place of the EtherType: aa aa 03, three bytes of
// organization, the type.
func snap(kind uint16, b []byte) (uint16, []byte) {
	if kind < firstType && len(b) >= snapHeader && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 {
		return binary.BigEndian.Uint16(b[6:]), b[snapHeader:]
	}
	return kind, b
}

// llc reads a packet behind LLC and SNAP, or one without them.
func (p *parser) llc(b []byte) {
	if len(b) < snapHeader || b[0] != 0xaa || b[1] != 0xaa || b[2] != 3 {
		p.ip(b)
		return
	}
	p.snap(b[3:])
}

// snap reads what follows an organization and its protocol (IEEE 802): 5 bytes, which b must have.
func (p *parser) snap(b []byte) {
	const withChecksum, without = 1, 7
	kind, rest := binary.BigEndian.Uint16(b[3:]), b[5:]
	if b[0] == 0 && b[1] == 0x80 && b[2] == 0xc2 { // IEEE 802.1: a bridged frame (RFC 2684 §5.2)
		if kind == withChecksum || kind == without {
			p.carriedFrame(rest, 2)
		}
		return
	}
	p.tagged(kind, rest)
}

// fddi reads frame control, addresses, LLC with SNAP.
func (p *parser) fddi(b []byte) {
	const header = 13
	if len(b) < header {
		p.info.Cut = true
		return
	}
	p.r.DstMAC, p.r.SrcMAC = [6]byte(b[1:7]), [6]byte(b[7:13])
	p.r.Has |= flow.DstMAC | flow.SrcMAC
	if b = b[header:]; len(b) > 0 && b[0] == 0xaa {
		p.llc(b)
	}
}

// frameRelay reads a frame of RFC 2427 §3, or one of Cisco's with the EtherType behind the address.
func (p *parser) frameRelay(b []byte) {
	const unnumbered, organization, ipv4, ipv6 = 3, 0x80, 0xcc, 0x8e
	address := 1
	for address <= len(b) && address < 4 && b[address-1]&1 == 0 { // the last byte of an address has the bit
		address++
	}
	if len(b) < address+2 {
		p.info.Cut = true
		return
	}
	if b = b[address:]; b[0] != unnumbered {
		p.payload(binary.BigEndian.Uint16(b), b[2:])
		return
	}
	if b = b[1:]; b[0] == 0 && len(b) > 1 {
		b = b[1:] // padding
	}
	switch protocol, rest := b[0], b[1:]; {
	case protocol == ipv4, protocol == ipv6:
		p.ip(rest)
	case protocol == organization && len(rest) >= 5:
		p.snap(rest)
	}
}

// tagged reads tags and the payload after them. The first VLAN tag is the outer one.
func (p *parser) tagged(kind uint16, b []byte) {
	vlans := 0
	for depth := 0; kind != typeIPv4 && kind != typeIPv6; depth++ {
		length := 4
		if !isVLAN(kind) {
			if length = otherTag(kind, b); length == 0 {
				break
			}
		}
		if len(b) < length || depth == maxTags {
			p.info.Cut = true
			return
		}
		if isVLAN(kind) {
			p.tag(vlans, binary.BigEndian.Uint16(b)&0xfff)
			vlans++
		}
		kind, b = snap(binary.BigEndian.Uint16(b[length-2:]), b[length:])
	}
	p.payload(kind, b)
}

// carriedFrame reads the frame after a header of provider or data centre switches. It is the only flow.
func (p *parser) carriedFrame(b []byte, header int) {
	if len(b) < header {
		p.info.Cut = true
		return
	}
	if p.descend() {
		p.innerEthernet(b[header:])
	}
}

// tag notes the frame's two outermost tags.
func (p *parser) tag(depth int, id uint16) {
	switch {
	case depth == 0 && !p.r.Sent(flow.FrameVLAN):
		p.r.FrameVLAN = id
		p.r.Has |= flow.FrameVLAN
	case depth == 1 && !p.r.Sent(flow.FrameInnerVLAN) && p.tunnels == 0:
		p.r.FrameInnerVLAN = id
		p.r.Has |= flow.FrameInnerVLAN
	}
}

// payload reads the payload of an EtherType.
func (p *parser) payload(kind uint16, b []byte) {
	if kind < firstType {
		return
	}
	p.info.EtherType = kind
	switch kind {
	case typeIPv4:
		p.ipv4(b)
	case typeIPv6:
		p.ipv6(b)
	case typeMPLS, typeMPLSMC:
		p.mpls(b)
	case typePPPoE:
		// RFC 2516 §4: version and code, session, length; then PPP.
		if len(b) < 6 {
			p.info.Cut = true
			return
		}
		p.ppp(b[6:])
	case typeNSH:
		p.serviceHeader(b)
	default:
		if header := carried(kind, b); header > 0 {
			p.carriedFrame(b, header)
		}
	}
}

// ppp reads PPP's protocol number, with or without the address and control bytes of RFC 1662.
func (p *parser) ppp(b []byte) {
	if len(b) >= 4 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) < 2 {
		p.info.Cut = true
		return
	}
	// Cisco HDLC, which POS and serial interfaces use in place of PPP: unicast or broadcast, 0, EtherType.
	if (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
		if len(b) < 4 {
			p.info.Cut = true
			return
		}
		p.payload(binary.BigEndian.Uint16(b[2:]), b[4:])
		return
	}
	kind, size := binary.BigEndian.Uint16(b), 2
	if b[0]&1 != 0 { // a number of one byte (RFC 1661 §6.5): in one of two bytes, the first is even
		kind, size = uint16(b[0]), 1
	}
	b = b[size:]
	switch kind {
	case pppIPv4:
		p.ipv4(b)
	case pppIPv6:
		p.ipv6(b)
	case pppMPLS, pppMPLSMC:
		p.mpls(b)
	}
}

// serviceHeader reads a network service header (RFC 8300 §2.2), whose length is in words of 4 bytes.
func (p *parser) serviceHeader(b []byte) {
	const ipv4, ipv6, ethernet, mpls = 1, 2, 3, 5 // next protocols
	if len(b) < 8 {
		p.info.Cut = true
		return
	}
	header, next := 4*int(b[1]&0x3f), b[3]
	if header < 8 || header > len(b) {
		p.info.Cut = true
		return
	}
	switch b = b[header:]; next {
	case ipv4:
		p.ipv4(b)
	case ipv6:
		p.ipv6(b)
	case ethernet:
		p.carriedFrame(b, 0)
	case mpls:
		p.mpls(b)
	}
}

// wlan reads an IEEE 802.11 data frame with LLC and SNAP. Other frames contain no packet.
func (p *parser) wlan(b []byte) {
	if len(b) < 2 {
		p.info.Cut = true
		return
	}
	control := binary.LittleEndian.Uint16(b)
	if control>>2&3 != 2 || control>>4&4 != 0 || control&0x4000 != 0 { // not data, no body, or encrypted
		return
	}
	header := 24
	if control&0x0300 == 0x0300 { // from one access point to another: four addresses
		header += 6
	}
	if control>>4&8 != 0 { // quality of service
		header += 2
		if control&0x8000 != 0 { // high throughput control
			header += 4
		}
	}
	if len(b) < header+snapHeader {
		p.info.Cut = true
		return
	}
	b = b[header:]
	if b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 {
		p.tagged(binary.BigEndian.Uint16(b[6:]), b[snapHeader:])
	}
}

// mpls reads a label stack (RFC 3032 §2.1). The type of its payload is guessed, as routers do: IP by its version, else
// a pseudowire with or without a control word (RFC 4385 §3).
func (p *parser) mpls(b []byte) {
	for {
		if len(b) < 4 {
			p.info.Cut = true
			return
		}
		entry := binary.BigEndian.Uint32(b) >> 8
		if n := p.r.MPLSCount; p.tunnels == 0 && int(n) < len(p.r.MPLS) {
			p.r.MPLS[n] = entry
			p.r.MPLSCount++
			p.r.Has |= flow.MPLS
		}
		b = b[4:]
		if entry&1 != 0 {
			break
		}
	}
	if len(b) == 0 {
		p.info.Cut = true
		return
	}
	switch version := b[0] >> 4; {
	case version == 4 && (b[0] == 0x45 || !holdsIP(b)):
		p.ipv4(b)
	case version == 6 && !holdsIP(b):
		p.ipv6(b)
	case version == 0 && len(b) > 4 && isFrame(b[4:]):
		p.pseudowire(b[4:])
	case isFrame(b):
		p.pseudowire(b)
	}
}

func (p *parser) pseudowire(b []byte) {
	if p.descend() {
		p.innerEthernet(b)
	}
}

// isFrame reports whether b looks like an Ethernet frame of a known type.
func isFrame(b []byte) bool {
	if len(b) <= etherHeader {
		return false
	}
	switch kind, _ := snap(binary.BigEndian.Uint16(b[12:]), b[etherHeader:]); kind {
	case typeMPLS, typeMPLSMC, typePPPoE:
		return true
	default:
		return isVLAN(kind) || holdsIP(b)
	}
}

// holdsIP reports whether b looks like an Ethernet frame with IP of the version in its type. This is needed because a
// MAC address may begin like an IP header.
func holdsIP(b []byte) bool {
	if len(b) <= etherHeader {
		return false
	}
	kind, b := snap(binary.BigEndian.Uint16(b[12:]), b[etherHeader:])
	return len(b) > 0 && (kind == typeIPv4 && b[0]>>4 == 4 || kind == typeIPv6 && b[0]>>4 == 6)
}

func (p *parser) ip(b []byte) {
	if len(b) == 0 {
		p.info.Cut = true
		return
	}
	switch b[0] >> 4 {
	case 4:
		p.ipv4(b)
	case 6:
		p.ipv6(b)
	}
}

// network notes the outermost IP header, which begins at b.
func (p *parser) network(b []byte, length int) {
	if p.info.IP {
		return
	}
	p.info.IP = true
	p.info.LinkLength = p.length - len(b)
	p.info.NetworkLength = length
}

// descend reports whether another nested header may be read.
func (p *parser) descend() bool {
	p.tunnels++
	return p.tunnels <= maxTunnels
}

// innerEthernet reads a frame within the frame. Its MAC addresses are not those of the link where it was sampled.
func (p *parser) innerEthernet(b []byte) {
	src, dst, has := p.r.SrcMAC, p.r.DstMAC, p.r.Has
	p.ethernet(b)
	if has&flow.SrcMAC != 0 {
		p.r.SrcMAC, p.r.DstMAC = src, dst
	}
}
