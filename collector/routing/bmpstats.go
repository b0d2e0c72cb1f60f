package routing

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
)

// BMPSession describes the current BMP session of a router, or its last one if none is up. Counters cover all sessions
// since the collector started.
type BMPSession struct {
	Address     netip.Addr
	Name        string // sysName of the Initiation message
	Description string // sysDescr of the Initiation message
	Router      string // the router's name in the routing table; "" until it has routes
	AS          uint32
	Up          bool
	Since       time.Time // when the session came up, or went down
	Until       time.Time // when the routes of a session that is down will be removed; zero while it is up
	Why         string    // why the last session ended; "" while one is up
	Sessions    uint64    // number of sessions
	Peers       int       // BGP peers that are up
	Messages    [bmp.Types + 1]uint64
	Routes      [bmp.Views]int64    // routes in the table, by view
	Reported    [bmp.Views]int64    // routes that the router's statistics report, by view; -1: not reported
	Claimed     [bmp.Views]int64    // those of Reported whose peer sends the view at all; -1: there are none
	Counted     [bmp.Views]int64    // routes in the table of the peers of Claimed
	Settled     bool                // no peer is still sending its initial table
	Reasons     [bgp.Reasons]uint64 // malformed UPDATEs by reason
	Unreadable  uint64              // malformed messages
	BadOpens    uint64              // Peer Up messages with a malformed OPEN
	Beyond      uint64              // messages and routes of peers in excess of a limit
	Refused     uint64              // routes left out because a limit was reached
	LeftOut     uint64              // those of Refused that were not announced again
	Undecoded   uint64              // routes left out because their attributes cannot be decoded
	Restored    bool                // no session since the start: the routes are those of the last run
	Ends        []time.Time         // of sessions, the latest ones, the oldest first
}

// add adds the counters of a BMP connection.
func (b *BMPSession) add(x *bmpSession) {
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

// publish makes the description of the router's session that Stats returns.
func (m *bmpRouter) publish() {
	b := m.before
	b.Address, b.Name, b.Description, b.Router, b.AS = m.key.address, m.key.name, m.about.SysDescr, m.router, m.as
	b.Up, b.Since, b.Until, b.Why, b.Sessions = m.session != nil, m.since, m.until, m.why, m.count
	b.Peers, b.Refused, b.Undecoded = len(m.up), m.refused, m.undecoded
	if m.session != nil {
		b.add(m.session)
		b.Until, b.Why = time.Time{}, ""
	} else {
		b.Peers = 0
	}
	b.Beyond += m.beyond
	b.LeftOut, b.Ends, b.Settled, b.Restored = m.left, slices.Clone(m.ends), true, m.count == 0
	for key, t := range m.tables {
		b.Settled = b.Settled && t.settled
		for i := range route.Families {
			b.Routes[key.view] += t.source.Routes(route.FamilyAt(i))
		}
	}
	for i := range b.Reported {
		b.Reported[i], b.Claimed[i] = -1, -1
	}
	for key, n := range m.reported {
		b.Reported[key.view] = max(b.Reported[key.view], 0) + int64(n)
		if t := m.tables[key]; t != nil {
			b.Claimed[key.view] = max(b.Claimed[key.view], 0) + int64(n)
			for i := range route.Families {
				b.Counted[key.view] += t.source.Routes(route.FamilyAt(i))
			}
		}
	}
	m.shown.Store(&b)
}

// bmpCounts holds the counters of BMP that several goroutines use.
type bmpCounts struct {
	shown   atomic.Pointer[[]*bmpRouter] // the routers that Stats reports
	peers   atomic.Int64                 // of all sessions
	refused atomic.Uint64
	failed  atomic.Uint64
}

// BMPStats is a snapshot of the counters of BMP.
type BMPStats struct {
	Refused  uint64 // connections from addresses that are not allowed
	Failed   uint64 // connections that did not become a session
	Sessions []BMPSession
}

func (c *bmpCounts) stats() BMPStats {
	all := BMPStats{Refused: c.refused.Load(), Failed: c.failed.Load()}
	for _, m := range *c.shown.Load() {
		if x := m.shown.Load(); x != nil {
			all.Sessions = append(all.Sessions, *x)
		}
	}
	return all
}
