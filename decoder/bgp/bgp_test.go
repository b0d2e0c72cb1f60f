package bgp

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/metranova/flow-collector/decoder/route"
)

// text is what a batch says, a line for each change.
func text(t testing.TB, b *route.Batch) string {
	t.Helper()
	var lines []string
	for i := range b.Changes {
		c := &b.Changes[i]
		line := fmt.Sprintf("%s %s", route.Family{Class: c.Class, V6: c.Prefix.V6}, c.Prefix)
		if c.RD != 0 {
			line += " rd " + c.RD.String()
		}
		if c.PathID != 0 {
			line += fmt.Sprint(" id ", c.PathID)
		}
		if c.Bundle == route.Withdrawn {
			lines = append(lines, line+" withdrawn")
			continue
		}
		var a route.Attributes
		if err := Decode(b.Bundles[c.Bundle].Data, &a); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line+" "+attributesText(&a))
	}
	for _, f := range b.Complete {
		lines = append(lines, "complete "+f.String())
	}
	return strings.Join(lines, "\n")
}

func attributesText(a *route.Attributes) string {
	s := fmt.Sprintf("via %s origin %d path %s", a.NextHop, a.Origin, route.AppendPath(nil, a.Path, ' '))
	if a.HasLocalPref {
		s += fmt.Sprint(" pref ", a.LocalPref)
	}
	if a.HasMED {
		s += fmt.Sprint(" med ", a.MED)
	}
	var texts []byte
	for _, c := range a.Communities {
		texts = route.AppendCommunity(append(texts, ' '), c)
	}
	for _, c := range a.Extended {
		texts = route.AppendExtended(append(texts, ' '), c)
	}
	for _, c := range a.Large {
		texts = route.AppendLarge(append(texts, ' '), c)
	}
	return s + string(texts)
}

// bytesOf reads hexadecimal digits; spaces and words with other letters are comments.
func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// update makes an UPDATE's body.
func update(t testing.TB, withdrawn, attributes, announced string) []byte {
	t.Helper()
	w, a := bytesOf(t, withdrawn), bytesOf(t, attributes)
	b := append([]byte{byte(len(w) >> 8), byte(len(w))}, w...)
	b = append(append(b, byte(len(a)>>8), byte(len(a))), a...)
	return append(b, bytesOf(t, announced)...)
}

const (
	origin  = "400101 00 "
	path    = "40020a 0202 0000fde8 0000fde9 " // 65000 65001
	nextIP4 = "400304 c0000201 "
	good    = origin + path + nextIP4
	routed  = "via 192.0.2.1 origin 0 path 65000 65001"
)

