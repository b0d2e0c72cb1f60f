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

// Ranks of sources: a BGP session of the router itself, then the views of BMP, then files.
const (
	rankBGP  = 0
	rankView = 1 // and bmp.View
)

// monitoredKey identifies a router with BMP: several can share an address behind a translator.
type monitoredKey struct {
	address netip.Addr
	name    string // sysName
}

// monitored is a router with BMP and its routes, which outlive its sessions. Only the writer changes it.
type monitored struct {
	key    monitoredKey
	about  bmp.Information
	router string // its name in the routing table, once it has routes
	as     uint32
	// ids are BGP identifiers of the router: of its global table, and of any.
	ids [2]uint32
	// addresses are those of the router in sessions with peers of the global table, and remote those of the peers.
	addresses, remote map[flow.Addr]bool

	session *monitor // nil: none is up
	since   time.Time
	until   time.Time // the routes go then
	why     string
	count   uint64
	tables  map[viewKey]*viewTable
	up      map[bmp.PeerKey]bool
	// reported is how many routes the router says that it has.
	reported map[viewKey]uint64
	refused  uint64
	unread   uint64
	beyond   uint64
	before   BMPSession // counts of sessions before

	shown atomic.Pointer[BMPSession]
}

type viewKey struct {
	peer bmp.PeerKey
	view bmp.View
}

// viewTable is the routes of a view of a peer.
type viewTable struct {
	source  *rib.Source
	session *monitor  // that announced it last
	started time.Time // by that session
	latest  time.Time // news
	settled bool      // routes that were not announced again are gone
}

// beginMonitor makes a connection the session of its router, and ends the one before.
func (s *Station) beginMonitor(x *monitor, about *bmp.Information) {
	key := monitoredKey{x.address, about.SysName}
	m := s.monitored[key]
	if m == nil {
		m = s.newMonitored(key)
	}
	if old := m.session; old != nil {
		m.leave(old)
		go old.end("the router has connected again")
	}
	m.session, m.since, m.about, m.up = x, time.Now(), *about, map[bmp.PeerKey]bool{}
	m.count++
	x.router = m
	m.show()
	s.Log.Info("a BMP session is up", zap.String("router", key.address.String()), zap.String("name", about.SysName),
		zap.String("description", about.SysDescr))
}

// newMonitored makes a router without a session.
func (s *Station) newMonitored(key monitoredKey) *monitored {
	m := &monitored{key: key, tables: map[viewKey]*viewTable{}, reported: map[viewKey]uint64{},
		addresses: map[flow.Addr]bool{}, remote: map[flow.Addr]bool{}}
	s.monitored[key] = m
	s.moved = true
	return m
}

// newTable makes the table of a view.
func (s *Station) newTable(m *monitored, at viewKey) *viewTable {
	t := &viewTable{source: s.routerOf(m).NewSource(rankView + uint8(at.view))}
	m.tables[at] = t
	s.views++
	s.moved = true
	return t
}

// describe takes a further Initiation.
func (s *Station) describe(x *monitor, about *bmp.Information) {
	if m := x.router; m.session == x {
		m.about.SysDescr = cmp.Or(about.SysDescr, m.about.SysDescr)
	}
}

// leave keeps a session's counts.
func (m *monitored) leave(x *monitor) {
	m.before.add(x)
	m.session = nil
}

// endMonitor takes the end of a session. The routes stay for a while.
func (s *Station) endMonitor(x *monitor) {
	m := x.router
	if m.session != x {
		return
	}
	m.leave(x)
	m.why, m.since = x.why, time.Now()
	m.until = m.since.Add(s.BMP.KeepStale)
	for _, t := range m.tables {
		t.source.End()
	}
	clear(m.reported)
	if s.stopping() {
		return
	}
	s.Log.Warn("a BMP session has ended", zap.String("router", m.key.address.String()),
		zap.String("name", m.key.name), zap.String("why", x.why), zap.Duration("its routes stay", s.BMP.KeepStale))
	m.show()
}

// peerUp takes the news that a peer of the router is up. What it announced before is to be announced again.
func (s *Station) peerUp(x *monitor, p *bmp.Peer, up *bmp.Up) {
	m := x.router
	if m.session != x {
		return
	}
	key := p.Key()
	m.up[key] = true
	m.learn(p, up)
	s.moved = true
	for at, t := range m.tables {
		if at.peer == key {
			t.begin(x)
		}
	}
}

