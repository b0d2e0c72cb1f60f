package routing

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Ranks of route sources, best first: a BGP session with the router, then the BMP views, then MRT files (rankMRT).
const (
	rankBGP = 0
	rankBMP = 1 // plus the bmp.View
)

// bmpRouterKey identifies a router that sends BMP. Several routers behind a NAT can share an address.
type bmpRouterKey struct {
	address netip.Addr
	name    string // sysName of the Initiation message
}

// bmpRouter is a router that sends BMP, with its routes. Both outlive a session. Only the writer uses it, except for
// shown.
type bmpRouter struct {
	key    bmpRouterKey
	about  bmp.Information
	router string // name in the routing table; "" until it has routes
	as     uint32
	// ids are BGP identifiers of the router: first that of its global routing instance, then that of any instance.
	ids [2]uint32
	// addresses holds the router's own addresses in sessions with peers of the global instance, remote the peers'.
	addresses, remote map[flow.Addr]bool

	session  *bmpSession // nil: none is up
	history              // of all sessions
	tables   map[viewKey]*viewTable
	up       map[bmp.PeerKey]bool
	reported map[viewKey]uint64 // number of routes by the router's own statistics
	beyond   uint64             // routes left out because of maxViews
	before   BMPSession         // counters of earlier sessions

	shown atomic.Pointer[BMPSession]
}

type viewKey struct {
	peer bmp.PeerKey
	view bmp.View
}

// viewTable holds the routes of one view of a peer.
type viewTable struct {
	source  *rib.Source
	session *bmpSession // the session that announced routes last
	started time.Time   // when that session started to announce
	latest  time.Time   // when the last change came
	settled bool        // routes that this session did not announce again are removed
}

// bmpSessionUp makes a connection the session of its router and ends the session that it replaces. If there are too
// many routers the connection gets none.
func (s *Station) bmpSessionUp(x *bmpSession, info *bmp.Information) {
	key := bmpRouterKey{x.address, info.SysName}
	m := s.bmpRouters[key]
	if m == nil {
		if !makePlace(s.bmpRouters, maxBMPRouters, key.address, s.forgetBMPRouter) {
			return
		}
		m = s.newBMPRouter(key)
	}
	if old := m.session; old != nil {
		m.leave(old)
		go old.end("the router has connected again")
	}
	m.begin()
	m.session, m.about, m.up = x, *info, map[bmp.PeerKey]bool{}
	s.absent.came(key.address)
	x.router = m
	m.publish()
	s.Log.Info("a BMP session is up", zap.String("router", key.address.String()), zap.String("name", info.SysName),
		zap.String("description", info.SysDescr))
}

func (m *bmpRouter) standing() (netip.Addr, bool, time.Time) {
	return m.key.address, m.session != nil, m.since
}

// newBMPRouter adds a router without a session.
func (s *Station) newBMPRouter(key bmpRouterKey) *bmpRouter {
	m := &bmpRouter{key: key, tables: map[viewKey]*viewTable{}, reported: map[viewKey]uint64{},
		addresses: map[flow.Addr]bool{}, remote: map[flow.Addr]bool{}}
	s.bmpRouters[key] = m
	s.addressesChanged = true
	return m
}

// newTable adds the table of a view.
func (s *Station) newTable(m *bmpRouter, at viewKey) *viewTable {
	t := &viewTable{source: s.routerOf(m).NewSource(rankBMP + uint8(at.view))}
	t.source.Label = rib.Label{Protocol: "BMP", View: at.view.String(), Session: m.key.address}
	if peer := at.peer.Address; !peer.IsUnspecified() {
		t.source.Label.Peer = peer.Netip()
	}
	m.tables[at] = t
	s.views++
	s.addressesChanged = true
	return t
}

// describe processes an Initiation message that is not the session's first.
func (s *Station) describe(x *bmpSession, info *bmp.Information) {
	if m := x.router; m.session == x {
		m.about.SysDescr = cmp.Or(info.SysDescr, m.about.SysDescr)
	}
}

// leave ends the router's session and keeps its counters.
func (m *bmpRouter) leave(x *bmpSession) {
	m.before.add(x)
	m.session = nil
}

