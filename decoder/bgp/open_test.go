package bgp

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/metranova/flow-collector/decoder/route"
)

func TestOpen(t *testing.T) {
	id := netip.MustParseAddr("192.0.2.9")
	families := []gobgp.Family{gobgp.RF_IPv4_UC, gobgp.RF_IPv6_UC, gobgp.RF_IPv4_VPN, gobgp.RF_EVPN}
	caps := []gobgp.ParameterCapabilityInterface{gobgp.NewCapRouteRefresh(), gobgp.NewCapEnhancedRouteRefresh(),
		gobgp.NewCapExtendedMessage(), gobgp.NewCapFourOctetASNumber(4200000000),
		gobgp.NewCapExtendedNexthop([]*gobgp.CapExtendedNexthopTuple{gobgp.NewCapExtendedNexthopTuple(gobgp.RF_IPv4_UC,
			2)}),
		gobgp.NewCapGracefulRestart(true, true, 120, []*gobgp.CapGracefulRestartTuple{
			gobgp.NewCapGracefulRestartTuple(gobgp.RF_IPv4_UC, true)}),
		gobgp.NewCapAddPath([]*gobgp.CapAddPathTuple{
			gobgp.NewCapAddPathTuple(gobgp.RF_IPv4_UC, gobgp.BGP_ADD_PATH_BOTH),
			gobgp.NewCapAddPathTuple(gobgp.RF_IPv6_UC, gobgp.BGP_ADD_PATH_RECEIVE)})}
	for _, f := range families {
		caps = append(caps, gobgp.NewCapMultiProtocol(f))
	}
	m, err := gobgp.NewBGPOpenMessage(asTrans, 180, id, []gobgp.OptionParameterInterface{
		gobgp.NewOptionParameterCapability(caps)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := m.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ParseOpen(raw[HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	want := Open{AS: 4200000000, HoldTime: 180, ID: 0xc0000209,
		Capabilities: Capabilities{MultiProtocol: true, FourByteAS: true,
			Refresh: true, Enhanced: true, Extended: true, Graceful: true, Restarting: true, Notifications: true,
			RestartTime: 120}}
	v4, v6 := route.Family{}.Index(), route.Family{V6: true}.Index()
	want.Families[v4], want.Families[v6], want.Families[route.Family{Class: route.VPN}.Index()] = true, true, true
	want.ExtendedNextHop[v4], want.Receive[v4], want.Send[v4], want.Receive[v6] = true, true, true, true
	if o != want {
		t.Errorf("got\n%+v\nwant\n%+v", o, want)
	}

	answer := o.Answer(0, 0x7f000001, 90, 300)
	raw = answer.Append(nil)
	if length, kind, err := Header(raw, false); err != nil || length != len(raw) || kind != OpenType {
		t.Errorf("header of our OPEN: %d, %d, %v", length, kind, err)
	}
	parsed, err := gobgp.ParseBGPMessage(raw)
	if err != nil {
		t.Fatalf("gobgp refuses our OPEN: %v", err)
	}
	open := parsed.Body.(*gobgp.BGPOpen)
	if open.MyAS != asTrans || open.HoldTime != 90 || open.ID != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("our OPEN is %+v", open)
	}
	again, err := ParseOpen(raw[HeaderBytes:])
	if err != nil || again != answer {
		t.Errorf("our OPEN reads as\n%+v, want\n%+v, %v", again, answer, err)
	}
	rules := Agreed(&answer, &o)
	if !rules.AddPath[v4] || rules.AddPath[v6] || !rules.FourByteAS || !rules.Internal {
		t.Errorf("rules %+v", rules)
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name          string
		body          string
		code, subcode uint8
	}{
		{"version", "03 fde8 00b4 c0000201 00", 2, 1},
		{"hold time", "04 fde8 0001 c0000201 00", 2, 6},
		{"identifier", "04 fde8 00b4 00000000 00", 2, 3},
		{"AS 0", "04 0000 00b4 c0000201 00", 2, 2},
		{"parameter over the end", "04 fde8 00b4 c0000201 02 0205", 2, 0},
		{"length of parameters", "04 fde8 00b4 c0000201 03 0200", 2, 0},
		{"unknown parameter", "04 fde8 00b4 c0000201 02 0100", 2, 4},
		{"capability over the end", "04 fde8 00b4 c0000201 04 0202 4104", 2, 0},
		{"short", "04 fde8", 1, 2},
	}
	for _, test := range tests {
		var n *Notification
		if _, err := ParseOpen(bytesOf(t, test.body)); !errors.As(err, &n) || n.Code != test.code ||
			n.Subcode != test.subcode {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
	if o, err := ParseOpen(bytesOf(t, "04 fde8 00b4 c0000201 ff ff 0006 02 0003 41 01 00")); err != nil ||
		o.FourByteAS {
		t.Errorf("extended parameters (RFC 9072) with a short capability: %+v, %v", o, err)
	}
}

func TestHeader(t *testing.T) {
	marker := strings.Repeat("ff", 16)
	tests := []struct {
		name     string
		in       string
		extended bool
		subcode  uint8
	}{
		{"keepalive", marker + "0013 04", false, 0},
		{"long keepalive", marker + "0014 04", false, 2},
		{"marker", strings.Repeat("ff", 15) + "00 0013 04", false, 1},
		{"type", marker + "0013 09", false, 3},
		{"short UPDATE", marker + "0016 02", false, 2},
		{"long UPDATE", marker + "1001 02", false, 2},
		{"extended UPDATE", marker + "ffff 02", true, 0},
		{"extended OPEN", marker + "1001 01", true, 2},
		{"cut off", "ffff", false, 2},
	}
	for _, test := range tests {
		_, _, err := Header(bytesOf(t, test.in), test.extended)
		var n *Notification
		if test.subcode == 0 {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		} else if !errors.As(err, &n) || n.Code != HeaderError || n.Subcode != test.subcode {
			t.Errorf("%s: %v, want subcode %d", test.name, err, test.subcode)
		}
	}
}

func TestNotification(t *testing.T) {
	n := &Notification{Code: Cease, Subcode: CeaseHardReset, Data: []byte{1}}
	raw := n.Append(nil)
	if _, kind, err := Header(raw, false); err != nil || kind != NotificationType {
		t.Errorf("%d, %v", kind, err)
	}
	got := ParseNotification(raw[HeaderBytes:])
	if got.Error() != "cease: hard reset" || !got.HardReset() || !bytes.Equal(got.Data, n.Data) {
		t.Errorf("got %v %v", got, got.Data)
	}
	if ParseNotification(nil).HardReset() {
		t.Error("nothing is a hard reset")
	}
}

func FuzzOpen(f *testing.F) {
	o := Open{AS: 4200000000, HoldTime: 90, ID: 1, Capabilities: Capabilities{Graceful: true, Refresh: true}}
	for i := range o.Families {
		o.Families[i], o.Receive[i] = true, true
	}
	f.Add(o.Append(nil)[HeaderBytes:])
	f.Add(bytesOf(f, "04 fde8 00b4 c0000201 ff ff 0006 02 0003 41 01 00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		theirs, err := ParseOpen(body)
		if err != nil {
			return
		}
		answer := theirs.Answer(0, 1, 90, 120)
		raw := answer.Append(nil)
		if again, err := ParseOpen(raw[HeaderBytes:]); err != nil || again != answer {
			t.Errorf("our OPEN %+v reads as %+v, %v", answer, again, err)
		}
	})
}
