package routing

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// peerKey identifies a neighbour. The address does not suffice, as several routers behind a NAT can share it, nor does
// the identifier, as one router can have a session over IPv4 and one over IPv6.
type peerKey struct {
	address netip.Addr
	id      uint32 // BGP identifier
}

// peer is a neighbour with its routes. Both outlive a session. Only the writer uses it, except for shown.
type peer struct {
	key    peerKey
	source *rib.Source

	session  *session  // nil: none is up
	history            // of all sessions
	sweepAt  time.Time // when stale routes are removed even without an End-of-RIB; zero: done
	endOfRIB [route.Families]bool
	updates  uint64              // UPDATE messages of earlier sessions
	reasons  [bgp.Reasons]uint64 // malformed UPDATEs of earlier sessions

	shown atomic.Pointer[Session]
}

const (
	// endOfRIBTimeout is how long after the start of a session its stale routes stay if no End-of-RIB comes.
	endOfRIBTimeout = 5 * time.Minute
	// tickEvery is how often the writer publishes changes and checks its timers.
	tickEvery = 50 * time.Millisecond
	// publishEvery is the number of batches after which changes are published before the next tick.
	publishEvery = 16
	// sweepStep is the number of slots that the writer sweeps between two batches.
	sweepStep = 1 << 16
	// addressShare bounds the share of time for updateAddresses: the writer waits so many times as long as it took,
	// because routers can have many addresses and change them as often as they like.
	addressShare = 20
	// niceness lowers the writer's priority below that of the workers, which must not lose datagrams.
	niceness = 5
)

// apply is the writer: it runs in the only goroutine that changes the routing table.
func (s *Station) apply() {
	// Saved routes are loaded at normal priority, because rows have no routes until then.
	s.load()
	// Linux sets niceness by thread. This goroutine keeps its thread, and the thread ends with it.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness)
	timer := time.NewTicker(tickEvery)
	defer timer.Stop()
	batches := 0
	for {
		select {
		case it, more := <-s.items:
			if !more {
				return
			}
			if it.do != nil {
				it.do()
				break
			}
			if it.view != nil {
				s.applyView(it.view, it.batch)
			} else {
				s.applyBatch(it.session, it.batch)
			}
			if batches++; batches%publishEvery == 0 {
				s.rib.Publish()
			}
		case now := <-timer.C:
			s.tick(now)
		}
		if s.rib.Sweeping() {
			s.rib.Work(sweepStep)
		}
	}
}

// tick does what depends on time only: it removes routes that have been stale for too long, publishes changes, and
// updates what Stats returns.
func (s *Station) tick(now time.Time) {
	for key, p := range s.peers {
		switch {
		case p.session == nil && !now.Before(p.until):
			s.Log.Info("the routes of a neighbour are removed: its session did not come back in time",
				zap.String("neighbor", key.address.String()), zap.Duration("waited", now.Sub(p.since)))
			s.forget(p)
		case p.session != nil && !p.sweepAt.IsZero() && !now.Before(p.sweepAt):
			p.sweepAt = time.Time{}
			for i, whole := range p.endOfRIB {
				if !whole {
					p.source.Complete(route.FamilyAt(i))
				}
			}
		default:
			p.publish()
		}
	}
	s.checkBMP(now)
	s.turnAbsent(now)
	s.askAgain(now)
	if s.addressesChanged && !now.Before(s.addressesNext) {
		started := time.Now()
		s.updateAddresses()
		s.addressesNext = now.Add(addressShare * time.Since(started))
	}
	s.rib.Publish()
	stats := s.rib.Stats()
	s.stats.Store(&stats)
}

// applyBatch applies a session's batch to the routing table.
func (s *Station) applyBatch(x *session, b *route.Batch) {
	defer s.batches.put(b)
	p := x.peer
	if p == nil || p.session != x {
		return // a newer session has replaced this one
	}
	p.apply(s.Log, "neighbor", p.key.address, p.source, b)
	p.again.came(b)
	for _, f := range b.Complete {
		p.endOfRIB[f.Index()] = true
	}
}

// sessionUp makes a session the one of its neighbour and ends the session that it replaces. It reports false if there
// are too many neighbours with sessions.
func (s *Station) sessionUp(x *session) bool {
	key := peerKey{x.address, x.theirs.ID}
	p := s.peers[key]
	if p == nil {
		if !makePlace(s.peers, maxSessions, key.address, s.forget) {
			return false
		}
		p = s.newPeer(key, x.theirs.AS)
		s.addressesChanged = true
	}
	if old := p.session; old != nil {
		p.leave(old)
		// end sends a NOTIFICATION, for which the writer must not wait.
		go old.end(&bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseCollision}, "the neighbour has connected again")
	}
	p.begin()
	p.source.Begin()
	p.session, p.sweepAt, p.endOfRIB = x, p.since.Add(endOfRIBTimeout), [route.Families]bool{}
	s.absent.came(key.address)
	x.peer = p
	p.publish()
	s.Log.Info("a BGP session is up", zap.String("neighbor", key.address.String()),
		zap.Stringer("router", identifier(key.id)), zap.Uint32("as", x.theirs.AS))
	return true
}

