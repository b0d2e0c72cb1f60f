package bmp

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// update is an UPDATE message with a body.
func update(t testing.TB, body string) []byte {
	b := bytesOf(t, body)
	return append(bgp.AppendHeader(nil, bgp.UpdateType, len(b)), b...)
}

// openOf is an OPEN message with capabilities.
func openOf(t testing.TB, as uint16, id, capabilities string) []byte {
	c := bytesOf(t, capabilities)
	body := append([]byte{4, byte(as >> 8), byte(as), 0, 90}, bytesOf(t, id)...)
	if len(c) > 0 {
		body = append(append(body, byte(2+len(c)), 2, byte(len(c))), c...)
	} else {
		body = append(body, 0)
	}
	return append(bgp.AppendHeader(nil, bgp.OpenType, len(body)), body...)
}

func TestHeader(t *testing.T) {
	tests := []struct {
		name, in string
		length   int
		kind     Type
		err      string
	}{
		{"initiation", "03 00000006 04", 6, Initiation, ""},
		{"a type of the future", "03 00000030 63", 48, 0x63, ""},
		{"the longest", "03 00040000 00", MaxMessage, RouteMonitoring, ""},
		{"longer", "03 00040001 00", 0, 0, "not a BMP message: length of 262145 bytes"},
		{"shorter than its header", "03 00000005 00", 0, 0, "not a BMP message: length of 5 bytes"},
		{"version 4", "04 00000006 04", 0, 0, "not a BMP message: version 4 instead of 3"},
		{"BGP", "ffffffffffffffff", 0, 0, "not a BMP message: version 255 instead of 3"},
		{"cut short", "03 0000", 0, 0, "not a BMP message: 3 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			length, kind, err := Header(bytesOf(t, test.in))
			if got := fmt.Sprint(err); test.err == "" && err != nil || test.err != "" && got != test.err {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if length != test.length || err == nil && kind != test.kind {
				t.Errorf("%d bytes of type %d, want %d of type %d", length, kind, test.length, test.kind)
			}
		})
	}
}

func TestReadPeer(t *testing.T) {
	for _, want := range []Peer{
		{Type: GlobalPeer, Address: flow.AddrFrom4([4]byte{192, 0, 2, 1}), AS: 64500, ID: 7, Seconds: 1,
			Microseconds: 2},
		{Type: RDPeer, Flags: flagIPv6 | flagPost, RD: 64500<<32 | 7, Address: flow.Addr{0x20, 1, 0xd, 0xb8, 15: 1}},
		{Type: LocRIBPeer, ID: 9},
		// The flag says IPv6, the address is IPv4.
		{Type: GlobalPeer, Flags: flagIPv6, Address: flow.AddrFrom4([4]byte{192, 0, 2, 1})},
	} {
		got, rest, ok := ReadPeer(append(want.Append(nil), 1, 2, 3))
		if !ok || got != want || len(rest) != 3 {
			t.Errorf("got %+v and %x, want %+v", got, rest, want)
		}
	}
	if _, _, ok := ReadPeer(make([]byte, PeerBytes-1)); ok {
		t.Error("a header that is cut short was read")
	}
}

func TestView(t *testing.T) {
	tests := []struct {
		peer Peer
		want string
	}{
		{Peer{Type: LocRIBPeer, Flags: flagFiltered | flagPost}, "loc_rib"},
		{Peer{}, "adj_rib_in_pre"},
		{Peer{Type: RDPeer, Flags: flagPost}, "adj_rib_in_post"},
		{Peer{Flags: flagAdjOut}, "adj_rib_out_pre"},
		{Peer{Flags: flagAdjOut | flagPost}, "adj_rib_out_post"},
	}
	for _, test := range tests {
		if got := test.peer.View().String(); got != test.want {
			t.Errorf("%+v: %s, want %s", test.peer, got, test.want)
		}
	}
}

