package routing

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate limits the connections of one protocol, in total and for each address. If there are too many, it closes the
// oldest connection that is not a session yet: one from the same address if that address has too many, else one from
// any address. If all others are sessions, the new connection is refused. It is safe for concurrent use.
type gate struct {
	most, each int // limits in total and for each address
	// hold is the minimum time for which a connection counts, even after it is closed. It limits how often an address
	// can try.
	hold time.Duration

	mu        sync.Mutex
	open      map[*visit]bool
	ofAddress map[netip.Addr]int
}

// visit is one connection that a gate counts.
type visit struct {
	conn    net.Conn
	address netip.Addr
	since   time.Time
	waits   bool // it is not a session yet and may be evicted
}

func newGate(most, each int, hold time.Duration) *gate {
	return &gate{most: most, each: each, hold: hold, open: map[*visit]bool{}, ofAddress: map[netip.Addr]int{}}
}

// enter counts a new connection. It returns nil if the connection must be refused.
func (g *gate) enter(c net.Conn, address netip.Addr) *visit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ofAddress[address] >= g.each && !g.evict(func(v *visit) bool { return v.address == address }) ||
		len(g.open) >= g.most && !g.evict(func(*visit) bool { return true }) {
		return nil
	}
	v := &visit{conn: c, address: address, since: time.Now(), waits: true}
	g.open[v] = true
	g.ofAddress[address]++
	return v
}

// evict closes the oldest connection that is not a session yet and for which may returns true. It reports whether there
// was one. mu is held.
func (g *gate) evict(may func(*visit) bool) bool {
	var oldest *visit
	for v := range g.open {
		if v.waits && may(v) && (oldest == nil || v.since.Before(oldest.since)) {
			oldest = v
		}
	}
	if oldest == nil {
		return false
	}
	_ = oldest.conn.Close()
	g.forget(oldest)
	return true
}

// established marks the connection as a session, which is not evicted.
func (g *gate) established(v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.waits = false
}

// leave stops counting a connection that is closed, once hold is over.
func (g *gate) leave(v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.waits = false // not evicted either: it counts until hold is over
	if rest := g.hold - time.Since(v.since); rest > 0 {
		time.AfterFunc(rest, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.forget(v)
		})
		return
	}
	g.forget(v)
}

// forget removes a visit. mu is held.
func (g *gate) forget(v *visit) {
	if !g.open[v] {
		return
	}
	delete(g.open, v)
	if g.ofAddress[v.address]--; g.ofAddress[v.address] <= 0 {
		delete(g.ofAddress, v.address)
	}
}
