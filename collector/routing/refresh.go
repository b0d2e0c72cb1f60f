package routing

import (
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/route"
)

// refresh is when a router was asked for all its routes again, because some had not fitted in the table.
type refresh struct {
	at   time.Time
	wait time.Duration // until it may be asked again
}

// A router is asked again a minute after the latest time at the earliest. Each time the wait is twice as long, up to an
// hour: what does not fit again would be sent for nothing.
const (
	refreshWait = time.Minute
	longRefresh = time.Hour
)

// due reports whether the router may be asked now, and notes that it is.
func (r *refresh) due(now time.Time, first time.Duration) bool {
	if now.Sub(r.at) < r.wait {
		return false
	}
	r.at, r.wait = now, min(max(2*r.wait, first), longRefresh)
	return true
}

// askAgain asks routers for their routes whose routes were left out, once there is room: by a ROUTE-REFRESH (RFC 2918).
// BMP has no such message, so that its session is ended, and the router sends all in the next one; meanwhile its routes
// stay. It is the writer's.
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

// askAll asks the neighbour for the routes of all families. It does not hold the writer up: the neighbour may take no
// more bytes.
func (x *session) askAll() {
	var all []byte
	for i, has := range x.ours.Families {
		if has {
			all = bgp.AppendRefresh(all, afi(i), safi(i))
		}
	}
	_ = x.write(all) // the reader learns of an error too
}

func afi(i int) uint16 {
	n, _ := bgp.Identifiers(route.FamilyAt(i))
	return n
}

func safi(i int) uint8 {
	_, n := bgp.Identifiers(route.FamilyAt(i))
	return n
}
