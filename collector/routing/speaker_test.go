package routing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// speaker is a BGP router for tests.
type speaker struct {
	t         *testing.T
	conn      net.Conn
	open      bgp.Open // what the station answered
	mu        sync.Mutex
	got       *bgp.Notification
	refreshes atomic.Int64  // ROUTE-REFRESH messages that came
	done      chan struct{} // the station has closed the connection
}

// local is an OPEN with that identifier, for all families.
func local(id string) bgp.Open {
	o := bgp.Open{AS: 65001, HoldTime: 90, ID: binary.BigEndian.Uint32(netip.MustParseAddr(id).AsSlice())}
	o.Families[route.Family{}.Index()], o.Families[route.Family{V6: true}.Index()] = true, true
	o.MultiProtocol, o.Refresh, o.Extended = true, true, true
	return o
}

// connect makes a session from a loopback address.
func connect(t *testing.T, s *Station, from string, o bgp.Open) *speaker {
	t.Helper()
	x := dial(t, s, from)
	if err := x.start(o); err != nil {
		t.Fatalf("%s: no session: %v", from, err)
	}
	return x
}

func dial(t *testing.T, s *Station, from string) *speaker {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.Dial("tcp", s.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &speaker{t: t, conn: c, done: make(chan struct{})}
}

// start exchanges OPENs and then reads what comes, in the background.
func (x *speaker) start(o bgp.Open) error {
	x.send(o.Append(nil))
	kind, body, err := x.message()
	if err != nil {
		return err
	}
	if kind == bgp.NotificationType {
		return bgp.ParseNotification(body)
	}
	if x.open, err = bgp.ParseOpen(body); err != nil {
		return err
	}
	if kind, _, err = x.message(); err != nil || kind != bgp.KeepaliveType {
		return fmt.Errorf("message %d in place of KEEPALIVE: %w", kind, err)
	}
	x.send(bgp.AppendKeepalive(nil))
	go x.receive()
	return nil
}

func (x *speaker) receive() {
	defer close(x.done)
	for {
		kind, body, err := x.message()
		if err != nil {
			return
		}
		if kind == bgp.RefreshType {
			x.refreshes.Add(1)
		}
		if kind == bgp.NotificationType {
			x.mu.Lock()
			x.got = bgp.ParseNotification(body)
			x.mu.Unlock()
		}
	}
}

// ended waits until the station has closed the connection, and returns its NOTIFICATION, if one came.
func (x *speaker) ended() *bgp.Notification {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(patience):
		x.t.Fatal("the connection is still open")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.got
}

func (x *speaker) message() (bgp.Type, []byte, error) {
	head := make([]byte, bgp.HeaderBytes)
	if _, err := io.ReadFull(x.conn, head); err != nil {
		return 0, nil, err
	}
	length, kind, err := bgp.Header(head, true)
	if err != nil {
		return 0, nil, err
	}
	body := make([]byte, length-bgp.HeaderBytes)
	_, err = io.ReadFull(x.conn, body)
	return kind, body, err
}

func (x *speaker) send(b []byte) {
	x.t.Helper()
	if _, err := x.conn.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		x.t.Errorf("send: %v", err)
	}
}

// announce sends prefixes of IPv4 with an AS in the path and as MED.
func (x *speaker) announce(as uint32, prefixes ...string) {
	x.t.Helper()
	a := []byte{0x40, 1, 1, 0, 0x40, 2, 10, 2, 2, 0, 0, 0xfd, 0xe9}
	a = binary.BigEndian.AppendUint32(a, as)
	a = append(a, 0x40, 3, 4, 192, 0, 2, 1, 0x80, 4, 4)
	a = binary.BigEndian.AppendUint32(a, as)
	a = append(a, 0xc0, 8, 4, 0xfd, 0xe9, 0, 1)
	x.update(nil, a, nlri(prefixes))
}

func (x *speaker) withdraw(prefixes ...string) { x.update(nlri(prefixes), nil, nil) }

// complete sends an End-of-RIB of IPv4.
func (x *speaker) complete() { x.update(nil, nil, nil) }

func (x *speaker) update(withdrawn, attributes, announced []byte) {
	x.t.Helper()
	b := bgp.AppendHeader(nil, bgp.UpdateType, 4+len(withdrawn)+len(attributes)+len(announced))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(withdrawn))), withdrawn...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(attributes))), attributes...)
	x.send(append(b, announced...))
}

func nlri(prefixes []string) (b []byte) {
	for _, text := range prefixes {
		p := netip.MustParsePrefix(text)
		b = append(b, byte(p.Bits()))
		b = append(b, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	}
	return b
}

// open makes a station on a loopback port.
func open(t *testing.T, o Options) *Station {
	t.Helper()
	if o.Listen == nil {
		o.Listen = []string{"127.0.0.1:0"}
	}
	if o.Neighbors == nil {
		o.Neighbors = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if o.KeepStale == 0 {
		o.KeepStale = 24 * time.Hour
	}
	o.HoldTime, o.Log, o.RIB.MaxMemory = 90*time.Second, zap.NewNop(), 512<<20
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		s.Free()
	})
	return s
}

// eventually waits until f returns "".
func eventually(t *testing.T, f func() string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}

// lookup is the MED of the route of an exporter to an address; -1: there is none.
func lookup(s *Station, reader *rib.Reader, exporter, to string) int {
	router := s.RIB().RouterAt(flow.AddrFrom(netip.MustParseAddr(exporter)))
	if router == nil {
		return -1
	}
	table := router.Table(route.Unicast, 0)
	if table == nil {
		return -1
	}
	reader.Enter()
	defer reader.Leave()
	a := flow.AddrFrom(netip.MustParseAddr(to))
	x, found := reader.Lookup(table, &a, nil)
	if !found {
		return -1
	}
	med, _ := x.MED()
	return int(med)
}

// expect waits until the routes of an exporter are those.
func expect(t *testing.T, s *Station, reader *rib.Reader, exporter string, want map[string]int) {
	t.Helper()
	eventually(t, func() string {
		for to, med := range want {
			if got := lookup(s, reader, exporter, to); got != med {
				return fmt.Sprintf("%s to %s: route %d, want %d", exporter, to, got, med)
			}
		}
		return ""
	})
}
