package packet

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// IP protocol numbers.
const (
	protoHopByHop  = 0
	protoICMP      = 1
	protoIPv4      = 4
	protoTCP       = 6
	protoUDP       = 17
	protoDCCP      = 33
	protoIPv6      = 41
	protoRouting   = 43
	protoFragment  = 44
	protoGRE       = 47
	protoAH        = 51
	protoICMPv6    = 58
	protoDstOpts   = 60
	protoSCTP      = 132
	protoMobility  = 135
	protoUDPLite   = 136
	protoHIP       = 139
	protoShim6     = 140
	protoEthernet  = 143
	portVXLAN      = 4789
	portGeneve     = 6081
	fragmentOffset = 0x1fff
)

// ipv4 reads an IPv4 header (RFC 791 §3.1).
func (p *parser) ipv4(b []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		p.info.Cut = p.info.Cut || len(b) < 20
		return
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	p.network(b, length)
	r := p.r
	r.IPVersion = 4
	r.ToS = b[1]
	r.IPProtocol = b[9]
	r.SrcAddr = flow.AddrFrom4([4]byte(b[12:16]))
	r.DstAddr = flow.AddrFrom4([4]byte(b[16:20]))
	r.Has |= flow.ToS | flow.IPProtocol | flow.SrcAddr | flow.DstAddr
	header := int(b[0]&0xf) * 4
	if header < 20 || header > len(b) {
		p.info.Cut = true
		return
	}
	if length >= header && length < len(b) { // the rest is padding of the frame
		b = b[:length]
	}
	fragment := binary.BigEndian.Uint16(b[6:])&fragmentOffset != 0
	p.transport(b[9], b[header:], fragment)
}

// ipv6 reads an IPv6 header and its extension headers (RFC 8200 §3, §4).
func (p *parser) ipv6(b []byte) {
	if len(b) < 40 || b[0]>>4 != 6 {
		p.info.Cut = p.info.Cut || len(b) < 40
		return
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length > 0 { // 0 in jumbograms
		length += 40
	}
	p.network(b, length)
	if length > 0 && length < len(b) { // the rest is padding of the frame
		b = b[:length]
	}
	word := binary.BigEndian.Uint32(b)
	r := p.r
	r.IPVersion = 6
	r.ToS = uint8(word >> 20)
	r.FlowLabel = word & 0xfffff
	r.SrcAddr, r.DstAddr = flow.Addr(b[8:24]), flow.Addr(b[24:40])
	r.IPProtocol = b[6]
	r.Has |= flow.ToS | flow.FlowLabel | flow.IPProtocol | flow.SrcAddr | flow.DstAddr
	next, rest, fragment, ok := extensions(b[6], b[40:])
	r.IPProtocol = next
	if !ok {
		p.info.Cut = true
		return
	}
	p.transport(next, rest, fragment)
}

// extensions skips the extension headers. If the sample ends among them, the protocol is the last one known.
func extensions(next uint8, b []byte) (proto uint8, rest []byte, fragment, ok bool) {
	for range maxExtension {
		var length int
		switch next {
		case protoHopByHop, protoRouting, protoDstOpts, protoMobility, protoHIP, protoShim6:
			if len(b) < 2 {
				return next, nil, fragment, false
			}
			length = 8 + 8*int(b[1])
		case protoFragment:
			if len(b) < 8 {
				return next, nil, fragment, false
			}
			length = 8
			if binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				// After the header of a later fragment comes data (RFC 8200 §4.5).
				return b[0], b[8:], true, true
			}
		case protoAH:
			if len(b) < 2 {
				return next, nil, fragment, false
			}
			length = 8 + 4*int(b[1]) // RFC 4302 §2.2: in words, minus two
		default:
			return next, b, fragment, true
		}
		if len(b) < length {
			return b[0], nil, fragment, false
		}
		next, b = b[0], b[length:]
	}
	return next, nil, fragment, false
}

// transport reads ports, flags, types, and tunnels. Only the first fragment has them.
func (p *parser) transport(proto uint8, b []byte, fragment bool) {
	if fragment {
		return
	}
	r := p.r
	switch proto {
	case protoTCP:
		p.ports(b)
		if len(b) >= 14 {
			r.TCPFlags = uint16(b[12]&1)<<8 | uint16(b[13])
			r.Has |= flow.TCPFlags
		} else {
			p.info.Cut = true
		}
	case protoUDP:
		p.ports(b)
		p.udpTunnel(b)
	case protoDCCP, protoSCTP, protoUDPLite:
		p.ports(b)
	case protoICMP, protoICMPv6:
		if len(b) < 2 {
			p.info.Cut = true
			return
		}
		r.ICMPType, r.ICMPCode = b[0], b[1]
		r.Has |= flow.ICMP
	case protoIPv4, protoIPv6:
		p.tunnel(anyIP, b)
	case protoEthernet:
		p.tunnel(typeTEB, b)
	case protoGRE:
		p.gre(b)
	}
}

func (p *parser) ports(b []byte) {
	if len(b) < 4 {
		p.info.Cut = true
		return
	}
	p.r.SrcPort, p.r.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.r.Has |= flow.SrcPort | flow.DstPort
}

// anyIP replaces an EtherType if the IP version follows from the first nibble.
const anyIP = 0

// tunnel reads the inner flow if Options.Inner is set. It replaces the outer flow's transport fields.
func (p *parser) tunnel(kind uint16, b []byte) {
	if !p.o.Inner || !p.descend() {
		return
	}
	r := p.r
	outer := *r
	r.Has &^= flow.SrcPort | flow.DstPort | flow.TCPFlags | flow.ICMP | flow.FlowLabel
	r.SrcPort, r.DstPort, r.TCPFlags, r.ICMPType, r.ICMPCode, r.FlowLabel = 0, 0, 0, 0, 0, 0
	r.SrcAddr, r.DstAddr = flow.Addr{}, flow.Addr{}
	switch kind {
	case anyIP:
		p.ip(b)
	case typeTEB:
		p.innerEthernet(b)
	default:
		p.payload(kind, b)
	}
	if r.SrcAddr == (flow.Addr{}) && r.DstAddr == (flow.Addr{}) {
		*r = outer // the sample ends before the inner flow
	}
}

// gre reads RFC 2784 with the key and sequence number of RFC 2890.
func (p *parser) gre(b []byte) {
	if len(b) < 4 || !p.o.Inner {
		return
	}
	const checksum, routing, key, sequence = 0x8000, 0x4000, 0x2000, 0x1000
	flags, kind := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if flags&(routing|7) != 0 { // routing is of RFC 1701 and not read; version 1 is PPTP
		return
	}
	header := 4
	for _, flag := range [...]uint16{checksum, key, sequence} {
		if flags&flag != 0 {
			header += 4
		}
	}
	if len(b) < header {
		p.info.Cut = true
		return
	}
	p.tunnel(kind, b[header:])
}

// udpTunnel reads VXLAN (RFC 7348 §5) and Geneve (RFC 8926 §3.4) by their ports.
func (p *parser) udpTunnel(b []byte) {
	if len(b) < 16 || !p.o.Inner {
		return
	}
	switch p.r.DstPort {
	case portVXLAN:
		if b[8]&8 != 0 { // the network identifier is valid
			p.tunnel(typeTEB, b[16:])
		}
	case portGeneve:
		header := 16 + 4*int(b[8]&0x3f)
		if b[8]>>6 == 0 && len(b) >= header {
			p.tunnel(binary.BigEndian.Uint16(b[10:]), b[header:])
		}
	}
}
