// Package connlimit bounds the connections of an HTTP server, in total and of each peer, so that clients that hold
// connections open do not lock others out.
package connlimit

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Limit closes connections when there are too many: of the peer that has too many, or of all, the one that has waited
// longest for a request. Where none waits, the new connection is closed. It is safe for concurrent use.
type Limit struct {
	most, each int
	peer       func(net.Conn) (name string, trusted bool)

	mu     sync.Mutex
	open   map[net.Conn]connection
	byPeer map[string]int
}

type connection struct {
	state http.ConnState
	since time.Time
	peer  string
}

// New returns a limit of most connections in total, and of each for one peer. peer says who is at the other end;
// connections of a trusted peer have no limit. nil: a peer is an IP address, and none is trusted.
func New(most, each int, peer func(net.Conn) (name string, trusted bool)) *Limit {
	if peer == nil {
		peer = Address
	}
	return &Limit{most: most, each: each, peer: peer, open: map[net.Conn]connection{}, byPeer: map[string]int{}}
}

// Address is a peer by its IP address, not trusted.
func Address(c net.Conn) (name string, trusted bool) {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		host = c.RemoteAddr().String()
	}
	return host, false
}

// Changed is for http.Server.ConnState.
func (l *Limit) Changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		name, trusted := l.peer(conn)
		l.mu.Lock()
		defer l.mu.Unlock()
		if trusted || l.admit(conn, name) {
			l.open[conn] = connection{state, time.Now(), name}
			l.byPeer[name]++
		}
	case http.StateClosed, http.StateHijacked:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forget(conn)
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		if c, known := l.open[conn]; known {
			l.open[conn] = connection{state, time.Now(), c.peer}
		}
	}
}

// admit reports whether a new connection may stay. Where there are too many it closes the one that has waited longest
// for a request, or the new one if none waits.
func (l *Limit) admit(conn net.Conn, name string) bool {
	var victim net.Conn
	switch {
	case l.byPeer[name] >= l.each:
		victim = l.waiting(func(c connection) bool { return c.peer == name })
	case len(l.open) >= l.most:
		victim = l.waiting(func(connection) bool { return true })
	default:
		return true
	}
	if victim == nil {
		_ = conn.Close()
		return false
	}
	l.forget(victim)
	_ = victim.Close()
	return true
}

// waiting is the connection that has waited longest for a request, of those that among picks; nil where none waits.
func (l *Limit) waiting(among func(connection) bool) net.Conn {
	var oldest net.Conn
	for conn, c := range l.open {
		if c.state != http.StateActive && among(c) && (oldest == nil || c.since.Before(l.open[oldest].since)) {
			oldest = conn
		}
	}
	return oldest
}

func (l *Limit) forget(conn net.Conn) {
	c, known := l.open[conn]
	if !known {
		return
	}
	delete(l.open, conn)
	if l.byPeer[c.peer]--; l.byPeer[c.peer] == 0 {
		delete(l.byPeer, c.peer)
	}
}