// bmpSessionDown processes the end of a session. The routes stay in use for BMP.KeepStale.
func (s *Station) bmpSessionDown(x *bmpSession) {
	m := x.router
	if m.session != x {
		return
	}
	m.leave(x)
	m.end(x.why, s.BMP.KeepStale)
	for _, t := range m.tables {
		t.source.End()
	}
	clear(m.reported)
	if s.stopping() {
		return
	}
	s.Log.Warn("a BMP session has ended", zap.String("router", m.key.address.String()),
		zap.String("name", m.key.name), zap.String("why", x.why), zap.Duration("its routes stay", s.BMP.KeepStale))
	m.publish()
}

// peerUp processes a Peer Up message. The router will announce the peer's routes again, so those of before are stale.
func (s *Station) peerUp(x *bmpSession, p *bmp.Peer, up *bmp.Up) {
	m := x.router
	if m.session != x {
		return
	}
	key := p.Key()
	m.up[key] = true
	m.learn(p, up)
	s.addressesChanged = true
	for v := range bmp.Views {
		if t := m.tables[viewKey{key, v}]; t != nil {
			t.begin(x)
		}
	}
}

// learn takes the router's BGP identifier, AS number and addresses from a Peer Up message.
func (m *bmpRouter) learn(p *bmp.Peer, up *bmp.Up) {
	id, as := up.Sent.ID, up.Sent.AS
	if p.Type == bmp.LocRIBPeer {
		id, as = cmp.Or(p.ID, id), cmp.Or(p.AS, as)
	}
	if m.ids[1] == 0 {
		m.ids[1] = id
	}
	if p.RD != 0 {
		return // identifiers and addresses within a VRF need not be unique
	}
	if m.ids[0] == 0 {
		m.ids[0] = id
	}
	if p.Type == bmp.LocRIBPeer || m.as == 0 {
		m.as = as
	}
	if !up.Local.IsUnspecified() && len(m.addresses) < maxPeers {
		m.addresses[up.Local] = true
	}
	if !p.Address.IsUnspecified() && len(m.remote) < maxPeers {
		m.remote[p.Address] = true
	}
}

// begin marks the table's routes as stale until the session announces them again.
func (t *viewTable) begin(x *bmpSession) {
	t.session, t.started, t.settled = x, time.Now(), false
	t.latest = t.started
	t.source.Begin()
}

// peerDown processes a Peer Down message: the router no longer uses the peer's routes, so they are removed.
func (s *Station) peerDown(x *bmpSession, p *bmp.Peer, why string) {
	m := x.router
	if m.session != x {
		return
	}
	key := p.Key()
	if m.up[key] {
		s.Log.Info("a BGP peer of a router is down", zap.String("router", m.key.address.String()),
			zap.Stringer("peer", p.Address), zap.String("why", why))
	}
	delete(m.up, key)
	for v := range bmp.Views {
		at := viewKey{key, v}
		if t := m.tables[at]; t != nil {
			s.removeView(m, at, t)
		}
		delete(m.reported, at)
	}
}

func (s *Station) removeView(m *bmpRouter, at viewKey, t *viewTable) {
	t.source.Remove()
	delete(m.tables, at)
	s.views--
	s.addressesChanged = true
}

// statistics keeps the route counts of a Statistics Report.
func (s *Station) statistics(x *bmpSession, p *bmp.Peer, all []bmp.Statistic) {
	m := x.router
	if m.session != x || !m.up[p.Key()] {
		return
	}
	for _, v := range all {
		if view, is := viewOf(v.Type); is && !v.HasFamily {
			m.reported[viewKey{p.Key(), view}] = v.Value
		}
	}
}

// viewOf is the view whose number of routes a statistic has.
func viewOf(statistic uint16) (bmp.View, bool) {
	switch statistic {
	case bmp.StatInPre:
		return bmp.InPre, true
	case bmp.StatLocRIB:
		return bmp.LocRIB, true
	case bmp.StatOutPre:
		return bmp.OutPre, true
	case bmp.StatOutPost:
		return bmp.OutPost, true
	}
	return 0, false
}

