// Package connlimit bounds the connections of an HTTP server, in total and of each peer, so that clients that hold
// connections open do not lock others out.
package connlimit

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limit closes connections when there are too many: of the peer that has too many, or of all, the one that has waited
// longest for a request. Where none waits, a peer with fewer connections than another takes the place of the oldest of
// the one that has most, or else the new connection is closed. It is safe for concurrent use.
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
	peer  string // "" is trusted
}

// New returns a limit of most connections in total, and of each for one peer. peer says who is at the other end;
// connections of a trusted peer have no limit. nil: a peer is what Address returns, and none is trusted.
func New(most, each int, peer func(net.Conn) (name string, trusted bool)) *Limit {
	if peer == nil {
		peer = Address
	}
	return &Limit{most: most, each: each, peer: peer, open: map[net.Conn]connection{}, byPeer: map[string]int{}}
}

// hostBits is the length of the prefixes of IPv6 that are one peer: each host of a link can have any address of them.
// In 127.0.0.0/8, which is one host too, a peer is a prefix of loopbackBits.
const (
	hostBits     = 64
	loopbackBits = 8
)

// Address is a peer by its IP address, not trusted. Addresses that one host can have as many of as it likes are one
// peer.
func Address(c net.Conn) (name string, trusted bool) {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String(), false
	}
	return Host(from.Addr()).String(), false
}

// Host is the addresses that count as one client with an address. It is not valid for an address that is not.
func Host(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	switch {
	case address.IsLoopback() && address.Is4():
		bits = loopbackBits
	case address.Is6():
		bits = hostBits
	}
	host, _ := address.Prefix(bits) // the address has that many bits
	return host
}

// Changed is for http.Server.ConnState.
func (l *Limit) Changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		name, trusted := l.peer(conn)
		l.mu.Lock()
		defer l.mu.Unlock()
		if trusted {
			name = ""
		}
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

// admit reports whether a new connection may stay. Where there are too many it closes one that gives way, or the new
// one if none does.
func (l *Limit) admit(conn net.Conn, name string) bool {
	var victim net.Conn
	switch {
	case l.byPeer[name] >= l.each:
		victim = l.waiting(func(c connection) bool { return c.peer == name })
	case len(l.open) >= l.most:
		if victim = l.waiting(anybody); victim == nil {
			victim = l.ofLargest(name)
		}
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

func anybody(connection) bool { return true }

// waiting is the connection that has waited longest for a request, of those that among picks; nil where none waits.
func (l *Limit) waiting(among func(connection) bool) net.Conn {
	return l.oldest(func(c connection) bool { return c.state != http.StateActive && among(c) })
}

// ofLargest is the oldest connection of the peer that has most of them; nil where that peer has not even two more than
// the one that asks for a place.
func (l *Limit) ofLargest(name string) net.Conn {
	largest, most := "", l.byPeer[name]+1
	for peer, n := range l.byPeer {
		if peer != "" && n > most {
			largest, most = peer, n
		}
	}
	return l.oldest(func(c connection) bool { return c.peer == largest && largest != "" })
}

// oldest is the connection whose state is the oldest, of those that among picks; nil where there is none.
func (l *Limit) oldest(among func(connection) bool) net.Conn {
	var oldest net.Conn
	for conn, c := range l.open {
		if among(c) && (oldest == nil || c.since.Before(l.open[oldest].since)) {
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