func TestUpdate(t *testing.T) {
	all := Rules{FourByteAS: true}
	two := Rules{}
	ids := Rules{FourByteAS: true}
	for i := range ids.AddPath {
		ids.AddPath[i] = true
	}
	tests := []struct {
		name                             string
		rules                            Rules
		withdrawn, attributes, announced string
		want                             string
		count                            Reason
	}{
		{"announcement", all, "", good, "18 0a0000 20 0a000101",
			"ipv4 unicast 10.0.0.0/24 " + routed + "\nipv4 unicast 10.0.1.1/32 " + routed, Reasons},
		{"withdrawal", all, "180a0000 00", "", "",
			"ipv4 unicast 10.0.0.0/24 withdrawn\nipv4 unicast 0.0.0.0/0 withdrawn",
			Reasons},
		{"bits beyond the length", all, "", good, "09 0aff", "ipv4 unicast 10.128.0.0/9 " + routed, Reasons},
		{"all attributes", all, "", good + "800404 00000007 400504 000000c8 c00808 fde80001 ffffff01" +
			"c01008 0002fde800000005 c0200c 0000fde8 00000001 00000002 c00708 0000fde80a000001", "080a",
			"ipv4 unicast 10.0.0.0/8 " + routed + " pref 200 med 7 65000:1 65535:65281 RT:65000:5 65000:1:2", Reasons},
		{"path identifiers", ids, "00000001 080a", good, "00000002 080b",
			"ipv4 unicast 10.0.0.0/8 id 1 withdrawn\nipv4 unicast 11.0.0.0/8 id 2 " + routed, Reasons},
		{"sets and confederations", all, "", origin + nextIP4 +
			"40021c 0301 0000fde8 0201 00000001 0102 00000002 00000003" +
			"0401 00000004 ", "080a", "ipv4 unicast 10.0.0.0/8 via 192.0.2.1 origin 0 path (65000) 1 {2,3} [4]",
			Reasons},
		{"2-byte AS with AS4_PATH", two, "", origin + nextIP4 + "400208 0203 fde8 5ba0 0003" +
			"c0110a 0202 00030000 00000003",
			"080a", "ipv4 unicast 10.0.0.0/8 via 192.0.2.1 origin 0 path 65000 196608 3", Reasons},
		{"AS4_PATH longer than the path", two, "",
			origin + nextIP4 + "400204 0201 fde8" + "c0110a 0202 00030000 00000003",
			"080a", "ipv4 unicast 10.0.0.0/8 via 192.0.2.1 origin 0 path 65000", Reasons},
		{"AS4_PATH after a confederation", two, "", origin + nextIP4 + "40020a 0301 fde8 0202 5ba0 0003" +
			"c0110a 0202 00030000 00000003", "080a",
			"ipv4 unicast 10.0.0.0/8 via 192.0.2.1 origin 0 path (65000) 196608 3", Reasons},
		{"malformed AS4_PATH is discarded", two, "", origin + nextIP4 + "400204 0201 fde8" + "c01103 020100", "080a",
			"ipv4 unicast 10.0.0.0/8 via 192.0.2.1 origin 0 path 65000", BadAS4Path},
		{"AS4_PATH of a 4-byte speaker is discarded", all, "", good + "c01106 0201 00030000", "080a",
			"ipv4 unicast 10.0.0.0/8 " + routed, Reasons},
		{"long length", all, "", origin + "5002000a 0202 0000fde8 0000fde9" + nextIP4, "080a",
			"ipv4 unicast 10.0.0.0/8 " + routed, Reasons},
		{"IPv6", all, "", origin + path + "800e1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800000001",
			"",
			"ipv6 unicast 2001:db8:0:1::/64 via 2001:db8::1 origin 0 path 65000 65001", Reasons},
		{"IPv6 with a link-local next hop", all, "",
			origin + path + "800e2a 0002 01 20 20010db8000000000000000000000001" +
				"fe800000000000000000000000000001 00 20 20010db8", "",
			"ipv6 unicast 2001:db8::/32 via 2001:db8::1 origin 0 path 65000 65001", Reasons},
		{"IPv4 by an IPv6 next hop", all, "", origin + path +
			"800e19 0001 01 10 20010db8000000000000000000000001 00 18 0a0000",
			"", "ipv4 unicast 10.0.0.0/24 via 2001:db8::1 origin 0 path 65000 65001", Reasons},
		{"labelled", all, "", origin + path + "800e10 0001 04 04 c0000202 00 30 000101 0a0000", "",
			"ipv4 labelled 10.0.0.0/24 via 192.0.2.2 origin 0 path 65000 65001", Reasons},
		{"two labels", all, "", origin + path + "800e11 0001 04 04 c0000202 00 38 000100 000201 0a", "",
			"ipv4 labelled 10.0.0.0/8 via 192.0.2.2 origin 0 path 65000 65001", Reasons},
		{"VPN", all, "",
			origin + path + "800e20 0001 80 0c 0000000000000000 c0000203 00 70 000101 0000fde800000007 0a0000", "",
			"ipv4 vpn 10.0.0.0/24 rd 0:65000:7 via 192.0.2.3 origin 0 path 65000 65001", Reasons},
		{"VPN withdrawal", all, "", "800f12 0001 80 70 800000 0000fde800000007 0a0000", "",
			"ipv4 vpn 10.0.0.0/24 rd 0:65000:7 withdrawn", Reasons},
		{"End-of-RIB of IPv4", all, "", "", "", "complete ipv4 unicast", Reasons},
		{"End-of-RIB of IPv6 VPNs", all, "", "800f03 0002 80", "", "complete ipv6 vpn", Reasons},
		{"another family", all, "", origin + path + "800e09 0019 46 04 c0000202 00", "", "", OtherFamily},

		// RFC 7606: treat as withdraw.
		{"attribute over the end", all, "", good + "c00808 fde80001", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn",
			BadAttributes},
		{"attribute cut off", all, "", good + "c0", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadAttributes},
		{"flags", all, "", "c00101 00" + path + nextIP4, "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadFlags},
		{"origin", all, "", "400101 03" + path + nextIP4, "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadOrigin},
		{"path cut off", all, "", origin + "400206 0202 0000fde8" + nextIP4, "080a",
			"ipv4 unicast 10.0.0.0/8 withdrawn", BadPath},
		{"path with an empty segment", all, "", origin + "400202 0200" + nextIP4, "080a",
			"ipv4 unicast 10.0.0.0/8 withdrawn",
			BadPath},
		{"next hop", all, "", origin + path + "400303 c00002", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadNextHop},
		{"no next hop", all, "", origin + path, "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", Missing},
		{"no path", all, "", origin + nextIP4, "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", Missing},
		{"MED", all, "", good + "800403 000000", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadMED},
		{"local preference", all, "", good + "400503 000000", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn",
			BadLocalPref},
		{"communities", all, "", good + "c00803 000000", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadCommunities},
		{"no communities", all, "", good + "c00800", "080a", "ipv4 unicast 10.0.0.0/8 withdrawn", BadCommunities},
		{"length of MP next hop", all, "", origin + path + "800e0c 0002 01 03 010203 00 1820 010d", "",
			"ipv6 unicast 2001:d00::/24 withdrawn", BadNextHop},

		{"second origin is passed over", all, "", good + "400101 02", "080a", "ipv4 unicast 10.0.0.0/8 " + routed,
			Duplicate},
		{"lenient: flags of bird's dumps", Rules{FourByteAS: true, Lenient: true}, "",
			"000101 00 00020a 0202 0000fde8 0000fde9" +
				nextIP4, "080a", "ipv4 unicast 10.0.0.0/8 " + routed, BadFlags},
		{"lenient: 2-byte path where 4 were announced", Rules{FourByteAS: true, Lenient: true}, "",
			origin + "400206 0202 fde8 fde9" +
				nextIP4, "080a", "ipv4 unicast 10.0.0.0/8 " + routed, TwoByteAS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := NewWalker(test.rules, route.NewHasher())
			var b route.Batch
			if err := w.Update(update(t, test.withdrawn, test.attributes, test.announced), &b); err != nil {
				t.Fatal(err)
			}
			if got := text(t, &b); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			for r, n := range w.Counts {
				if (n > 0) != (Reason(r) == test.count) {
					t.Errorf("%d times %s", n, Reason(r))
				}
			}
		})
	}
}

// What RFC 7606 leaves as reasons to end a session.
func TestUpdateEndsSession(t *testing.T) {
	tests := []struct {
		name          string
		body          []byte
		code, subcode uint8
	}{
		{"too short", []byte{0, 0, 0}, 3, 1},
		{"withdrawn over the end", []byte{0, 9, 0, 0}, 3, 1},
		{"attributes over the end", []byte{0, 0, 0, 1}, 3, 1},
		{"two MP_REACH", update(t, "", good+"800e09 0019 46 04 c0000202 00 800e09 0019 46 04 c0000202 00", ""), 3, 1},
		{"prefix over the end", update(t, "", good, "180a00"), 3, 10},
		{"prefix too long", update(t, "", good, "21 0a00000000"), 3, 10},
		{"withdrawn prefix too long", update(t, "21 0a00000000", "", ""), 3, 10},
		{"MP_REACH cut off", update(t, "", origin+path+"800e04 0002 01 10", ""), 3, 9},
		{"MP_UNREACH cut off", update(t, "", "800f02 0002", ""), 3, 9},
		{"labels without end", update(t, "", origin+path+"800e10 0001 04 04 c0000202 00 30 000100 000200", ""), 3, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var n *Notification
			err := NewWalker(Rules{FourByteAS: true}, route.NewHasher()).Update(test.body, &route.Batch{})
			if !errors.As(err, &n) || n.Code != test.code || n.Subcode != test.subcode {
				t.Errorf("got %v, want %v", err, &Notification{Code: test.code, Subcode: test.subcode})
			}
		})
	}
}

