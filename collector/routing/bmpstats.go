package routing

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
)

// BMPSession is what is known of a router's BMP session, or of the one that it had last.
type BMPSession struct {
	Address     netip.Addr
	Name        string // sysName
	Description string
	Router      string // its name in the routing table; "" until it has routes
	AS          uint32
	Up          bool
	Since       time.Time // the session began, or ended
	Until       time.Time // the routes of a session that ended go
	Why         string    // it ended
	Sessions    uint64    // so far
	Peers       int       // that are up
	Messages    [bmp.Types + 1]uint64
	Routes      [bmp.Views]int64 // by view
	// Reported is how many routes the router says that it has; -1: it says nothing of the view.
	Reported   [bmp.Views]int64
	Reasons    [bgp.Reasons]uint64 // what was wrong with UPDATEs
	Unreadable uint64              // messages
	BadOpens   uint64              // of Peer Ups
	Beyond     uint64              // messages and routes of peers beyond the bounds
	Refused    uint64              // routes that did not fit in the table
	Undecoded  uint64
}

// add adds a session's counts.
func (b *BMPSession) add(x *monitor) {
	for i := range x.messages {
		b.Messages[i] += x.messages[i].Load()
	}
	for i := range x.reasons {
		b.Reasons[i] += x.reasons[i].Load()
	}
	b.Unreadable += x.unreadable.Load()
	b.BadOpens += x.badOpens.Load()
	b.Beyond += x.beyond.Load()
}

// show makes what Stats returns.
func (m *monitored) show() {
	b := m.before
	b.Address, b.Name, b.Description, b.Router, b.AS = m.key.address, m.key.name, m.about.SysDescr, m.router, m.as
	b.Up, b.Since, b.Until, b.Why, b.Sessions = m.session != nil, m.since, m.until, m.why, m.count
	b.Peers, b.Refused, b.Undecoded = len(m.up), m.refused, m.unread
	if m.session != nil {
		b.add(m.session)
		b.Until, b.Why = time.Time{}, ""
	} else {
		b.Peers = 0
	}
	b.Beyond += m.beyond
	for key, t := range m.tables {
		for i := range route.Families {
			b.Routes[key.view] += t.source.Routes(route.FamilyAt(i))
		}
	}
	for i := range b.Reported {
		b.Reported[i] = -1
	}
	for key, n := range m.reported {
		b.Reported[key.view] = max(b.Reported[key.view], 0) + int64(n)
	}
	m.shown.Store(&b)
}

// bmpCounts are what a station counts of BMP.
type bmpCounts struct {
	view    atomic.Pointer[[]*monitored]
	open    atomic.Int64
	refused atomic.Uint64
	failed  atomic.Uint64
}

// BMPStats are what a station counts of BMP.
type BMPStats struct {
	Refused  uint64 // connections of addresses that may not connect
	Failed   uint64 // connections that did not become a session
	Sessions []BMPSession
}

func (c *bmpCounts) stats() BMPStats {
	all := BMPStats{Refused: c.refused.Load(), Failed: c.failed.Load()}
	for _, m := range *c.view.Load() {
		if x := m.shown.Load(); x != nil {
			all.Sessions = append(all.Sessions, *x)
		}
	}
	return all
}
