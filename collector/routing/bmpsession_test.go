package routing

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// bmpSender is a router that sends BMP, for tests.
type bmpSender struct {
	t    *testing.T
	conn net.Conn
}

// monitoring makes a station for BMP.
func monitoring(t *testing.T, o BMPOptions) *Station {
	t.Helper()
	return monitoringFrom(t, Options{BMP: o})
}

func monitoringFrom(t *testing.T, all Options) *Station {
	t.Helper()
	o := &all.BMP
	if o.Listen == nil && o.Connect == nil {
		o.Listen = []string{"127.0.0.1:0"}
	}
	if o.Allowed == nil {
		o.Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	if o.KeepStale == 0 {
		o.KeepStale = 24 * time.Hour
	}
	if o.Quiet == 0 {
		o.Quiet = 24 * time.Hour
	}
	return open(t, all)
}

// report makes a BMP session from a loopback address.
func report(t *testing.T, s *Station, from, name string) *bmpSender {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.Dial("tcp", s.BMPAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	x := &bmpSender{t, c}
	x.initiation(name)
	return x
}

func (x *bmpSender) send(kind bmp.Type, parts ...[]byte) {
	x.t.Helper()
	if _, err := x.conn.Write(bmp.AppendMessage(nil, kind, parts...)); err != nil {
		x.t.Errorf("send: %v", err)
	}
}

func (x *bmpSender) initiation(name string) {
	x.t.Helper()
	x.send(bmp.Initiation, bmp.AppendText(bmp.AppendText(nil, 2, name), 1, "a test"))
}

// peer is the header of a peer; "" is the Loc-RIB of the router 192.0.2.2.
func peerOf(address string, flags uint8, rd route.RD) *bmp.Peer {
	p := &bmp.Peer{Type: bmp.LocRIBPeer, Flags: flags, RD: rd, AS: 65001, ID: 0xc0000202}
	if address != "" {
		p.Type, p.Address, p.ID = bmp.GlobalPeer, flow.AddrFrom(netip.MustParseAddr(address)), 0x0a000001
		if rd != 0 {
			p.Type = bmp.RDPeer
		}
	}
	return p
}

// up sends a Peer Up, whose OPEN has the router's identifier.
func (x *bmpSender) up(p *bmp.Peer, local, id string) {
	x.t.Helper()
	open := local4(id)
	x.send(bmp.PeerUp, p.Append(nil), bmp.AppendUp(nil, flow.AddrFrom(netip.MustParseAddr(local)), 179, 4000, open,
		open))
}

func local4(id string) []byte {
	o := bgp.Open{AS: 65001, HoldTime: 90, ID: binary.BigEndian.Uint32(netip.MustParseAddr(id).AsSlice())}
	return o.Append(nil)
}

// route announces prefixes of IPv4 with a MED and a local preference.
func (x *bmpSender) route(p *bmp.Peer, med, pref uint32, prefixes ...string) {
	x.t.Helper()
	a := []byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9, 0x40, 3, 4, 192, 0, 2, 1, 0x80, 4, 4}
	a = append(binary.BigEndian.AppendUint32(a, med), 0x40, 5, 4)
	a = binary.BigEndian.AppendUint32(a, pref)
	x.update(p, nil, a, nlri(prefixes))
}

func (x *bmpSender) withdraw(p *bmp.Peer, prefixes ...string) { x.update(p, nlri(prefixes), nil, nil) }

func (x *bmpSender) complete(p *bmp.Peer) { x.update(p, nil, nil, nil) }

func (x *bmpSender) update(p *bmp.Peer, withdrawn, attributes, announced []byte) {
	x.t.Helper()
	b := bgp.AppendHeader(nil, bgp.UpdateType, 4+len(withdrawn)+len(attributes)+len(announced))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(withdrawn))), withdrawn...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(attributes))), attributes...)
	x.send(bmp.RouteMonitoring, p.Append(nil), append(b, announced...))
}

func (x *bmpSender) down(p *bmp.Peer) { x.send(bmp.PeerDown, p.Append(nil), []byte{4}) }

// monitorIs waits until the only session is as it should be.
func monitorIs(t *testing.T, s *Station, is func(*BMPSession) bool) *BMPSession {
	t.Helper()
	var found *BMPSession
	eventually(t, func() string {
		all := s.Stats().BMP.Sessions
		if len(all) != 1 || !is(&all[0]) {
			return fmt.Sprintf("sessions %+v", all)
		}
		found = &all[0]
		return ""
	})
	return found
}