// Equal attributes have one bundle's hash, whatever attributes that do not matter stand between; others differ.
func TestBundleHash(t *testing.T) {
	hash := func(rules Rules, attributes string) route.Hash {
		w := NewWalker(rules, hasher)
		var b route.Batch
		if err := w.Update(update(t, "", attributes, "080a"), &b); err != nil || len(b.Bundles) != 1 {
			t.Fatal(err, len(b.Bundles))
		}
		return b.Bundles[0].Hash
	}
	four := Rules{FourByteAS: true}
	same := hash(four, good)
	if hash(four, good+"c00708 0000fde80a000001 400600") != same {
		t.Error("AGGREGATOR makes another bundle")
	}
	if hash(Rules{FourByteAS: true, Internal: true}, good) == same {
		t.Error("iBGP makes no other bundle")
	}
	if hash(four, origin+path+"400304 c0000202") == same {
		t.Error("another next hop makes no other bundle")
	}
	if hash(four, good+"800404 00000007") == same {
		t.Error("MED makes no other bundle")
	}
}

var hasher = route.NewHasher()

// oracle is what gobgp reads of an UPDATE, in the form of text; ok is false where gobgp refuses it or reads what we do
// not.
func oracle(raw []byte, rules Rules) (lines []string, ok bool) {
	option := &gobgp.MarshallingOption{AddPath: map[gobgp.Family]gobgp.BGPAddPathMode{}, Use2ByteAS: !rules.FourByteAS,
		ExtendedMessage: true}
	m, err := gobgp.ParseBGPMessage(raw, option)
	if err != nil {
		return nil, false
	}
	u := m.Body.(*gobgp.BGPUpdate)
	var a route.Attributes
	var next netip.Addr
	var announced, withdrawn []gobgp.PathNLRI
	withdrawn = append(withdrawn, u.WithdrawnRoutes...)
	for _, attribute := range u.PathAttributes {
		switch x := attribute.(type) {
		case *gobgp.PathAttributeOrigin:
			a.Origin = route.Origin(x.Value)
		case *gobgp.PathAttributeAsPath:
			for _, s := range x.Value {
				a.Path = append(a.Path, route.Segment{Kind: route.SegmentKind(s.GetType()), AS: s.GetAS()})
			}
		case *gobgp.PathAttributeNextHop:
			next = x.Value
		case *gobgp.PathAttributeMultiExitDisc:
			a.HasMED, a.MED = true, x.Value
		case *gobgp.PathAttributeLocalPref:
			a.HasLocalPref, a.LocalPref = true, x.Value
		case *gobgp.PathAttributeCommunities:
			a.Communities = sortUnique(x.Value)
		case *gobgp.PathAttributeLargeCommunities:
			for _, l := range x.Values {
				a.Large = append(a.Large, route.Large{Global: l.ASN, Data1: l.LocalData1, Data2: l.LocalData2})
			}
			a.Large = sortUniqueFunc(a.Large, func(x, y route.Large) int {
				return cmp.Or(cmp.Compare(x.Global, y.Global), cmp.Compare(x.Data1, y.Data1),
					cmp.Compare(x.Data2, y.Data2))
			})
		case *gobgp.PathAttributeMpReachNLRI:
			next, announced = x.Nexthop, append(announced, x.Value...)
		case *gobgp.PathAttributeMpUnreachNLRI:
			withdrawn = append(withdrawn, x.Value...)
		}
	}
	announced = append(announced, u.NLRI...)
	_ = next
	for _, n := range withdrawn {
		lines = append(lines, n.NLRI.String()+" withdrawn")
	}
	for _, n := range announced {
		lines = append(lines, n.NLRI.String()+" "+strings.SplitN(attributesText(&a), " ", 3)[2])
	}
	slices.Sort(lines)
	return lines, true
}

