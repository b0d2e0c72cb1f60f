package routing

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// heldConn is a connection that only knows whether it was closed.
type heldConn struct {
	net.Conn
	closed bool
}

func (c *heldConn) Close() error { c.closed = true; return nil }

func TestGate(t *testing.T) {
	const most, each = 4, 2
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	type step struct {
		enter       netip.Addr    // a new connection of this address, or
		established int           // the number of a connection that becomes a session, from 1, or
		leaves      int           // of one that ends, or
		wait        time.Duration // time that passes
	}
	enter := func(a netip.Addr) step { return step{enter: a} }
	for _, test := range []struct {
		name    string
		steps   []step
		closed  []int // connections that had to give way
		refused []int
	}{
		{"few", []step{enter(a), enter(a), enter(b), enter(b)}, nil, nil},
		{"half-open ones of one address", []step{enter(a), enter(a), enter(b), enter(a)}, []int{1}, nil},
		{"sessions of one address", []step{enter(a), enter(a), {established: 1}, {established: 2}, enter(b), enter(a)},
			nil, []int{4}},
		{"a session and a half-open one", []step{enter(a), enter(a), {established: 1}, enter(a)}, []int{2}, nil},
		{"half-open ones of all", []step{enter(a), enter(a), enter(b), enter(b), enter(c)}, []int{1}, nil},
		{"sessions of all", []step{enter(a), enter(a), enter(b), enter(b), {established: 1}, {established: 2},
			{established: 3}, {established: 4}, enter(c)}, nil, []int{5}},
		{"again and again", []step{enter(a), {leaves: 1}, enter(a), {leaves: 2}, enter(a)}, nil, []int{3}},
		{"again after a second", []step{enter(a), {leaves: 1}, enter(a), {leaves: 2}, {wait: time.Second}, enter(a)},
			nil, nil},
		{"a long session leaves at once", []step{enter(a), enter(a), {established: 1}, {established: 2},
			{wait: time.Minute}, {leaves: 1}, enter(a)}, nil, nil},
		{"one that was closed leaves once", []step{enter(a), enter(a), enter(a), {leaves: 1}, {wait: time.Second},
			{leaves: 1}, enter(a)}, []int{1, 2}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(most, each, time.Second)
				var conns []*heldConn
				var visits []*visit
				var refused, closed []int
				for _, s := range test.steps {
					switch {
					case s.enter.IsValid():
						time.Sleep(time.Millisecond) // so that one is the oldest
						conns = append(conns, &heldConn{})
						v := g.enter(conns[len(conns)-1], s.enter)
						visits = append(visits, v)
						if v == nil {
							refused = append(refused, len(visits))
						}
					case s.established > 0:
						g.established(visits[s.established-1])
					case s.leaves > 0:
						g.leave(visits[s.leaves-1])
					default:
						time.Sleep(s.wait)
						synctest.Wait()
					}
				}
				for i, c := range conns {
					if c.closed {
						closed = append(closed, i+1)
					}
				}
				if !slices.Equal(closed, test.closed) || !slices.Equal(refused, test.refused) {
					t.Errorf("closed %v and refused %v, want %v and %v", closed, refused, test.closed, test.refused)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