// learn notes how the router is called.
func (m *monitored) learn(p *bmp.Peer, up *bmp.Up) {
	id, as := up.Sent.ID, up.Sent.AS
	if p.Type == bmp.LocRIBPeer {
		id, as = cmp.Or(p.ID, id), cmp.Or(p.AS, as)
	}
	if m.ids[1] == 0 {
		m.ids[1] = id
	}
	if p.RD != 0 {
		return // identifiers and addresses of VRFs may be those of others elsewhere
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

// begin has the session announce the table's routes from the beginning.
func (t *viewTable) begin(x *monitor) {
	t.session, t.started, t.settled = x, time.Now(), false
	t.latest = t.started
	t.source.Begin()
}

// peerDown removes the routes of a peer: the router does not use them any more.
func (s *Station) peerDown(x *monitor, p *bmp.Peer, why string) {
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
	for at, t := range m.tables {
		if at.peer == key {
			s.removeView(m, at, t)
		}
	}
	for at := range m.reported {
		if at.peer == key {
			delete(m.reported, at)
		}
	}
}

func (s *Station) removeView(m *monitored, at viewKey, t *viewTable) {
	t.source.Remove()
	delete(m.tables, at)
	s.views--
	s.moved = true
}

// statistics takes what the router says of the number of its routes.
func (s *Station) statistics(x *monitor, p *bmp.Peer, all []bmp.Statistic) {
	m := x.router
	if m.session != x || !m.up[p.Key()] {
		return
	}
	for _, v := range all {
		view, is := map[uint16]bmp.View{bmp.StatInPre: bmp.InPre, bmp.StatLocRIB: bmp.LocRIB,
			bmp.StatOutPre:  bmp.OutPre,
			bmp.StatOutPost: bmp.OutPost}[v.Type]
		if is && !v.HasFamily {
			m.reported[viewKey{p.Key(), view}] = v.Value
		}
	}
}

// applyView takes a batch of a view into the routing table.
func (s *Station) applyView(v *view, b *route.Batch) {
	m, x := v.monitor.router, v.monitor
	if m.session != x {
		x.free <- b // another session has taken its place
		return
	}
	key := viewKey{v.peer.Key(), v.peer.View()}
	t := m.tables[key]
	if t == nil {
		if s.views >= maxViews {
			m.beyond += uint64(len(b.Changes))
			x.free <- b
			return
		}
		if !m.up[key.peer] { // some routers announce no Loc-RIB
			m.up[key.peer] = true
			m.learn(&v.peer, &bmp.Up{})
		}
		t = s.newTable(m, key)
		t.source.Neighbor = v.peer.ID
	}
	if t.session != x {
		t.begin(x)
	}
	t.latest = time.Now()
	refused, unread, _ := t.source.Apply(b)
	if refused > 0 && m.refused == 0 {
		s.Log.Warn("the routing table is full: routes are left out", zap.String("router", m.key.address.String()),
			zap.Int("routes", refused))
	}
	m.refused, m.unread = m.refused+uint64(refused), m.unread+uint64(unread)
	x.free <- b
}

// routerOf is the router in the routing table: with the BGP identifier as its name, as for a BGP session.
func (s *Station) routerOf(m *monitored) *rib.Router {
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

// turnMonitored does what time alone brings, once a second.
func (s *Station) turnMonitored(now time.Time) {
	if now.Sub(s.looked) < min(time.Second, s.BMP.Quiet/4) {
		return
	}
	s.looked = now
	for _, m := range s.monitored {
		if m.session == nil {
			if !now.Before(m.until) {
				s.Log.Info("the routes of a router are removed: its BMP session did not come back in time",
					zap.String("router", m.key.address.String()), zap.Duration("waited", now.Sub(m.since)))
				s.forgetMonitored(m)
				continue
			}
		} else {
			s.settle(m, now)
		}
		m.show()
	}
}

// settle removes routes that were not announced again. Some routers never send an End-of-RIB, so that a while without
// news counts as one.
func (s *Station) settle(m *monitored, now time.Time) {
	for key, t := range m.tables {
		switch {
		case t.session != m.session:
			if now.Sub(m.since) >= settleAfter {
				s.removeView(m, key, t) // the peer has gone meanwhile
			}
		case !t.settled && (now.Sub(t.latest) >= s.BMP.Quiet || now.Sub(t.started) >= settleAfter):
			t.settled = true
			t.source.CompleteAll()
		}
	}
}

func (s *Station) forgetMonitored(m *monitored) {
	for key, t := range m.tables {
		s.removeView(m, key, t)
	}
	delete(s.monitored, m.key)
	s.moved = true
}

// addMonitored adds the addresses by which exporters find routers with BMP: that of the session, the BGP identifier,
// the router's own addresses towards its peers, and those of the peers, which have no session of their own then.
func (s *Station) addMonitored(sessions, identifiers map[flow.Addr]*rib.Router) {
	all := make([]*monitored, 0, len(s.monitored))
	for _, m := range s.monitored {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *monitored) int {
		return cmp.Or(a.key.address.Compare(b.key.address), cmp.Compare(a.key.name, b.key.name))
	})
	add := func(to map[flow.Addr]*rib.Router, a flow.Addr, m *monitored) {
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
	s.bmp.view.Store(&all)
}
