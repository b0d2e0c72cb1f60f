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
}

// The wait before the next request to a router starts at a minute and doubles up to an hour, because a router may have
// more routes than fit, and then sends them all for nothing.
const (
	refreshWait = time.Minute
	longRefresh = time.Hour
)

// due reports whether the router may be asked now. If so, it records the request. first is the initial wait.
func (r *refresh) due(now time.Time, first time.Duration) bool {
	if now.Sub(r.at) < r.wait {
		return false
	}
	r.at, r.wait = now, min(max(2*r.wait, first), longRefresh)
	return true
}

// askAgain asks routers to send all their routes again if some were left out and the table has room now. For BGP it
// sends ROUTE-REFRESH (RFC 2918). BMP has no such message, so it ends the session: the router sends all its routes in
// the next one, and the old routes stay until then. Only the writer's goroutine may call it.
func (s *Station) askAgain(now time.Time) {
	if s.recorded {
		return
	}
	for key, p := range s.peers {
		x := p.session
		if p.left == 0 || x == nil || !p.source.HasRoom() || !x.ours.Refresh || !p.again.due(now, s.refreshWait) {
			continue
		}
		s.Log.Info("there is room for routes again: the neighbor is asked to send all",
			zap.String("neighbor", key.address.String()), zap.Uint64("left out", p.left))
		p.left = 0
		go x.askAll()
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