const (
	post = 0x40
	out  = 0x10
)

// A router's routes are found by the address of its session, its identifier, its own addresses and those of its peers.
func TestBMP(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	loc := peerOf("", 0, 0)
	x.up(loc, "0.0.0.0", "192.0.2.2")
	a := peerOf("10.0.0.1", post, 0)
	x.up(a, "10.0.0.2", "192.0.2.2")
	x.route(loc, 7, 100, "10.0.0.0/8", "11.0.0.0/8")
	for _, exporter := range []string{"127.0.0.2", "192.0.2.2", "10.0.0.2", "10.0.0.1"} {
		expect(t, s, reader, exporter, map[string]int{"10.1.2.3": 7, "11.1.2.3": 7, "12.0.0.1": -1})
	}
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": -1})
	x.withdraw(loc, "11.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": -1})
	x.send(bmp.StatisticsReport, loc.Append(nil), []byte{0, 0, 0, 1, 0, 8, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5})
	// A pre-policy table that the router does not send is not compared with ours.
	pre := peerOf("10.0.0.1", post, 0)
	x.send(bmp.StatisticsReport, pre.Append(nil), []byte{0, 0, 0, 1, 0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9})
	got := monitorIs(t, s, func(b *BMPSession) bool {
		return b.Reported[bmp.LocRIB] == 5 && b.Routes[bmp.LocRIB] == 1 && b.Reported[bmp.InPre] == 9
	})
	if got.Name != "router1" || got.Description != "a test" || got.Router != "192.0.2.2" || got.AS != 65001 ||
		!got.Up ||
		got.Peers != 2 || got.Messages[bmp.PeerUp] != 2 || got.Messages[bmp.RouteMonitoring] != 2 ||
		got.Reported[bmp.InPost] != -1 || got.Claimed[bmp.LocRIB] != 5 || got.Counted[bmp.LocRIB] != 1 ||
		got.Claimed[bmp.InPre] != -1 {
		t.Errorf("session %+v", got)
	}
	x.send(bmp.Termination, []byte{0, 1, 0, 2, 0, 0})
	got = monitorIs(t, s, func(b *BMPSession) bool { return !b.Up })
	if got.Why != "the router says: administratively closed" {
		t.Errorf("it ended because %q", got.Why)
	}
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7})
}

// The Loc-RIB answers before Adj-RIB-In after the policy, before it, and Adj-RIB-Out; a view that is not complete only
// when no other is.
func TestBMPViews(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	views := []*bmp.Peer{peerOf("10.0.0.1", out, 0), peerOf("10.0.0.1", 0, 0), peerOf("10.0.0.1", post, 0),
		peerOf("", 0, 0)}
	x.up(peerOf("10.0.0.1", 0, 0), "10.0.0.2", "192.0.2.2")
	x.up(views[3], "0.0.0.0", "192.0.2.2")
	for i, p := range views {
		x.route(p, uint32(10+i), 100, "10.0.0.0/8")
		x.complete(p)
		expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 10 + i})
	}
	x.down(views[3])
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 12})
	x.up(views[3], "0.0.0.0", "192.0.2.2")
	x.route(views[3], 20, 100, "11.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 12, "11.1.2.3": -1}) // it is on its way
	x.complete(views[3])
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": -1, "11.1.2.3": 20})
	x.down(views[3])
	x.down(views[0]) // all views of the peer
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": -1, "11.1.2.3": -1})
	eventually(t, func() string {
		if n := s.Stats().RIB.Routes; n != 0 {
			return fmt.Sprintf("%d routes are left", n)
		}
		return ""
	})
}

// Of several peers the best route counts, and the next one when its peer goes.
func TestBMPPeers(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	a, b := peerOf("10.0.0.1", post, 0), peerOf("10.0.0.2", post, 0)
	x.up(a, "10.0.0.9", "192.0.2.2")
	x.up(b, "10.0.0.9", "192.0.2.2")
	x.route(a, 1, 100, "10.0.0.0/8")
	x.route(b, 2, 200, "10.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 2})
	x.down(b)
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 1})
}