func TestReadInformation(t *testing.T) {
	b := AppendText(AppendText(AppendText(nil, 2, "router1"), 1, "version 7"), 0, "hello")
	if got := ReadInformation(b, Initiation); got != (Information{SysName: "router1", SysDescr: "version 7",
		Text: "hello"}) {
		t.Errorf("got %+v", got)
	}
	if got := ReadInformation(append(b, 0, 2, 0, 9, 'x'), Initiation); !got.Unreadable || got.SysName != "router1" {
		t.Errorf("a TLV that runs over the end: %+v", got)
	}
	if got := ReadInformation(AppendText(nil, 2, strings.Repeat("x", 5000)), Initiation); len(got.SysName) != maxText {
		t.Errorf("a name of %d bytes is kept", len(got.SysName))
	}
	for name, want := range map[string]string{
		"r1": "r1", "Köln": "Köln", "a\r\nb": "a  b", "\xb81": "\ufffd1", "\x1b[31m": "\ufffd[31m", "\x00": "\ufffd",
		strings.Repeat("x", maxText-1) + "ö": strings.Repeat("x", maxText-1),
		strings.Repeat("\xff", 300):          strings.Repeat("\ufffd", maxText/3),
	} {
		if got := ReadInformation(AppendText(nil, 2, name), Initiation).SysName; got != want {
			t.Errorf("name %q is %q, want %q", name, got, want)
		}
	}
	for b, want := range map[string]string{
		"0001 0002 0000": "administratively closed", "0001 0002 0003": "redundant connection",
		"0001 0002 0063": "reason 99", "0000 0002 6869": "hi", "": "", "0001": "",
	} {
		x := ReadInformation(bytesOf(t, b), Termination)
		if got := x.TerminationReason(); got != want {
			t.Errorf("%s: %q, want %q", b, got, want)
		}
	}
}

