package routing

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
)

// The exporter finds its routes by the session's address and by the BGP identifier; withdrawals and other attributes
// take effect.
func TestSession(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	if x.open.AS != 65001 || x.open.ID != 0x7f000001 || x.open.HoldTime != 90 || !x.open.Extended {
		t.Errorf("our OPEN is %+v", x.open)
	}
	x.announce(7, "10.0.0.0/8", "10.1.0.0/16")
	x.announce(8, "0.0.0.0/0")
	for _, exporter := range []string{"127.0.0.2", "192.0.2.2"} {
		expect(t, s, reader, exporter, map[string]int{"10.1.2.3": 7, "10.9.2.3": 7, "11.0.0.1": 8})
	}
	if got := lookup(s, reader, "127.0.0.3", "10.1.2.3"); got != -1 {
		t.Errorf("another exporter has route %d", got)
	}
	x.announce(9, "10.1.0.0/16")
	x.withdraw("10.0.0.0/8")
	x.complete()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 9, "10.9.2.3": 8})
	eventually(t, func() string {
		all := s.Stats().Sessions
		if len(all) != 1 || !all[0].Up || all[0].Routes[0] != 2 || !all[0].Complete[0] || all[0].Updates != 5 ||
			all[0].Router != "192.0.2.2" || all[0].AS != 65001 {
			return fmt.Sprintf("sessions %+v", all)
		}
		return ""
	})
}

// Routes stay when a session ends. The next session's End-of-RIB removes those that it did not announce.
func TestStaleRoutes(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8", "11.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
	_ = x.conn.Close()
	eventually(t, func() string {
		if all := s.Stats().Sessions; len(all) != 1 || all[0].Up || all[0].Why == "" {
			return fmt.Sprintf("sessions %+v", all)
		}
		return ""
	})
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
	if !s.RIB().RouterAt([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 2}).Stale() {
		t.Error("the router is not stale")
	}
	x = connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(8, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 8, "11.1.2.3": 7})
	x.complete()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 8, "11.1.2.3": -1})
}

// After KeepStale the routes of a session that ended are gone.
func TestStaleRoutesGo(t *testing.T) {
	s := open(t, Options{KeepStale: time.Millisecond})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
	_ = x.conn.Close()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": -1})
	eventually(t, func() string {
		if st := s.Stats(); len(st.Sessions) != 0 || st.RIB.Routes != 0 || len(s.RIB().Routers()) != 0 {
			return fmt.Sprintf("left: %+v, %d routers", st, len(s.RIB().Routers()))
		}
		return ""
	})
}

// Cease with Hard Reset removes routes at once (RFC 8538).
func TestHardReset(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
	n := bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseHardReset}
	x.send(n.Append(nil))
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": -1})
}

// A neighbour that connects again while its old session looks alive takes its place.
func TestReplacement(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	old := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	old.announce(7, "10.0.0.0/8", "11.0.0.0/8")
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	if n := old.ended(); n == nil || n.Code != bgp.Cease || n.Subcode != bgp.CeaseCollision {
		t.Errorf("the old session ended with %v", n)
	}
	x.announce(8, "10.0.0.0/8")
	x.complete()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 8, "11.1.2.3": -1})
}

// Two sessions with one BGP identifier are one router; two identifiers of one address are two.
func TestRouters(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	a := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	b := connect(t, s, "127.0.0.3", local("192.0.2.2"))
	other := connect(t, s, "127.0.0.2", local("192.0.2.9"))
	a.announce(7, "10.0.0.0/8")
	b.announce(8, "11.0.0.0/8")
	other.announce(9, "10.0.0.0/8")
	for _, exporter := range []string{"127.0.0.2", "127.0.0.3", "192.0.2.2"} {
		expect(t, s, reader, exporter, map[string]int{"10.1.2.3": 7, "11.1.2.3": 8})
	}
	expect(t, s, reader, "192.0.2.9", map[string]int{"10.1.2.3": 9, "11.1.2.3": -1})
}