// ours is what a batch says, in the form of oracle.
func ours(t *testing.T, b *route.Batch) (lines []string) {
	for i := range b.Changes {
		c := &b.Changes[i]
		line := c.Prefix.String()
		if c.Bundle == route.Withdrawn {
			lines = append(lines, line+" withdrawn")
			continue
		}
		var a route.Attributes
		if err := Decode(b.Bundles[c.Bundle].Data, &a); err != nil {
			t.Fatal(err)
		}
		a.Extended = nil
		lines = append(lines, line+" "+strings.SplitN(attributesText(&a), " ", 3)[2])
	}
	slices.Sort(lines)
	return lines
}

func seeds(t testing.TB) [][]byte {
	return [][]byte{
		update(t, "", good, "180a0000 200a000101"), update(t, "180a0000 00", "", ""), update(t, "", "", ""),
		update(t, "", good+"800404 00000007 400504 000000c8 c00808 fde80001 ffffff01 c01008 0002fde800000005"+
			"c0200c 0000fde8 00000001 00000002", "080a"),
		update(t, "", origin+path+"800e1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800000001", ""),
		update(t, "", origin+path+"800e20 0001 80 0c 0000000000000000 c0000203 00 70 000101 0000fde800000007 0a0000",
			""),
		update(t, "", origin+path+"800e11 0001 04 04 c0000202 00 38 000100 000201 0a", ""),
		update(t, "", "800f12 0001 80 70 800000 0000fde800000007 0a0000", ""),
		update(t, "", origin+nextIP4+"40021c 0301 0000fde8 0201 00000001 0102 00000002 00000003 0401 00000004", "080a"),
		update(t, "", origin+nextIP4+"400208 0203 fde8 5ba0 0003 c0110a 0202 00030000 00000003", "080a"),
	}
}

