package routing

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Routers that may connect can be hostile too, or broken. Each of these tests has one that does too much, beside one
// that behaves.

// withoutHold lets tests connect as often as they like.
func withoutHold(s *Station) *Station {
	for _, g := range []*gate{s.bgpGate, s.bmpGate} {
		g.mu.Lock()
		g.hold = 0
		g.mu.Unlock()
	}
	return s
}

// Connections that never say anything keep nobody out, whether from the same address or from another one.
func TestHostile_halfOpen(t *testing.T) {
	s := withoutHold(monitoringFrom(t, Options{}))
	for range 2 * maxOfAddress {
		dial(t, s, "127.0.0.2")
		dialBMP(t, s, "127.0.0.2")
	}
	good := connect(t, s, "127.0.0.3", local("192.0.2.3"))
	good.announce(7, "10.0.0.0/8")
	same := connect(t, s, "127.0.0.2", local("192.0.2.7"))
	same.announce(8, "11.0.0.0/8")
	report(t, s, "127.0.0.4", "good").route(peerOf("", 0, 0), 9, 100, "12.0.0.0/8")
	reader := s.RIB().NewReader()
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})
	expect(t, s, reader, "127.0.0.2", map[string]int{"11.1.2.3": 8})
	expect(t, s, reader, "127.0.0.4", map[string]int{"12.1.2.3": 9})
	for name, g := range map[string]*gate{"BGP": s.bgpGate, "BMP": s.bmpGate} {
		g.mu.Lock()
		if n := g.ofAddress[netip.MustParseAddr("127.0.0.2")]; n > maxOfAddress {
			t.Errorf("%s: %d connections of one address", name, n)
		}
		g.mu.Unlock()
	}
}

// A neighbour that sends a byte now and then, and no message, ends as one that sends nothing does.
func TestHostile_slow(t *testing.T) {
	s := open(t, Options{})
	o := local("192.0.2.2")
	o.HoldTime = 3
	x := connect(t, s, "127.0.0.2", o)
	keepalive := bgp.AppendKeepalive(nil)
	for i := range len(keepalive) - 1 {
		if _, err := x.conn.Write(keepalive[i : i+1]); err != nil {
			break
		}
		select {
		case <-x.done:
		case <-time.After(300 * time.Millisecond):
		}
	}
	if n := x.ended(); n == nil || n.Code != bgp.HoldExpired {
		t.Errorf("got %v", n)
	}
}

// hasEnded waits until the writer has seen the end of a session. The next one must not come before, or it is refused.
func hasEnded(t *testing.T, s *Station, ended func() bool) {
	t.Helper()
	eventually(t, func() string {
		is := false
		if s.run(func() { is = ended() }); !is {
			return "the session has not ended"
		}
		return ""
	})
}

// Ever new BGP identifiers of one address take the place of those of before, and of nobody else's.
func TestHostile_identifiers(t *testing.T) {
	s := withoutHold(open(t, Options{}))
	reader := s.RIB().NewReader()
	good := connect(t, s, "127.0.0.3", local("192.0.2.3"))
	good.announce(7, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})
	for i := range 2*maxOfAddress + 1 {
		o := local(fmt.Sprintf("198.51.100.%d", i+1))
		x := connect(t, s, "127.0.0.2", o)
		x.announce(8, fmt.Sprintf("11.%d.0.0/16", i))
		_ = x.conn.Close()
		key := peerKey{netip.MustParseAddr("127.0.0.2"), o.ID}
		hasEnded(t, s, func() bool { p := s.peers[key]; return p != nil && p.session == nil })
	}
	eventually(t, func() string {
		st := s.Stats()
		if n := len(st.Sessions); n > maxOfAddress+1 || st.RIB.Routes > maxOfAddress+1 ||
			len(s.RIB().Routers()) > maxOfAddress+1 {
			return fmt.Sprintf("%d neighbours, %d routers, %d routes", n, len(s.RIB().Routers()), st.RIB.Routes)
		}
		return ""
	})
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})

	// Sessions that stay are not closed for new ones.
	for i := range maxOfAddress {
		connect(t, s, "127.0.0.4", local(fmt.Sprintf("198.51.100.%d", i+1)))
	}
	eventually(t, func() string { // one that is no session yet would give way
		up := 0
		for _, x := range s.Stats().Sessions {
			if x.Up {
				up++
			}
		}
		if up != maxOfAddress+1 {
			return fmt.Sprint(up, " sessions")
		}
		return ""
	})
	x := dial(t, s, "127.0.0.4")
	go x.receive()
	if n := x.ended(); n == nil || n.Code != bgp.Cease || n.Subcode != bgp.CeaseNoResources {
		t.Errorf("one too many: %v", n)
	}
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})
}

