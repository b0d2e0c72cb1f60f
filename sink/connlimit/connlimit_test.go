package connlimit

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
)

// fakeConn is a connection of a peer.
type fakeConn struct {
	net.Conn
	peer   string
	closed bool
}

func (c *fakeConn) Close() error { c.closed = true; return nil }

func TestLimit(t *testing.T) {
	const most, each = 4, 2
	type step struct {
		peer  string // a new connection of this peer, or
		conn  int    // the number of a connection whose state changes
		state http.ConnState
	}
	opened := func(peer string) step { return step{peer: peer} }
	active := func(conn int) step { return step{conn: conn, state: http.StateActive} }
	idle := func(conn int) step { return step{conn: conn, state: http.StateIdle} }
	ended := func(conn int) step { return step{conn: conn, state: http.StateClosed} }
	for name, c := range map[string]struct {
		steps  []step
		closed []int // by number
	}{
		"few":                         {[]step{opened("a"), opened("a"), opened("b"), opened("b")}, nil},
		"one peer":                    {[]step{opened("a"), opened("a"), opened("a")}, []int{0}},
		"one peer, the first is busy": {[]step{opened("a"), active(0), opened("a"), opened("a")}, []int{1}},
		"one peer, all are busy":      {[]step{opened("a"), opened("a"), active(0), active(1), opened("a")}, []int{2}},
		"one peer, idle again": {[]step{opened("a"), opened("a"), active(0), active(1), idle(1), opened("a")},
			[]int{1}},
		"ended ones do not count": {[]step{opened("a"), opened("a"), ended(0), opened("a")}, nil},
		"ended twice":             {[]step{opened("a"), opened("a"), ended(0), ended(0), opened("a")}, nil},
		"closed and then ended": {[]step{opened("a"), opened("a"), opened("a"), ended(0), opened("a")},
			[]int{0, 1}},
		"all peers": {[]step{opened("a"), opened("b"), opened("c"), opened("d"), opened("e")},
			[]int{0}},
		"all peers are busy": {[]step{opened("a"), opened("b"), opened("c"), opened("d"), active(0),
			active(1), active(2), active(3), opened("e")}, []int{4}},
		"two peers hold all busy": {[]step{opened("a"), opened("a"), opened("b"), opened("b"), active(0), active(1),
			active(2), active(3), opened("e"), active(4), opened("f")}, []int{0, 2}},
		"no peer takes the place of one that has hardly more": {[]step{opened("a"), opened("a"), opened("b"),
			opened("e"), active(0), active(1), active(2), active(3), opened("b")}, []int{4}},
		"trusted ones give no place": {[]step{opened("own"), opened("own"), opened("own"), opened("a"), active(0),
			active(1), active(2), active(3), opened("b")}, []int{4}},
		"a trusted one is let in": {[]step{opened("a"), opened("b"), opened("c"), opened("d"), active(0),
			active(1), active(2), active(3), opened("own")}, nil},
		"trusted ones are not counted": {[]step{opened("own"), opened("own"), opened("own")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(most, each, func(c net.Conn) (string, bool) {
				peer := c.(*fakeConn).peer
				return peer, peer == "own"
			})
			var all []*fakeConn
			for _, s := range c.steps {
				if s.peer == "" {
					l.Changed(all[s.conn], s.state)
					continue
				}
				conn := &fakeConn{peer: s.peer}
				all = append(all, conn)
				l.Changed(conn, http.StateNew)
			}
			var closed []int
			for i, conn := range all {
				if conn.closed {
					closed = append(closed, i)
				}
			}
			if !slices.Equal(closed, c.closed) {
				t.Errorf("closed %v, want %v", closed, c.closed)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if name, trusted := Address(conn); name != "127.0.0.0/8" || trusted {
		t.Errorf("%q, trusted %t", name, trusted)
	}
}

// from is a connection from an address.
type from struct {
	net.Conn
	address string
}

func (c from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.address))
}

func TestAddress_hosts(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:1":          "192.0.2.1/32",
		"[::ffff:192.0.2.1]:1": "192.0.2.1/32",
		"127.0.0.1:1":          "127.0.0.0/8",
		"127.1.2.3:1":          "127.0.0.0/8",
		"[2001:db8::1]:1":      "2001:db8::/64",
		"[2001:db8::2:1]:1":    "2001:db8::/64",
		"[2001:db8:0:1::1]:1":  "2001:db8:0:1::/64",
		"[fe80::1%eth0]:1":     "fe80::/64",
		"[::1]:1":              "::/64",
	} {
		if name, trusted := Address(from{address: address}); name != want || trusted {
			t.Errorf("%s: %q, trusted %t, want %s", address, name, trusted, want)
		}
	}
}
