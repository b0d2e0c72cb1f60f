package flow

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	tests := []struct {
		name        string
		in          netip.Addr
		text        string
		is4         bool
		unspecified bool
	}{
		{"IPv4 is held mapped", netip.MustParseAddr("192.0.2.1"), "192.0.2.1", true, false},
		{"mapped is shown as IPv4", netip.MustParseAddr("::ffff:192.0.2.1"), "192.0.2.1", true, false},
		{"IPv6", netip.MustParseAddr("2001:db8::1"), "2001:db8::1", false, false},
		{"a zone is dropped", netip.MustParseAddr("fe80::1%eth0"), "fe80::1", false, false},
		{"IPv4 unspecified", netip.MustParseAddr("0.0.0.0"), "0.0.0.0", true, true},
		{"IPv6 unspecified", netip.IPv6Unspecified(), "::", false, true},
		{"invalid", netip.Addr{}, "::", false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := AddrFrom(test.in)
			if a.String() != test.text || a.Is4() != test.is4 || a.IsUnspecified() != test.unspecified {
				t.Errorf("got %s, Is4 %t, IsUnspecified %t; want %s, %t, %t",
					a, a.Is4(), a.IsUnspecified(), test.text, test.is4, test.unspecified)
			}
		})
	}
	if AddrFrom4([4]byte{192, 0, 2, 1}) != AddrFrom(netip.MustParseAddr("192.0.2.1")) {
		t.Error("AddrFrom4 and AddrFrom differ")
	}
}
