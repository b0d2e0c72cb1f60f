// Package route holds what BGP, BMP and MRT say of routes: prefixes, route distinguishers, path attributes, and batches
// of announcements and withdrawals on their way from a session to the routing table. It knows no wire format.
package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Prefix is an IP prefix as numbers. The address is left-aligned in Hi and Lo, so an IPv4 address is in the upper half
// of Hi, and bits beyond Bits are 0. The zero value is 0.0.0.0/0. Prefixes are comparable.
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

// Make returns the prefix of that length that holds an address, which is left-aligned.
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

// RD is a route distinguisher (RFC 4364 section 4.2) in network byte order; 0 is the global table.
type RD uint64

// RDFrom returns the route distinguisher of 8 bytes in network byte order.
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

// Class says which kind of table a route is in.
type Class uint8

// The classes are one per SAFI that is understood: 1, 4 and 128.
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

// Family is an address family and its class. Families are comparable.
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

// Families is how many families there are; Index numbers them from 0.
const Families = 6

// Index is the family's number, below Families.
func (f Family) Index() int {
	if f.V6 {
		return int(f.Class)*2 + 1
	}
	return int(f.Class) * 2
}

// FamilyAt is the family with that Index.
func FamilyAt(i int) Family { return Family{Class(i / 2), i%2 == 1} }
