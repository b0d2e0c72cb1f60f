package rpki

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func vrp(prefix string, most uint8, as uint32) VRP {
	return VRP{netip.MustParsePrefix(prefix), most, as}
}

func tableOf(t testing.TB, all ...VRP) *Table {
	t.Helper()
	b := NewBuilder(nil)
	for _, v := range all {
		if added, err := b.Add(v); !added || err != nil {
			t.Fatal(v, added, err)
		}
	}
	return b.Table()
}

// The cases of RFC 6811 section 2 and of RFC 6483 section 4.
func TestValidate(t *testing.T) {
	table := tableOf(t, vrp("10.0.0.0/8", 16, 64500), vrp("10.0.0.0/8", 8, 64501), vrp("10.1.0.0/16", 24, 64502),
		vrp("192.0.2.0/24", 24, 0), vrp("2001:db8::/32", 48, 64500), vrp("0.0.0.0/0", 0, 64503))
	if table.Len() != 6 {
		t.Errorf("%d payloads", table.Len())
	}
	tests := []struct {
		name, prefix string
		as           uint32
		want         State
	}{
		{"exact", "10.0.0.0/8", 64500, Valid},
		{"the other of two", "10.0.0.0/8", 64501, Valid},
		{"another AS", "10.0.0.0/8", 64999, Invalid},
		{"within the maximum length", "10.2.0.0/16", 64500, Valid},
		{"longer than the maximum", "10.2.0.0/17", 64500, Invalid},
		{"longer than the maximum of this AS alone", "10.2.0.0/16", 64501, Invalid},
		{"by a shorter prefix though a longer one says no", "10.1.0.0/16", 64500, Valid},
		{"by the longer prefix", "10.1.2.0/24", 64502, Valid},
		{"a shorter route than the payload's", "10.0.0.0/7", 64500, Invalid}, // 0.0.0.0/0 covers it
		{"the default route", "0.0.0.0/0", 64503, Valid},
		{"AS 0 in a payload", "192.0.2.0/24", 64500, Invalid},
		{"no origin, and AS 0 in a payload", "192.0.2.0/24", 0, Invalid},
		{"IPv6", "2001:db8:1::/48", 64500, Valid},
		{"IPv6, too long", "2001:db8:1::/49", 64500, Invalid},
		{"IPv6 without payload", "2001:db9::/32", 64500, Unknown},
		{"no origin, without payload", "2001:db9::/32", 0, Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := table.Validate(netip.MustParsePrefix(test.prefix), test.as); got != test.want {
				t.Errorf("%s of AS%d is %s, want %s", test.prefix, test.as, got, test.want)
			}
		})
	}
	if got := Empty.Validate(netip.MustParsePrefix("10.0.0.0/8"), 1); got != Unknown {
		t.Errorf("without payloads %s", got)
	}
	p := netip.MustParsePrefix("10.1.0.0/16")
	if n := testing.AllocsPerRun(100, func() { table.Validate(p, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A change of a copy is not seen in the table it was made from.
func TestBuilderCopies(t *testing.T) {
	before := tableOf(t, vrp("10.0.0.0/8", 8, 1), vrp("10.0.0.0/8", 8, 2), vrp("11.0.0.0/8", 8, 3))
	b := NewBuilder(before)
	if added, _ := b.Add(vrp("10.0.0.0/8", 8, 1)); added {
		t.Error("a payload was added twice")
	}
	if _, err := b.Add(vrp("10.0.0.0/8", 8, 4)); err != nil {
		t.Fatal(err)
	}
	if !b.Remove(vrp("10.0.0.0/8", 8, 2)) || !b.Remove(vrp("11.0.0.0/8", 8, 3)) || b.Remove(vrp("11.0.0.0/8", 8, 3)) {
		t.Error("removed something else than what was there")
	}
	after := b.Table()
	show := func(x *Table) string {
		s := fmt.Sprint(x.Len())
		for _, p := range []string{"10.0.0.0/8", "11.0.0.0/8"} {
			for as := range uint32(5) {
				s += fmt.Sprint(" ", x.Validate(netip.MustParsePrefix(p), as))
			}
		}
		return s
	}
	if got, want := show(before),
		"3 invalid valid valid invalid invalid invalid invalid invalid valid invalid"; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	if got, want := show(after),
		"2 invalid valid invalid invalid valid unknown unknown unknown unknown unknown"; got != want {
		t.Errorf("after: %s, want %s", got, want)
	}
}

// Against the rule of RFC 6811 written down plainly.
func TestValidateRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	prefix := func() netip.Prefix {
		p, _ := netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)) << 6, 0}).Prefix(6 +
			random.IntN(20))
		return p
	}
	var all []VRP
	b := NewBuilder(nil)
	for range 200 {
		p := prefix()
		v := VRP{p, uint8(min(32, p.Bits()+random.IntN(4))), uint32(random.IntN(5))}
		if added, _ := b.Add(v); added {
			all = append(all, v)
		}
	}
	table := b.Table()
	for range 5000 {
		p, as := prefix(), uint32(random.IntN(5))
		want := Unknown
		for _, v := range all {
			if v.Prefix.Bits() > p.Bits() || !v.Prefix.Contains(p.Addr()) {
				continue
			}
			if v.AS == as && as != 0 && p.Bits() <= int(v.MaxLength) {
				want = Valid
				break
			}
			want = Invalid
		}
		if got := table.Validate(p, as); got != want {
			t.Fatalf("%s of AS%d is %s, want %s", p, as, got, want)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	builder := NewBuilder(nil)
	at := make([]netip.Prefix, 1<<12)
	for i := range 500_000 {
		n := random.Uint32()
		p, _ := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 0}).Prefix(16 + int(n%9))
		if _, err := builder.Add(VRP{p, 24, n % 70000}); err != nil {
			b.Fatal(err)
		}
		at[i%len(at)] = p
	}
	table := builder.Table()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Validate(at[i%len(at)], 1)
	}
}
