// Package route has the types that BGP, BMP and MRT share: prefixes, route distinguishers, path attributes, and batches
// of announcements and withdrawals for the routing table. It does not depend on a wire format.
package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Prefix is an IP prefix as numbers. The address is left-aligned in Hi and Lo, so an IPv4 address is the upper half of
// Hi. Bits beyond the prefix length are 0. The zero value is 0.0.0.0/0. Prefixes can be compared with ==.
type Prefix struct {
	Hi, Lo uint64
	Bits   uint8
	V6     bool
}

// PrefixFrom returns p as a Prefix, masked. An invalid prefix becomes the zero value.
func PrefixFrom(p netip.Prefix) Prefix {
	if !p.IsValid() {
		return Prefix{}
	}
	a := p.Addr()
	if a.Is4() {
		b := a.As4()
		return Make(uint64(binary.BigEndian.Uint32(b[:]))<<32, 0, uint8(p.Bits()), false)
	}
	b := a.As16()
	return Make(binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:]), uint8(p.Bits()), true)
}

// Make returns the prefix with a left-aligned address and a length in bits. It clears bits beyond the length.
func Make(hi, lo uint64, bits uint8, v6 bool) Prefix {
	if bits < 64 {
		hi, lo = hi&^(1<<(64-bits)-1), 0
	} else if bits < 128 {
		lo &^= 1<<(128-bits) - 1
	}
	return Prefix{hi, lo, bits, v6}
}

// Netip returns p in the form of net/netip.
func (p Prefix) Netip() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], p.Hi)
	binary.BigEndian.PutUint64(b[8:], p.Lo)
	if p.V6 {
		return netip.PrefixFrom(netip.AddrFrom16(b), int(p.Bits))
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), int(p.Bits))
}

// String returns p in CIDR notation.
func (p Prefix) String() string { return p.Netip().String() }

// RD is a route distinguisher (RFC 4364 section 4.2): the 8 bytes as a big-endian number. 0 stands for the global
// table.
type RD uint64

// RDFrom returns the route distinguisher that 8 bytes in network byte order encode.
func RDFrom(b [8]byte) RD { return RD(binary.BigEndian.Uint64(b[:])) }

// String returns d as pmacct writes it: type:administrator:number.
func (d RD) String() string {
	switch d >> 48 {
	case 1: // an IPv4 address and a 16-bit number
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(d>>16))
		return fmt.Sprintf("1:%s:%d", netip.AddrFrom4(b), uint16(d))
	case 2: // a 32-bit AS and a 16-bit number
		return fmt.Sprintf("2:%d:%d", uint32(d>>16), uint16(d))
	}
	return fmt.Sprintf("%d:%d:%d", d>>48, uint16(d>>32), uint32(d))
}

// Class is the kind of a routing table.
type Class uint8

// The classes, one for each supported SAFI: 1, 4 and 128.
const (
	Unicast Class = iota
	Labelled
	VPN
)

// String returns the name of the class.
func (c Class) String() string {
	switch c {
	case Labelled:
		return "labelled"
	case VPN:
		return "vpn"
	}
	return "unicast"
}

// Family is an address family with a class. Families can be compared with ==.
type Family struct {
	Class Class
	V6    bool
}

// String returns a name such as "ipv4 unicast".
func (f Family) String() string {
	if f.V6 {
		return "ipv6 " + f.Class.String()
	}
	return "ipv4 " + f.Class.String()
}

// Families is the number of families.
const Families = 6

// Index returns the family's number, from 0 to Families-1.
func (f Family) Index() int {
	if f.V6 {
		return int(f.Class)*2 + 1
	}
	return int(f.Class) * 2
}

// FamilyAt returns the family whose Index is i.
func FamilyAt(i int) Family { return Family{Class(i / 2), i%2 == 1} }