// Path identifiers are those that the two OPENs agree on, in the direction of the view.
func TestRules(t *testing.T) {
	const both = "41040000fbf4" // 4-byte AS 64500
	v4 := route.Family{}.Index()
	tests := []struct {
		name           string
		peer           Peer
		sent, received string
		addPath        bool
		fourByte       bool
		internal       bool
	}{
		{"plain", Peer{}, both, both, false, true, true},
		{"the flag of 2-byte AS numbers", Peer{Flags: flagTwoByte}, both, both, false, false, true},
		{"Loc-RIB has 4 bytes", Peer{Type: LocRIBPeer, Flags: flagTwoByte}, both, both, false, true, false},
		{"the peer sends", Peer{}, both + "45040001 01 01", both + "45040001 01 02", true, true, true},
		{"the peer sends, but the view is out", Peer{Flags: flagAdjOut}, both + "450400010101", both + "450400010102",
			false, true, true},
		{"the router sends, and the view is out", Peer{Flags: flagAdjOut}, both + "450400010102",
			both + "450400010101", true, true, true},
		{"the peer sends, the router does not take it", Peer{}, both, both + "450400010102", false, true, true},
		{"Loc-RIB", Peer{Type: LocRIBPeer}, both + "450400010103", both + "450400010103", true, true, false},
		{"a capability without families", Peer{Type: LocRIBPeer}, both + "4500", both + "4500", false, true, false},
		{"another AS", Peer{}, both, "41040000fbf5", false, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := AppendUp(nil, flow.AddrFrom4([4]byte{10, 0, 0, 1}), 179, 4000,
				openOf(t, 64500, "c0000201", test.sent),
				openOf(t, 64500, "c0000202", test.received))
			u, ok := ReadUp(AppendText(body, 3, "red"))
			if !ok || !u.HasSent || u.Table != "red" || u.LocalPort != 179 || u.Sent.ID != 0xc0000201 {
				t.Fatalf("%v: %+v", ok, u)
			}
			r := u.Rules(&test.peer)
			if r.AddPath[v4] != test.addPath || r.FourByteAS != test.fourByte || r.Internal != test.internal ||
				!r.Lenient {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// A Peer Up says what it can, whatever is wrong with its OPENs.
func TestReadUp_malformed(t *testing.T) {
	good := openOf(t, 64500, "c0000201", "")
	cut := slices.Clone(good)
	cut[17] = 200 // its length runs over the end
	noID := openOf(t, 64500, "00000000", "")
	badCapability := openOf(t, 64500, "c0000201", "4108 0000fbf4")
	tests := []struct {
		name           string
		sent, received []byte
		ok, hasSent    bool
		id             uint32
	}{
		{"good", good, good, true, true, 0xc0000201},
		{"no OPEN", nil, nil, false, false, 0},
		{"one OPEN", good, nil, false, true, 0xc0000201},
		{"a length over the end", cut, nil, false, false, 0},
		{"no identifier", noID, noID, true, true, 0},
		{"a capability over the end", badCapability, good, false, false, 0xc0000201},
		{"a KEEPALIVE", bgp.AppendKeepalive(nil), good, false, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, ok := ReadUp(AppendUp(nil, flow.AddrFrom4([4]byte{10, 0, 0, 1}), 1, 2, test.sent, test.received))
			if ok != test.ok || u.HasSent != test.hasSent || u.Sent.ID != test.id || u.LocalPort != 1 {
				t.Errorf("%v: %+v", ok, u)
			}
			if r := u.Rules(&Peer{}); !r.FourByteAS {
				t.Errorf("rules %+v", r)
			}
		})
	}
	if _, ok := ReadUp(make([]byte, 19)); ok {
		t.Error("a Peer Up that is cut short was read")
	}
}

func TestDownReason(t *testing.T) {
	notification := hex.EncodeToString((&bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseHardReset}).Append(nil))
	for in, want := range map[string]string{
		"01" + notification: "the router sent: cease: hard reset",
		"03" + notification: "the peer sent: cease: hard reset",
		"03 ffff":           "the peer sent: a NOTIFICATION", "02 0012": "the router closed the session: event 18",
		"02": "the router closed the session", "04": "the peer closed the session",
		"05": "the router no longer reports the peer", "06": "the router closed the table", "63": "reason 99",
		"": "no reason given",
	} {
		if got := DownReason(bytesOf(t, in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// text is a batch in words.
func text(t testing.TB, b *route.Batch) (all []string) {
	t.Helper()
	for i := range b.Changes {
		c := &b.Changes[i]
		line := fmt.Sprintf("%s %s", c.Class, c.Prefix)
		if c.RD != 0 {
			line += " rd " + c.RD.String()
		}
		if c.PathID != 0 {
			line += fmt.Sprintf(" id %d", c.PathID)
		}
		if c.Bundle == route.Withdrawn {
			all = append(all, line+" withdrawn")
			continue
		}
		var a route.Attributes
		if err := bgp.Decode(b.Bundles[c.Bundle].Data, &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, line+" path "+string(route.AppendPath(nil, a.Path, ' ')))
	}
	for _, f := range b.Complete {
		all = append(all, f.String()+" complete")
	}
	return all
}

// attributes of an UPDATE: ORIGIN, AS_PATH 64501 64502 of 4 or 2 bytes an AS, NEXT_HOP.
const (
	path4 = "40010100 40020a02020000fbf50000fbf6 400304c0000209"
	path2 = "40010100 4002060202fbf5fbf6 400304c0000209"
)

func TestRoutes(t *testing.T) {
	v4 := route.Family{}.Index()
	plain := bgp.Rules{FourByteAS: true, Lenient: true}
	twoByte := bgp.Rules{Lenient: true}
	addPath := plain
	addPath.AddPath[v4] = true
	vrf := Peer{Type: RDPeer, RD: 64500<<32 | 7}
	unreach := "0000 0006 800f03 0001 80" // End-of-RIB of VPNv4
	tests := []struct {
		name, body string
		peer       Peer
		rules      bgp.Rules
		want       []string
		reason     bgp.Reason // counted once; 0: none
	}{
		{"a route", "0000 0018" + path4 + "080a", Peer{}, plain, []string{"unicast 10.0.0.0/8 path 64501 64502"}, 0},
		{"a withdrawal", "0002 080a 0000", Peer{}, plain, []string{"unicast 10.0.0.0/8 withdrawn"}, 0},
		{"in a VRF", "0000 0018" + path4 + "080a", vrf, plain,
			[]string{"vpn 10.0.0.0/8 rd 0:64500:7 path 64501 64502"}, 0},
		{"End-of-RIB in a VRF", "0000 0000", vrf, plain, []string{"ipv4 vpn complete"}, 0},
		{"End-of-RIB of a family", unreach, Peer{}, plain, []string{"ipv4 vpn complete"}, 0},
		{"2-byte AS numbers that nobody announced", "0000 0014" + path2 + "080a", Peer{}, plain,
			[]string{"unicast 10.0.0.0/8 path 64501 64502"}, bgp.TwoByteAS},
		{"4-byte AS numbers where the flag says 2", "0000 0018" + path4 + "080a", Peer{}, twoByte,
			[]string{"unicast 10.0.0.0/8 path 64501 64502"}, bgp.TwoByteAS},
		{"path identifiers that nobody announced", "0000 0018" + path4 + "00000001 080a 00000002 100a01", Peer{}, plain,
			[]string{"unicast 10.0.0.0/8 id 1 path 64501 64502", "unicast 10.1.0.0/16 id 2 path 64501 64502"},
			bgp.OtherPathID},
		{"no path identifiers though announced", "0000 0018" + path4 + "180a0102", Peer{}, addPath,
			[]string{"unicast 10.1.2.0/24 path 64501 64502"}, bgp.OtherPathID},
		{"the default route", "0000 0018" + path4 + "00", Peer{}, plain, []string{"unicast 0.0.0.0/0 path 64501 64502"},
			0},
		{"prefixes that nobody can read", "0000 0018" + path4 + "210a010203", Peer{}, plain, nil, bgp.BadNLRI},
		{"no attribute is needed", "0000 0000 080a", Peer{}, plain, []string{"unicast 10.0.0.0/8 path "}, 0},
		{"an ORIGIN of 9", "0000 0018 40010109" + path4[9:] + "080a", Peer{}, plain,
			[]string{"unicast 10.0.0.0/8 path 64501 64502"}, bgp.BadOrigin},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := bgp.NewWalker(test.rules, hasher)
			var b route.Batch
			ok := Routes(w, &test.peer, update(t, test.body), &b)
			if !ok {
				t.Error("not read")
			}
			if diff := cmp.Diff(test.want, text(t, &b)); diff != "" {
				t.Error(diff)
			}
			var want [bgp.Reasons]uint64
			if test.reason != 0 {
				want[test.reason] = 1
			}
			if w.Counts != want {
				t.Errorf("reasons %v, want %v", w.Counts, want)
			}
		})
	}
	for name, body := range map[string][]byte{
		"nothing": nil, "a header that is cut short": make([]byte, 18), "an OPEN": openOf(t, 1, "01010101", ""),
		"a length over the end":   append(bgp.AppendHeader(nil, bgp.UpdateType, 100), 0, 0, 0, 0),
		"attributes over the end": update(t, "0000 0099"),
	} {
		t.Run(name, func(t *testing.T) {
			var b route.Batch
			if Routes(bgp.NewWalker(plain, hasher), &Peer{}, body, &b) || len(b.Changes) > 0 {
				t.Error("it was read")
			}
		})
	}
}

func TestStatistics(t *testing.T) {
	var got []Statistic
	Statistics(bytesOf(t, "00000004"+"0002 0004 00000005"+"0008 0008 0000000000000006"+
		"000a 000b 0002 01 0000000000000007"+"0009 000b 0019 41 0000000000000007"+"0063 0002 0001"+"0007 00ff"),
		func(s Statistic) { got = append(got, s) })
	want := []Statistic{{Type: 2, Value: 5}, {Type: StatLocRIB, Value: 6},
		{Type: StatLocRIBFamily, Family: route.Family{V6: true}, HasFamily: true, Value: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzMessage reads any message as a session does.
func FuzzMessage(f *testing.F) {
	peer := Peer{Type: RDPeer, RD: 1, Address: flow.AddrFrom4([4]byte{192, 0, 2, 1}), AS: 64500, ID: 1}
	head := peer.Append(nil)
	open := openOf(f, 64500, "c0000201", "41040000fbf4 450400010103 4500")
	for _, b := range [][]byte{
		AppendMessage(nil, Initiation, AppendText(AppendText(nil, 2, "r"), 1, "d")),
		AppendMessage(nil, PeerUp, head, AppendUp(nil, peer.Address, 1, 2, open, open), AppendText(nil, 3, "red")),
		AppendMessage(nil, PeerDown, head, []byte{3}, (&bgp.Notification{Code: 6, Subcode: 9}).Append(nil)),
		AppendMessage(nil, RouteMonitoring, head, update(f, "0000 0018"+path4+"080a")),
		AppendMessage(nil, RouteMonitoring, head, update(f, "0000 0018"+path4+"00000001080a00000002080b")),
		AppendMessage(nil, StatisticsReport, head, bytesOf(f, "00000001 000a 000b 0002 01 0000000000000007")),
		AppendMessage(nil, Termination, bytesOf(f, "0001 0002 0003")),
		AppendMessage(nil, RouteMirroring, head, []byte{0, 1, 0, 2, 0, 0}),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, kind, err := Header(b)
		if err != nil || n > len(b) {
			return
		}
		body := b[HeaderBytes:n]
		if kind == Initiation || kind == Termination {
			x := ReadInformation(body, kind)
			if max(len(x.SysName), len(x.SysDescr), len(x.Text), len(x.AdminLabel)) > maxText {
				t.Fatal("a text is too long")
			}
			if !utf8.ValidString(x.SysName + x.SysDescr + x.Text + x.AdminLabel) {
				t.Fatal("a text is not UTF-8")
			}
			x.TerminationReason()
			return
		}
		p, rest, ok := ReadPeer(body)
		if !ok {
			return
		}
		if again, _, ok := ReadPeer(p.Append(nil)); !ok || again != p {
			t.Fatalf("%+v is written and read as %+v", p, again)
		}
		DownReason(rest)
		u, _ := ReadUp(rest)
		Statistics(rest, func(Statistic) {})
		var batch route.Batch
		Routes(bgp.NewWalker(u.Rules(&p), hasher), &p, rest, &batch)
		text(t, &batch)
		for i := range batch.Changes {
			c := &batch.Changes[i]
			if q := c.Prefix; q != route.Make(q.Hi, q.Lo, q.Bits, q.V6) || !q.Netip().IsValid() {
				t.Fatalf("prefix %v is not masked", q)
			}
			if p.RD != 0 && c.Class != route.VPN {
				t.Fatalf("a route of a VRF is %s", c.Class)
			}
		}
	})
}
