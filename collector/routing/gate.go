package routing

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate bounds the connections of one protocol, in total and of each address. Where there are too many, the one closes
// that has waited longest to become a session: of the same address if that has too many, else of all. A new connection
// is refused if all others are sessions. It is safe for concurrent use.
type gate struct {
	most, each int
	// hold is for how long a connection counts at least. It bounds how often an address can try.
	hold time.Duration

	mu        sync.Mutex
	open      map[*visit]bool
	ofAddress map[netip.Addr]int
}

// visit is one connection of a gate.
type visit struct {
	conn    net.Conn
	address netip.Addr
	since   time.Time
	waits   bool // for the first messages
}

func newGate(most, each int, hold time.Duration) *gate {
	return &gate{most: most, each: each, hold: hold, open: map[*visit]bool{}, ofAddress: map[netip.Addr]int{}}
}

// enter returns the visit of a new connection; nil: there is no place for it.
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

// evict closes the connection that has waited longest, of those for which may returns true. It reports whether there
// was one.
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

// established says that the connection is a session.
func (g *gate) established(v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.waits = false
}

// leave ends a visit whose connection is closed.
func (g *gate) leave(v *visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.waits = false // no other connection takes its place before hold is over
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
