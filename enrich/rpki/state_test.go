package rpki

import (
	"net/netip"
	"slices"
	"testing"
)

// Columns and pmacct's roa_src and roa_dst have their own names of the states.
func TestStateNames(t *testing.T) {
	for _, test := range []struct {
		state  State
		column string
		pmacct byte
	}{
		{None, "", 'u'}, {Unknown, "unknown", 'u'}, {Invalid, "invalid", 'i'}, {Valid, "valid", 'v'},
		{ValidCover, "invalid", 'V'}, {UnknownCover, "invalid", 'U'},
	} {
		if test.state.String() != test.column || test.state.Pmacct() != test.pmacct {
			t.Errorf("state %d: %q and %c, want %q and %c", test.state, test.state, test.state.Pmacct(), test.column,
				test.pmacct)
		}
	}
}

// Covering finds the VRPs of all prefixes that contain a prefix, and of no others.
func TestCovering(t *testing.T) {
	b := NewBuilder(nil)
	for _, text := range []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "11.0.0.0/8", "::/0"} {
		p := netip.MustParsePrefix(text)
		if _, err := b.Add(VRP{Prefix: p, MaxLength: 24, AS: uint32(p.Bits())}); err != nil {
			t.Fatal(err)
		}
	}
	var current Current
	if current.Table() != nil {
		t.Error("a Current without Set has a table")
	}
	current.Set(b.Table())
	var got []string
	for _, v := range current.Table().Covering(nil, netip.MustParsePrefix("10.1.0.0/17")) {
		got = append(got, v.String())
	}
	slices.Sort(got)
	if want := []string{"10.0.0.0/8-24 AS8", "10.1.0.0/16-24 AS16"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