// Only neighbours may connect, and what is no BGP ends with the NOTIFICATION that RFC 4271 has for it.
func TestRefusals(t *testing.T) {
	s := open(t, Options{Neighbors: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	tests := []struct {
		name, from    string
		send          []byte
		code, subcode uint8
	}{
		{"no neighbour", "127.0.0.3", nil, bgp.Cease, bgp.CeaseRejected},
		{"garbage", "127.0.0.2", []byte(strings.Repeat("GET / HTTP/1.1\r\n", 9)), bgp.HeaderError, 1},
		{"KEEPALIVE first", "127.0.0.2", bgp.AppendKeepalive(nil), bgp.StateError, 0},
		{"our own identifier", "127.0.0.2", func() []byte { o := local("127.0.0.1"); return o.Append(nil) }(),
			bgp.OpenError, 3},
		{"hold time of 1 s", "127.0.0.2",
			func() []byte { o := local("192.0.2.2"); o.HoldTime = 1; return o.Append(nil) }(),
			bgp.OpenError, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := dial(t, s, test.from)
			_, _ = x.conn.Write(test.send)
			go x.receive()
			if n := x.ended(); n == nil || n.Code != test.code || n.Subcode != test.subcode {
				t.Errorf("got %v, want %v", n, &bgp.Notification{Code: test.code, Subcode: test.subcode})
			}
		})
	}
	eventually(t, func() string {
		if st := s.Stats(); st.Refused != 1 || st.Failed != 4 {
			return fmt.Sprintf("refused %d, failed %d", st.Refused, st.Failed)
		}
		return ""
	})
}

// An UPDATE whose prefixes cannot be read ends the session; the routes of before stay.
func TestMalformedUpdate(t *testing.T) {
	s := open(t, Options{})
	reader := s.RIB().NewReader()
	x := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	x.announce(7, "10.0.0.0/8")
	x.update([]byte{33, 1, 2, 3, 4, 5}, nil, nil)
	if n := x.ended(); n == nil || n.Code != bgp.UpdateError || n.Subcode != 10 {
		t.Errorf("got %v", n)
	}
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7})
}

// Nothing within the hold time ends a session.
func TestHoldTime(t *testing.T) {
	s := open(t, Options{})
	o := local("192.0.2.2")
	o.HoldTime = 3
	if n := connect(t, s, "127.0.0.2", o).ended(); n == nil || n.Code != bgp.HoldExpired {
		t.Errorf("got %v", n)
	}
}

// When the collector stops, a neighbour with graceful restart sees the connection close, others a Cease.
func TestStop(t *testing.T) {
	for _, graceful := range []bool{false, true} {
		s := open(t, Options{})
		o := local("192.0.2.2")
		o.Graceful, o.RestartTime = graceful, 10
		x := connect(t, s, "127.0.0.2", o)
		s.Close()
		if n := x.ended(); (n == nil) != graceful || n != nil && n.Subcode != bgp.CeaseShutdown {
			t.Errorf("graceful restart %t: got %v", graceful, n)
		}
	}
}

// A neighbour with a key connects with it only, on sockets of IPv4 and of both families.
func TestPasswords(t *testing.T) {
	if !kernelHasMD5(t) {
		t.Skip("the kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG)")
	}
	for _, listen := range []string{"127.0.0.1:0", ":0"} {
		t.Run(listen, func(t *testing.T) {
			s := open(t, Options{Listen: []string{listen},
				Passwords: map[netip.Prefix]string{netip.MustParsePrefix("127.0.0.8/29"): "right",
					netip.MustParsePrefix("127.0.0.10/32"): "its own",
					netip.MustParsePrefix("::1/128"):       "right of IPv6"}})
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			try := func(from, key string, wait time.Duration) error {
				d := keyedDialer(from, key, wait)
				to := "127.0.0.1"
				if strings.Contains(from, ":") {
					to = "::1"
				}
				c, err := d.Dial("tcp", net.JoinHostPort(to, port))
				if err == nil {
					_ = c.Close()
				}
				return err
			}
			if err := try("127.0.0.9", "right", patience); err != nil {
				t.Errorf("the right key: %v", err)
			}
			if err := try("127.0.0.9", "wrong", 300*time.Millisecond); err == nil {
				t.Error("a wrong key connects")
			}
			if err := try("127.0.0.9", "", 300*time.Millisecond); err == nil {
				t.Error("no key connects")
			}
			if err := try("127.0.0.2", "", patience); err != nil {
				t.Errorf("a neighbour without a key: %v", err)
			}
			if err := try("127.0.0.10", "its own", patience); err != nil {
				t.Errorf("the key of the longer prefix: %v", err)
			}
			if err := try("127.0.0.10", "right", 300*time.Millisecond); err == nil {
				t.Error("the key of the shorter prefix connects")
			}
			if listen != ":0" {
				return
			}
			if err := try("::1", "right of IPv6", patience); err != nil {
				t.Errorf("the key of an IPv6 neighbour: %v", err)
			}
			if err := try("::1", "right", 300*time.Millisecond); err == nil {
				t.Error("a wrong key of an IPv6 neighbour connects")
			}
		})
	}
}