// Only the tables of routing.bmp.rib are kept.
func TestBMPOneView(t *testing.T) {
	s := monitoring(t, BMPOptions{Views: []bmp.View{bmp.InPre}})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	x.up(peerOf("10.0.0.1", 0, 0), "10.0.0.2", "192.0.2.2")
	x.route(peerOf("", 0, 0), 1, 100, "10.0.0.0/8")
	x.route(peerOf("10.0.0.1", post, 0), 2, 100, "10.0.0.0/8")
	x.route(peerOf("10.0.0.1", 0, 0), 3, 100, "10.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 3})
	monitorIs(t, s, func(b *BMPSession) bool {
		return b.Routes == [bmp.Views]int64{bmp.InPre: 1}
	})
}

// Routes of a peer in a VRF are in the table of its route distinguisher.
func TestBMPVRF(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	const rd = 65001<<32 | 7
	p := peerOf("", 0, rd)
	x.up(p, "0.0.0.0", "192.0.2.99") // the VRF has an identifier of its own
	x.up(peerOf("", 0, 0), "0.0.0.0", "192.0.2.2")
	x.route(p, 7, 100, "10.0.0.0/8")
	a := flow.AddrFrom(netip.MustParseAddr("10.1.2.3"))
	eventually(t, func() string {
		router := s.RIB().RouterAt(flow.AddrFrom(netip.MustParseAddr("192.0.2.2")))
		if router == nil || router.Name != "192.0.2.2" {
			return fmt.Sprintf("router %+v", router)
		}
		table := router.Table(route.VPN, rd)
		if table == nil {
			return "no table"
		}
		reader.Enter()
		defer reader.Leave()
		if _, found := reader.Lookup(table, &a, nil); !found || router.Table(route.Unicast, 0) != nil {
			return "no route, or a global one"
		}
		return ""
	})
}

// When a session ends its routes stay. After the next one those go that were not reported again: by End-of-RIB, or
// when the router is quiet, as many never send one; and peers that are no more.
func TestBMPStaleRoutes(t *testing.T) {
	for _, endOfRIB := range []bool{true, false} {
		t.Run(fmt.Sprint("End-of-RIB ", endOfRIB), func(t *testing.T) {
			o := BMPOptions{}
			if !endOfRIB {
				o.Quiet = 300 * time.Millisecond
			}
			s := monitoring(t, o)
			reader := s.RIB().NewReader()
			loc := peerOf("", 0, 0)
			x := report(t, s, "127.0.0.2", "router1")
			x.up(loc, "0.0.0.0", "192.0.2.2")
			x.route(loc, 7, 100, "10.0.0.0/8", "11.0.0.0/8")
			expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
			_ = x.conn.Close()
			monitorIs(t, s, func(b *BMPSession) bool {
				return !b.Up &&
					b.Why == "the router has closed the connection"
			})
			expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
			if !s.RIB().Router("192.0.2.2", false).Stale() {
				t.Error("the router is not stale")
			}
			x = report(t, s, "127.0.0.2", "router1")
			x.up(loc, "0.0.0.0", "192.0.2.2")
			x.route(loc, 8, 100, "10.0.0.0/8")
			expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 8})
			if endOfRIB {
				expect(t, s, reader, "192.0.2.2", map[string]int{"11.1.2.3": 7})
				x.complete(loc)
			}
			expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 8, "11.1.2.3": -1})
			monitorIs(t, s, func(b *BMPSession) bool { return b.Up && b.Sessions == 2 })
		})
	}
}

// After KeepStale the routes of a session that ended are gone, and the router with them.
func TestBMPStaleRoutesGo(t *testing.T) {
	s := monitoring(t, BMPOptions{KeepStale: time.Millisecond, Quiet: time.Millisecond})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	x.up(peerOf("", 0, 0), "0.0.0.0", "192.0.2.2")
	x.route(peerOf("", 0, 0), 7, 100, "10.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7})
	_ = x.conn.Close()
	eventually(t, func() string {
		if st := s.Stats(); len(st.BMP.Sessions) != 0 || st.RIB.Routes != 0 || len(s.RIB().Routers()) != 0 {
			return fmt.Sprintf("left: %+v, %d routers", st, len(s.RIB().Routers()))
		}
		return ""
	})
}

// A router that connects again takes the place of its session; one of another name at the same address has its own.
func TestBMPReplacement(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	old := report(t, s, "127.0.0.2", "router1")
	monitorIs(t, s, func(b *BMPSession) bool { return b.Up })
	report(t, s, "127.0.0.2", "router1")
	_ = old.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := old.conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the old connection is open: %v", err)
	}
	monitorIs(t, s, func(b *BMPSession) bool { return b.Up && b.Sessions == 2 })
	report(t, s, "127.0.0.2", "router2")
	eventually(t, func() string {
		if all := s.Stats().BMP.Sessions; len(all) != 2 || !all[0].Up || !all[1].Up {
			return fmt.Sprintf("sessions %+v", all)
		}
		return ""
	})
}

