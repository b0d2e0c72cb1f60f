package record

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Subnet is a prefix as a source writes it. The address is text because the hash is of that text.
type Subnet struct {
	Address string
	Bits    uint8 // for the address's own family
}

func coerceAddresses(v any) (any, error) {
	addresses, err := coerceTexts(v)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if _, err := parseAddress(a); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

func coerceAddress(v any, is4 bool) (any, error) {
	if v == nil {
		return nil, nil
	}
	s, err := coerceText(v)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, nil
	}
	a, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	if is4 && !a.Unmap().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return s, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	}
	return a, nil
}

// coerceSubnets accepts a list of [address, length] and, unlike the reference stack, of "address/length".
func coerceSubnets(v any) (any, error) {
	if s, ok := v.([]Subnet); ok {
		return s, nil
	}
	if !isList(v) {
		return nil, fmt.Errorf("%s is %s", shown(v), notAList(v))
	}
	l := list(v)
	subnets := make([]Subnet, 0, len(l))
	for _, e := range l {
		s, err := coerceSubnet(e)
		if err != nil {
			return nil, err
		}
		subnets = append(subnets, s)
	}
	if len(subnets) == 0 {
		return nil, errors.New("no subnet")
	}
	return subnets, nil
}

func coerceSubnet(e any) (Subnet, error) {
	if s, ok := e.(string); ok {
		return ParseSubnet(s)
	}
	pair := list(e)
	if len(pair) != 2 {
		return Subnet{}, fmt.Errorf("%v is not a pair of address and prefix length", e)
	}
	address, err := coerceText(pair[0])
	if err != nil {
		return Subnet{}, err
	}
	bits, ok := coerceUint(pair[1], 128).(uint64)
	if !ok {
		return Subnet{}, fmt.Errorf("%v is not a prefix length", pair[1])
	}
	s := Subnet{Address: address, Bits: uint8(bits)}
	_, err = s.Prefix()
	return s, err
}

// ParseSubnet parses "address/length". An address alone is a host.
func ParseSubnet(s string) (Subnet, error) {
	address, length, ok := strings.Cut(s, "/")
	a, err := parseAddress(address)
	if err != nil {
		return Subnet{}, err
	}
	bits := uint64(a.BitLen())
	if ok {
		if bits, err = strconv.ParseUint(length, 10, 8); err != nil || bits > uint64(a.BitLen()) {
			return Subnet{}, fmt.Errorf("%q is not a subnet: bad prefix length", s)
		}
	}
	return Subnet{Address: address, Bits: uint8(bits)}, nil
}

// Prefix returns the subnet for look-ups: masked, and as IPv4 if the address is IPv4 or IPv4-mapped.
func (s Subnet) Prefix() (netip.Prefix, error) {
	a, err := parseAddress(s.Address)
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := int(s.Bits)
	if a.Is4In6() {
		a = a.Unmap()
		if bits > 32 { // a length that counts from the start of the mapped address
			bits -= 96
		}
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s/%d is not a subnet: bad prefix length", s.Address, s.Bits)
	}
	return p, nil
}