// What both gobgp and we take of unicast UPDATEs is the same.
func FuzzUpdate(f *testing.F) {
	for _, s := range seeds(f) {
		for n := range uint8(4) {
			f.Add(s, n)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		if len(body) > MaxExtended-HeaderBytes {
			return
		}
		rules := Rules{FourByteAS: n&1 == 0, Lenient: n&4 != 0}
		if n&2 != 0 {
			for i := range rules.AddPath {
				rules.AddPath[i] = true
			}
		}
		w := NewWalker(rules, hasher)
		var b route.Batch
		err := w.Update(body, &b)
		text(t, &b) // decodes all bundles
		for i := range b.Changes {
			if p := b.Changes[i].Prefix; p != route.Make(p.Hi, p.Lo, p.Bits, p.V6) || !p.Netip().IsValid() {
				t.Fatalf("prefix %v is not masked", p)
			}
		}
		if err != nil || n != 0 || w.Counts != [Reasons]uint64{} {
			return
		}
		for i := range b.Changes {
			if b.Changes[i].Class != route.Unicast {
				return
			}
		}
		raw := append(AppendHeader(nil, UpdateType, len(body)), body...)
		want, accepted := oracle(raw, rules)
		if got := ours(t, &b); accepted && !slices.Equal(got, want) {
			t.Errorf("got\n%s\ngobgp reads\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Reading an UPDATE allocates nothing once the batch has its memory.
func TestUpdateAllocations(t *testing.T) {
	w := NewWalker(Rules{FourByteAS: true}, hasher)
	bodies := seeds(t)
	var b route.Batch
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		for _, body := range bodies {
			if err := w.Update(body, &b); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUpdate(b *testing.B) {
	body := update(b, "",
		good+"400504 000000c8 c00820 fde80001 fde80002 fde80003 fde80004 fde80005 fde80006 fde80007 fde80008",
		"180a0000 180a0001 180a0002 180a0003 180a0004 180a0005")
	w := NewWalker(Rules{FourByteAS: true}, hasher)
	var batch route.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := w.Update(body, &batch); err != nil {
			b.Fatal(err)
		}
	}
}
