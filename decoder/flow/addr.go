package flow

import "net/netip"

// Addr is an IP address in network byte order, as ClickHouse's IPv6 column holds it. An IPv4 address is IPv4-mapped
// (::ffff:a.b.c.d, RFC 4291 §2.5.5.2). Whether a flow was IPv4 or IPv6 on the wire is in Record.IPVersion; an Addr
// alone cannot say whether it was mapped on the wire.
type Addr [16]byte

// mappedPrefix is the first 12 bytes of an IPv4-mapped address.
var mappedPrefix = [12]byte{10: 0xff, 11: 0xff}

// AddrFrom4 returns an IPv4 address, mapped.
func AddrFrom4(b [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// AddrFrom converts an address. Zones are dropped; an invalid address becomes ::.
func AddrFrom(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return a.As16()
}

// Is4 reports whether a is an IPv4 address or an IPv4-mapped one.
func (a Addr) Is4() bool {
	return [12]byte(a[:12]) == mappedPrefix
}

// IsUnspecified reports whether a is ::, 0.0.0.0, or unset.
func (a Addr) IsUnspecified() bool {
	return a == Addr{} || a == Addr{10: 0xff, 11: 0xff}
}

// NamesDevice reports whether a can tell one device from others: it is not unspecified, loopback, multicast or
// broadcast.
func (a Addr) NamesDevice() bool {
	ip := a.Netip()
	return !a.IsUnspecified() && !ip.IsLoopback() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// Netip returns a unmapped: an IPv4 or IPv4-mapped address as IPv4.
func (a Addr) Netip() netip.Addr {
	return netip.AddrFrom16(a).Unmap()
}

// String returns a unmapped, in RFC 5952 form; an unset address is "::".
func (a Addr) String() string {
	return a.Netip().String()
}