// A BGP session of the router comes before BMP, once it has announced all.
func TestBMPBesideBGP(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	x.up(peerOf("", 0, 0), "0.0.0.0", "192.0.2.2")
	x.route(peerOf("", 0, 0), 7, 100, "10.0.0.0/8", "11.0.0.0/8")
	x.complete(peerOf("", 0, 0))
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7})
	b := connect(t, s, "127.0.0.9", local("192.0.2.2"))
	b.announce(9, "10.0.0.0/8")
	b.complete()
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 9, "11.1.2.3": -1})
	_ = b.conn.Close() // BMP is up to date, the BGP session's routes are of before
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.1.2.3": 7, "11.1.2.3": 7})
}

// Nonsense ends the session where nobody knows where the next message begins, else it costs the message.
func TestBMPMalformed(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	reader := s.RIB().NewReader()
	x := report(t, s, "127.0.0.2", "router1")
	loc := peerOf("", 0, 0)
	x.send(bmp.RouteMonitoring, make([]byte, 5))                                  // no header
	x.send(bmp.PeerUp, loc.Append(nil), make([]byte, 3))                          // no OPENs
	x.send(bmp.RouteMonitoring, loc.Append(nil), make([]byte, 7))                 // no UPDATE
	x.send(bmp.Type(99), make([]byte, 7))                                         // of the future
	x.send(bmp.RouteMirroring, loc.Append(nil), []byte{0, 1, 0, 2, 0, 0})         // passed over
	x.send(bmp.StatisticsReport, loc.Append(nil), []byte{0, 0, 0, 1, 0, 8, 0, 8}) // cut short
	x.route(loc, 7, 100, "10.0.0.0/8")
	expect(t, s, reader, "192.0.2.2", map[string]int{"10.1.2.3": 7})
	got := monitorIs(t, s, func(b *BMPSession) bool { return b.Routes[bmp.LocRIB] == 1 })
	if !got.Up || got.Unreadable != 2 || got.BadOpens != 1 || got.Messages[bmp.Types] != 1 {
		t.Errorf("session %+v", got)
	}
	if _, err := x.conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	got = monitorIs(t, s, func(b *BMPSession) bool { return !b.Up })
	if got.Why != "not a BMP message: version 71 instead of 3" {
		t.Errorf("it ended because %q", got.Why)
	}
}

// Nobody may connect who is not allowed, and what is no BMP is no session.
func TestBMPRefusals(t *testing.T) {
	s := monitoring(t, BMPOptions{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.8/29")}})
	for from, bytes := range map[string]string{"127.0.0.2": "\x03\x00\x00\x00\x06\x04",
		"127.0.0.9": "GET / HTTP/1.1\r\n\r\n"} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
		c, err := dialer.Dial("tcp", s.BMPAddresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(bytes))
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection is open", from)
		}
		_ = c.Close()
	}
	eventually(t, func() string {
		if b := s.Stats().BMP; b.Refused != 1 || b.Failed != 1 || len(b.Sessions) != 0 {
			return fmt.Sprintf("%+v", b)
		}
		return ""
	})
}

// The collector connects to routers that listen, and connects again.
func TestBMPConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.7:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := monitoring(t, BMPOptions{Connect: []string{l.Addr().String()}, Retry: time.Millisecond})
	reader := s.RIB().NewReader()
	for i := range 2 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		x := &bmpSender{t, c}
		x.initiation("router7")
		x.up(peerOf("", 0, 0), "0.0.0.0", "192.0.2.2")
		x.route(peerOf("", 0, 0), uint32(i), 100, "10.0.0.0/8")
		expect(t, s, reader, "127.0.0.7", map[string]int{"10.1.2.3": i})
		_ = c.Close()
	}
}