// So it is with names of routers that send BMP.
func TestHostile_names(t *testing.T) {
	s := withoutHold(monitoring(t, BMPOptions{}))
	reader := s.RIB().NewReader()
	report(t, s, "127.0.0.3", "good").route(peerOf("", 0, 0), 7, 100, "10.0.0.0/8")
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})
	for i := range 2*maxOfAddress + 1 {
		x := report(t, s, "127.0.0.2", fmt.Sprint("router ", i))
		x.route(peerOf("", 0, 0), 8, 100, fmt.Sprintf("11.%d.0.0/16", i))
		_ = x.conn.Close()
		key := bmpRouterKey{netip.MustParseAddr("127.0.0.2"), fmt.Sprint("router ", i)}
		hasEnded(t, s, func() bool { m := s.bmpRouters[key]; return m != nil && m.session == nil })
	}
	eventually(t, func() string {
		st := s.Stats()
		if n := len(st.BMP.Sessions); n > maxOfAddress+1 || st.RIB.Routes > maxOfAddress+1 {
			return fmt.Sprintf("%d routers, %d routes", n, st.RIB.Routes)
		}
		return ""
	})
	expect(t, s, reader, "127.0.0.3", map[string]int{"10.1.2.3": 7})
}

// While the writer is busy all sessions together have a bounded number of batches, each of bounded size.
func TestHostile_memory(t *testing.T) {
	s := open(t, Options{})
	begun, proceed := make(chan struct{}), make(chan struct{})
	const sessions = maxBatches + 16
	var all []*speaker
	for i := range sessions {
		all = append(all, connect(t, s, fmt.Sprintf("127.0.1.%d", i/10+1), local(fmt.Sprintf("192.0.2.%d", i+1))))
	}
	eventually(t, func() string {
		if n := len(s.Stats().Sessions); n != sessions {
			return fmt.Sprint(n, " sessions")
		}
		return ""
	})
	go s.run(func() {
		close(begun)
		<-proceed
	})
	<-begun
	defer close(proceed)
	before := heap()
	const each = 60_000 // bytes of attributes of a message
	for i, x := range all {
		go func() {
			a := []byte{0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 1, 0xd0, 8, each >> 8, each & 0xff}
			b := bgp.AppendHeader(nil, bgp.UpdateType, 4+len(a)+each+2)
			b = append(binary.BigEndian.AppendUint16(append(b, 0, 0), uint16(len(a)+each)), a...)
			b = append(append(b, make([]byte, each)...), 8, byte(i))
			for n := uint32(0); ; n++ { // different ones
				binary.BigEndian.PutUint32(b[len(b)-8:], n)
				if _, err := x.conn.Write(b); err != nil {
					return
				}
			}
		}()
	}
	eventually(t, func() string { // until nothing more is taken
		if n := maxBatches - len(s.batches.taken); n > 0 {
			return fmt.Sprint(n, " batches are free")
		}
		return ""
	})
	const most = 40 << 20 // of it read buffers 5 MiB, batches up to 24 MiB
	if more := heap() - before; more > most {
		t.Errorf("%d MiB for %d sessions, want %d MiB at most", more>>20, sessions, most>>20)
	}
	for _, x := range all {
		_ = x.conn.Close()
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Whatever comes again and again is not a line of the log each time.
func TestHostile_log(t *testing.T) {
	core, lines := observer.New(zapcore.InfoLevel)
	s, err := Open(Options{Listen: []string{"127.0.0.1:0"}, Neighbors: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8")}, Log: zap.New(core), HoldTime: 90 * time.Second,
		RIB: rib.Options{MaxMemory: 512 << 20}, BMP: BMPOptions{Listen: []string{"127.0.0.1:0"},
			Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, KeepStale: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	defer s.Close()
	withoutHold(s)
	x := report(t, s, "127.0.0.2", "flapping")
	const times = 3 * linesAMinute
	for range times {
		x.up(peerOf("192.0.2.9", 0, 0), "192.0.2.1", "192.0.2.2")
		x.down(peerOf("192.0.2.9", 0, 0))
	}
	for range times { // garbage, which is no session
		c := dial(t, s, "127.0.0.2")
		_, _ = c.conn.Write([]byte(strings.Repeat("x", 100)))
		go c.receive()
		c.ended()
	}
	eventually(t, func() string {
		st := s.Stats()
		if len(st.BMP.Sessions) != 1 || st.BMP.Sessions[0].Messages[bmp.PeerDown] != times || st.Failed != times {
			return fmt.Sprintf("%+v", st)
		}
		return ""
	})
	counts := map[string]int{}
	for _, e := range lines.All() {
		counts[e.Message]++
	}
	for _, text := range []string{"a BGP peer of a router is down", "a BGP connection did not become a session"} {
		if n := counts[text]; n == 0 || n > 2*linesAMinute { // a minute may end in between
			t.Errorf("%q: %d lines", text, n)
		}
	}
}

// A router cannot report peers without end, on one connection or on many.
func TestHostile_peers(t *testing.T) {
	s := monitoring(t, BMPOptions{})
	x := report(t, s, "127.0.0.2", "many peers")
	var all []byte
	for i := range maxPeers + 10 {
		p := bmp.Peer{Type: bmp.GlobalPeer, AS: 65001, Address: flow.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		open := local4("192.0.2.2")
		all = bmp.AppendMessage(all, bmp.PeerUp, p.Append(nil), bmp.AppendUp(nil, p.Address, 179, 4000, open, open))
	}
	if _, err := x.conn.Write(all); err != nil {
		t.Fatal(err)
	}
	m := monitorIs(t, s, func(m *BMPSession) bool { return m.Messages[bmp.PeerUp] == maxPeers+10 && m.Beyond == 10 })
	if m.Peers != maxPeers || s.bmp.peers.Load() != maxPeers {
		t.Errorf("%d peers, %d are counted", m.Peers, s.bmp.peers.Load())
	}
	_ = x.conn.Close()
	eventually(t, func() string {
		if n := s.bmp.peers.Load(); n != 0 {
			return fmt.Sprint(n, " peers are counted")
		}
		return ""
	})
}

// A file may have as many peers as it likes, each with long attributes.
func TestHostile_file(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.mrt")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	peers, prefixes := 1000, 40
	if raced {
		prefixes = 4
	}
	var all []mrt.Peer
	for i := range uint32(peers) {
		all = append(all, mrt.Peer{ID: i + 1, Address: flow.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), AS: 1})
	}
	w, err := mrt.NewWriter(out, time.Unix(1, 0), 1, "", all)
	if err != nil {
		t.Fatal(err)
	}
	for n := range prefixes {
		var entries []mrt.Entry
		for i := range peers {
			a := &route.Attributes{NextHop: flow.AddrFrom4([4]byte{192, 0, 2, 1})}
			for c := range uint32(500) { // 2 kB
				a.Communities = append(a.Communities, c<<16|uint32(i))
			}
			entries = append(entries, mrt.Entry{Peer: i, Attributes: a})
		}
		p := route.PrefixFrom(netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", n)))
		if err := w.Write(route.Unicast, 0, p, entries); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{MRT: []MRTFile{{Name: "many", File: path}}})
	most, looks := int64(0), 0
	before := heap()
	eventually(t, func() string {
		if looks++; looks%50 == 0 {
			most = max(most, heap()-before)
		}
		st := s.Stats().MRT[0]
		if st.Loaded.IsZero() || st.Peers != peers || st.Routes != uint64(peers*prefixes) {
			return fmt.Sprintf("%+v", st)
		}
		return ""
	})
	if most > 3*maxPending {
		t.Errorf("it took %d MiB", most>>20)
	}
}

func dialBMP(t *testing.T, s *Station, from string) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.Dial("tcp", s.BMPAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
}