// applyView applies a batch of a view to the routing table.
func (s *Station) applyView(v *view, b *route.Batch) {
	defer s.batches.put(b)
	m, x := v.session.router, v.session
	if m.session != x {
		return // a newer session has replaced this one
	}
	key := viewKey{v.peer.Key(), v.peer.View()}
	t := m.tables[key]
	if t == nil {
		if s.views >= maxViews {
			m.beyond += uint64(len(b.Changes))
			return
		}
		if !m.up[key.peer] { // some routers send no Peer Up for the Loc-RIB
			m.up[key.peer] = true
			m.learn(&v.peer, &bmp.Up{})
		}
		t = s.newTable(m, key)
		t.source.Neighbor, t.source.Label.AS = v.peer.ID, v.peer.AS
	}
	if t.session != x {
		t.begin(x)
	}
	t.latest = time.Now()
	m.apply(s.Log, "router", m.key.address, t.source, b)
}

// routerOf returns the router's entry in the routing table. Its name is the BGP identifier, as for a BGP session, so
// that both fill one entry; it is the address if no identifier is known.
func (s *Station) routerOf(m *bmpRouter) *rib.Router {
	if m.router == "" {
		m.router = m.key.address.String()
		if id := cmp.Or(m.ids[0], m.ids[1]); id != 0 {
			m.router = identifier(id).String()
		}
	}
	r := s.rib.Router(m.router, true)
	if r.AS.Load() == 0 {
		r.AS.Store(m.as)
	}
	return r
}

// checkBMP removes routes that have been stale for too long. It does so about once a second.
func (s *Station) checkBMP(now time.Time) {
	if now.Sub(s.bmpChecked) < min(time.Second, s.BMP.Quiet/4) {
		return
	}
	s.bmpChecked = now
	for _, m := range s.bmpRouters {
		if m.session == nil {
			if !now.Before(m.until) {
				s.Log.Info("the routes of a router are removed: its BMP session did not come back in time",
					zap.String("router", m.key.address.String()), zap.Duration("waited", now.Sub(m.since)))
				s.forgetBMPRouter(m)
				continue
			}
		} else {
			s.settle(m, now)
		}
		m.publish()
	}
}

// settle removes stale routes that the current session did not announce again. Some routers never send an End-of-RIB,
// so BMP.Quiet without a change counts as one.
func (s *Station) settle(m *bmpRouter, now time.Time) {
	for key, t := range m.tables {
		switch {
		case t.session != m.session:
			if now.Sub(m.since) >= endOfRIBTimeout {
				s.removeView(m, key, t) // this session does not have the peer
			}
		case !t.settled && (now.Sub(t.latest) >= s.BMP.Quiet || now.Sub(t.started) >= endOfRIBTimeout):
			t.settled = true
			t.source.CompleteAll()
		}
	}
}

func (s *Station) forgetBMPRouter(m *bmpRouter) {
	s.absent.went(m.key.address, m.since, m.why)
	for key, t := range m.tables {
		s.removeView(m, key, t)
	}
	delete(s.bmpRouters, m.key)
	s.addressesChanged = true
}

// addBMPAddresses adds the addresses by which exporters find a BMP router's routes: the session's, the BGP identifier,
// the router's own addresses in sessions with its peers, and the addresses of the peers. An entry that exists is kept,
// so a router's own session takes precedence over the session of its peer.
func (s *Station) addBMPAddresses(sessions, identifiers map[flow.Addr]*rib.Router) {
	all := make([]*bmpRouter, 0, len(s.bmpRouters))
	for _, m := range s.bmpRouters {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *bmpRouter) int {
		return cmp.Or(a.key.address.Compare(b.key.address), cmp.Compare(a.key.name, b.key.name))
	})
	add := func(to map[flow.Addr]*rib.Router, a flow.Addr, m *bmpRouter) {
		if r := s.rib.Router(m.router, false); r != nil && to[a] == nil && !a.IsUnspecified() {
			to[a] = r
		}
	}
	for _, m := range all {
		add(sessions, flow.AddrFrom(m.key.address), m)
		for _, id := range m.ids {
			add(identifiers, flow.AddrFrom(identifier(id)), m)
		}
	}
	for _, m := range all {
		for a := range m.addresses {
			add(identifiers, a, m)
		}
	}
	for _, m := range all {
		for a := range m.remote {
			add(identifiers, a, m)
		}
	}
	s.bmp.shown.Store(&all)
}
