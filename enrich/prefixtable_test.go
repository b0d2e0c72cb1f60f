package enrich

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The merged trie and the direct table say what a look-up in each source on its own would.
func TestPlaces_areWhatEachSourceSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, c := range []struct {
		name   string
		n      int
		direct bool
	}{{"with the trie alone", 2000, false}, {"with the direct table", directFrom + 100, true}} {
		t.Run(c.name, func(t *testing.T) {
			var ips, blocks, scireg []IPPrefix
			s := built(t, func(b *Builder) {
				for i := range c.n {
					p := IPPrefix{Prefix: somePrefix(rng), ASID: rng.Uint32N(3)}
					p.ID = p.Prefix.String()
					p.Ref = p.ID + "__v1"
					switch {
					case i%8 < 5:
						ips = append(ips, p)
						b.AddIP(p)
					case i%8 < 7:
						p.ASID = 100 + rng.Uint32N(50)
						blocks = append(blocks, p)
						b.AddASBlock(ASPrefix{p.Prefix, p.ASID})
					default:
						scireg = append(scireg, p)
						b.AddIPExtension("scireg", p)
					}
				}
				// Enough to have a direct table, out of the others' way.
				for i := 0; c.direct && i < directFrom; i++ {
					b.AddIP(IPPrefix{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{200, byte(i >> 8), byte(i), 0}),
						24), ID: "far", Ref: "far__v1"})
				}
			})
			if got := s.prefixes.direct != nil; got != c.direct {
				t.Fatalf("a direct table: %v", got)
			}
			for range 3000 {
				a := someAddress(rng)
				want, wanted := longest(ips, a)
				if got, found := s.LookupIP(a); found != wanted || found &&
					(got.Prefix != want.Prefix || got.Ref != want.Ref) {
					t.Fatalf("meta_ip of %s: %v %v, want %v %v", a, got, found, want, wanted)
				}
				want, wanted = longest(blocks, a)
				if prefix, _, found := s.LookupASBlock(a); found != wanted || found && prefix != want.Prefix {
					t.Fatalf("announced prefix of %s: %v %v, want %v %v", a, prefix, found, want, wanted)
				}
				want, wanted = longest(scireg, a)
				if got, found := s.LookupExtension("scireg", a); found != wanted || found && got.Ref != want.Ref {
					t.Fatalf("scireg of %s: %v %v, want %v %v", a, got, found, want, wanted)
				}
			}
		})
	}
}

// longest is the longest of the prefixes that holds an address, found the slow way.
func longest(all []IPPrefix, a netip.Addr) (best IPPrefix, found bool) {
	for _, p := range all {
		if p.Prefix.Contains(a) && (!found || p.Prefix.Bits() >= best.Prefix.Bits()) {
			best, found = p, true
		}
	}
	return best, found
}

// somePrefix is one of few networks, so that prefixes lie within each other; 0.0.0.0/0 and host routes among them.
func somePrefix(rng *rand.Rand) netip.Prefix {
	a := someAddress(rng)
	return netip.PrefixFrom(a, rng.IntN(a.BitLen()+1)).Masked()
}

func someAddress(rng *rand.Rand) netip.Addr {
	if rng.IntN(3) == 0 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 7: byte(rng.IntN(4)), 8: byte(rng.IntN(3)),
			15: byte(rng.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{10, byte(rng.IntN(3)), byte(rng.IntN(4)), byte(rng.IntN(256))})
}
