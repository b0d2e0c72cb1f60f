package routing

import (
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/route"
)

// refresh remembers when a router was last asked to send all its routes again, because some were left out.
type refresh struct {
	at   time.Time
	wait time.Duration // minimum time from at until the next request
	// awaited is the number of routes that must still come before a ROUTE-REFRESH counts as answered. 0: none is open.
	awaited int64
}

// The wait before the next request to a router starts at a minute and doubles up to an hour, because a router may have
// more routes than fit, and then sends them all for nothing.
const (
	refreshWait = time.Minute
	longRefresh = time.Hour
	// refreshAnswer is how long a router has for the answer. Some ignore ROUTE-REFRESH although they offer it (OpenBGPD
	// 7.7 does).
	refreshAnswer = 5 * time.Minute
)

// due reports whether the router may be asked now. If so, it records the request. first is the initial wait.
func (r *refresh) due(now time.Time, first time.Duration) bool {
	if now.Sub(r.at) < r.wait {
		return false
	}
	r.at, r.wait = now, min(max(2*r.wait, first), longRefresh)
	return true
}

// came notes routes that may be the answer to a request.
func (r *refresh) came(b *route.Batch) {
	for i := range b.Changes {
		if r.awaited > 0 && b.Changes[i].Bundle != route.Withdrawn {
			r.awaited--
		}
	}
}

// askAgain asks routers to send all their routes again if some were left out and the table has room now. For BGP it
// sends ROUTE-REFRESH (RFC 2918). BMP has no such message, nor have some BGP routers, and some do not answer it. It
// ends these sessions: the router sends all its routes in the next one, and the old routes stay until then. Only the
// writer's goroutine may call it.
func (s *Station) askAgain(now time.Time) {
	if s.recorded {
		return
	}
	for _, p := range s.peers {
		x := p.session
		switch {
		case x == nil:
		case p.again.awaited > 0 && now.Sub(p.again.at) >= s.refreshAnswer:
			s.endForAll(p, "the neighbor does not answer ROUTE-REFRESH: it shall send all routes in the next session")
		case p.left == 0 || !p.source.HasRoom() || !p.again.due(now, s.refreshWait):
		case !x.ours.Refresh:
			s.endForAll(p,
				"there is room for the routes that were left out: the neighbor, which has no ROUTE-REFRESH, "+
					"shall send all in the next session")
		default:
			s.Log.Info("there is room for routes again: the neighbor is asked to send all",
				zap.String("neighbor", p.key.address.String()), zap.Uint64("left out", p.left))
			p.left, p.again.awaited = 0, 1
			for i := range route.Families { // half of what it has: routes may have gone since
				p.again.awaited += p.source.Routes(route.FamilyAt(i)) / 2
			}
			go x.askAll()
		}
	}
	for key, m := range s.bmpRouters {
		x := m.session
		if m.left == 0 || x == nil || !s.rib.HasRoom() || !m.again.due(now, s.refreshWait) {
			continue
		}
		s.Log.Info("there is room for routes again: the BMP session is ended, so that the router sends all in the next",
			zap.String("router", key.address.String()), zap.Uint64("left out", m.left))
		m.left = 0
		go x.end("there is room for the routes that were left out: the router shall send all again")
	}
}

// endForAll ends a session, so that the neighbour sends all its routes in the next one.
func (s *Station) endForAll(p *peer, why string) {
	p.left, p.again.awaited = 0, 0
	x := p.session
	if x.graceful.Load() {
		go x.end(nil, why)
		return
	}
	go x.end(&bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseReset}, why)
}

// askAll asks the neighbour for the routes of all families. It may block if the neighbour does not read, so it runs in
// its own goroutine.
func (x *session) askAll() {
	var all []byte
	for i, has := range x.ours.Families {
		if has {
			all = bgp.AppendRefresh(all, route.FamilyAt(i))
		}
	}
	_ = x.write(all) // the reader sees the error too, and ends the session
}