func (p *peer) standing() (netip.Addr, bool, time.Time) {
	return p.key.address, p.session != nil, p.since
}

// newPeer adds a neighbour without a session.
func (s *Station) newPeer(key peerKey, as uint32) *peer {
	router := s.rib.Router(cmp.Or(s.Names[key.address], identifier(key.id).String()), true)
	router.AS.Store(as)
	p := &peer{key: key, source: router.NewSource(rankBGP)}
	p.source.Label = rib.Label{Protocol: "BGP", Session: key.address, AS: as}
	longest := -1
	for prefix, most := range s.MaxRoutes {
		if prefix.Contains(key.address) && prefix.Bits() > longest {
			p.source.MaxRoutes, longest = most, prefix.Bits()
		}
	}
	p.source.Neighbor = key.id
	s.peers[key] = p
	return p
}

// leave ends the neighbour's session and keeps its counters.
func (p *peer) leave(x *session) {
	p.updates += x.updates.Load()
	for r := range p.reasons {
		p.reasons[r] += x.reasons[r].Load()
	}
	p.session = nil
}

// sessionDown processes the end of a session. The routes stay in use for KeepStale, or for the neighbour's restart time
// (RFC 4724) if that is longer. After a hard reset (RFC 8538) they are removed at once.
func (s *Station) sessionDown(x *session) {
	p := x.peer
	if p == nil || p.session != x {
		return
	}
	p.leave(x)
	keep := max(s.KeepStale, time.Duration(x.theirs.RestartTime)*time.Second)
	p.end(x.why, keep)
	p.source.End()
	if s.stopping() {
		return
	}
	s.Log.Warn("a BGP session has ended", zap.String("neighbor", p.key.address.String()),
		zap.Stringer("router", identifier(p.key.id)), zap.String("why", x.why), zap.Duration("its routes stay", keep))
	if x.hardReset {
		s.forget(p)
		return
	}
	p.publish()
}

// forget removes a neighbour with its routes.
func (s *Station) forget(p *peer) {
	s.absent.went(p.key.address, p.since, p.why)
	p.source.Remove()
	delete(s.peers, p.key)
	s.addressesChanged = true
}

// updateAddresses publishes the addresses by which exporters find their router: those of the sessions, and identifiers.
func (s *Station) updateAddresses() {
	sessions, identifiers := map[flow.Addr]*rib.Router{}, map[flow.Addr]*rib.Router{}
	view := make([]*peer, 0, len(s.peers))
	for key, p := range s.peers {
		view = append(view, p)
		identifiers[flow.AddrFrom(identifier(key.id))] = p.source.Router
	}
	slices.SortFunc(view, func(a, b *peer) int {
		return cmp.Or(a.key.address.Compare(b.key.address), cmp.Compare(a.key.id, b.key.id))
	})
	for _, p := range view { // if several routers share an address, the one with the lowest identifier has it
		if a := flow.AddrFrom(p.key.address); sessions[a] == nil {
			sessions[a] = p.source.Router
		}
	}
	s.addBMPAddresses(sessions, identifiers)
	s.addMRTAddresses(identifiers)
	s.rib.SetAddresses(sessions, identifiers)
	s.shownPeers.Store(&view)
	s.addressesChanged = false
}

// identifier returns a BGP identifier in the form of an IPv4 address.
func identifier(id uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], id)
	return netip.AddrFrom4(b)
}

// publish makes the description of the neighbour's session that Stats returns.
func (p *peer) publish() {
	x := &Session{Address: p.key.address, Router: p.source.Router.Name, AS: p.source.Router.AS.Load(),
		Up: p.session != nil, Since: p.since, Until: p.until, Why: p.why, Sessions: p.count, Updates: p.updates,
		Complete: p.endOfRIB, Reasons: p.reasons, Refused: p.refused, Undecoded: p.undecoded, LeftOut: p.left,
		Ends: slices.Clone(p.ends), MaxRoutes: p.source.MaxRoutes, Restored: p.count == 0}
	if p.session != nil {
		x.Until, x.Why = time.Time{}, ""
		x.Families, x.Graceful = p.session.ours.Families, p.session.graceful.Load()
		x.Updates += p.session.updates.Load()
		for r := range x.Reasons {
			x.Reasons[r] += p.session.reasons[r].Load()
		}
	}
	for i := range x.Routes {
		x.Routes[i] = p.source.Routes(route.FamilyAt(i))
	}
	p.shown.Store(x)
}

func (p *peer) report() Session {
	if x := p.shown.Load(); x != nil {
		return *x
	}
	return Session{Address: p.key.address}
}
