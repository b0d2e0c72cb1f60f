// Package packet reads the headers of a sampled packet into a flow record. What is cut off by the sample's length is
// left out, never guessed. It allocates nothing, and its work is bounded by the frame's length and a depth limit.
//
// The record gets the outer flow: a tunnel (GRE, IP in IP, VXLAN, Geneve) is a flow between its ends. With
// Options.Inner it gets the flow inside instead, where the sample reaches that far. A pseudowire is no tunnel in this
// sense: the frame inside is the only flow there is. Bytes behind the end of an IP packet are its frame's padding, and
// are not read.
package packet

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Layer is the protocol that a frame begins with.
type Layer uint8

// The layers that frames begin with.
const (
	Ethernet Layer = iota
	IP             // IPv4 or IPv6 by the version nibble
	IPv4
	IPv6
	MPLS
	PPP
	IEEE80211
)

// Options say what to do with tunnels.
type Options struct{ Inner bool }

// Info says what a frame held beside what the record has.
type Info struct {
	IP            bool   // an IP header was found
	Cut           bool   // the sample ends within a header
	EtherType     uint16 // of the payload behind all tags, 0 if there is none
	LinkLength    int    // bytes before the outermost IP header
	NetworkLength int    // length of the outermost IP packet by its own header, 0 if unknown
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

// Parse reads a frame that begins with the given layer.
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
	default:
		p.ip(frame)
	}
	return p.info
}

// parser holds what the layers of one frame share.
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

// snap takes off LLC with SNAP (RFC 1042) where an 802.3 length stands in the place of an EtherType: aa aa 03, three
// bytes of organization, the type.
func snap(kind uint16, b []byte) (uint16, []byte) {
	if kind < firstType && len(b) >= snapHeader && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 {
		return binary.BigEndian.Uint16(b[6:]), b[snapHeader:]
	}
	return kind, b
}

// tagged reads tags and what is behind them. The first VLAN tag is the outer one.
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

// carriedFrame reads a frame behind the header of a provider's or a data centre's switches. It is the only flow there
// is.
func (p *parser) carriedFrame(b []byte, header int) {
	if len(b) < header {
		p.info.Cut = true
		return
	}
	if p.descend() {
		p.innerEthernet(b[header:])
	}
}

// tag keeps the two outermost tags of the frame.
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

// payload reads what an EtherType announces.
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
	kind, size := binary.BigEndian.Uint16(b), 2
	if b[0]&1 != 0 { // a number of one byte (RFC 1661 §6.5): the first of two is even
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

// wlan reads an IEEE 802.11 data frame with LLC and SNAP; other frames hold no packet.
func (p *parser) wlan(b []byte) {
	if len(b) < 2 {
		p.info.Cut = true
		return
	}
	control := binary.LittleEndian.Uint16(b)
	if control>>2&3 != 2 || control>>4&4 != 0 || control&0x4000 != 0 { // not data, without a body, or encrypted
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

// mpls reads a label stack (RFC 3032 §2.1) and guesses, as routers do, what is behind it: IP by its version, else a
// pseudowire with or without a control word (RFC 4385 §3).
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

// isFrame reports whether b reads as an Ethernet frame of a kind that this parser knows.
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

// holdsIP reports whether b reads as an Ethernet frame with IP of the version that its type says. An address of
// hardware may begin as an IP header does.
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

// descend reports whether one more header inside another may be read.
func (p *parser) descend() bool {
	p.tunnels++
	return p.tunnels <= maxTunnels
}

// innerEthernet reads a frame within the frame. Its addresses are not those of the link that it was seen on.
func (p *parser) innerEthernet(b []byte) {
	src, dst, has := p.r.SrcMAC, p.r.DstMAC, p.r.Has
	p.ethernet(b)
	if has&flow.SrcMAC != 0 {
		p.r.SrcMAC, p.r.DstMAC = src, dst
	}
}
