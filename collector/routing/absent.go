package routing

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Absent is a configured router that has neither a session nor routes.
type Absent struct {
	Protocol string // BGP or BMP
	Router   string // address, prefix or host:port
	// Since is when its last session ended, or when the collector began to connect to it. Zero: it never connected.
	Since time.Time
	Why   string // why its last session ended, or why connecting to it fails
}

// absent tracks which configured routers have no session. Only the writer's goroutine may call came and went.
type absent struct {
	last     map[netip.Addr]Absent // of routers whose routes are gone
	here     map[netip.Prefix]bool // configured prefixes that a router came from
	turned   time.Time
	shown    atomic.Pointer[[]Absent]
	connects sync.Map // host:port: Absent
	stranger atomic.Pointer[netip.Addr]
}

// mostAbsent is the maximum number of routers that are remembered.
const mostAbsent = 1024

func (a *absent) came(address netip.Addr) { delete(a.last, address) }

func (a *absent) went(address netip.Addr, at time.Time, why string) {
	if a.last == nil {
		a.last = map[netip.Addr]Absent{}
	}
	if len(a.last) < mostAbsent {
		a.last[address] = Absent{Since: at, Why: why}
	}
}

// turnAbsent finds the configured routers that have neither a session nor routes of one. The writer's goroutine calls
// it once a second.
func (s *Station) turnAbsent(now time.Time) {
	a := &s.absent
	if now.Sub(a.turned) < time.Second {
		return
	}
	a.turned = now
	if a.here == nil {
		a.here = map[netip.Prefix]bool{}
	}
	var all []Absent
	look := func(protocol string, configured []netip.Prefix, known func(netip.Prefix) bool) {
		for _, p := range configured {
			switch {
			case known(p):
				a.here[p] = true
				continue
			case a.here[p] && !p.IsSingleIP(): // the prefix may have further routers: it is not reported
				continue
			}
			x := a.last[p.Addr()]
			x.Protocol, x.Router = protocol, p.String()
			if p.IsSingleIP() {
				x.Router = p.Addr().String()
			}
			if all = append(all, x); len(all) >= mostAbsent {
				return
			}
		}
	}
	bgp := slices.Collect(maps.Keys(s.peers))
	look("BGP", s.neighborsExpected(), func(p netip.Prefix) bool {
		return slices.ContainsFunc(bgp, func(k peerKey) bool { return p.Contains(k.address) })
	})
	bmp := slices.Collect(maps.Keys(s.bmpRouters))
	look("BMP", s.monitorsExpected(), func(p netip.Prefix) bool {
		return slices.ContainsFunc(bmp, func(k bmpRouterKey) bool { return p.Contains(k.address) })
	})
	a.shown.Store(&all)
}

// neighborsExpected returns the neighbours that should connect to the collector; none if it does not listen for BGP.
func (s *Station) neighborsExpected() []netip.Prefix {
	if len(s.bgpListeners) == 0 {
		return nil
	}
	return s.Neighbors
}

func (s *Station) monitorsExpected() []netip.Prefix {
	if len(s.bmpListeners) == 0 {
		return nil
	}
	return s.BMP.Allowed
}

func (a *absent) stats() (all []Absent, stranger netip.Addr) {
	if shown := a.shown.Load(); shown != nil {
		all = slices.Clone(*shown)
	}
	a.connects.Range(func(_, x any) bool {
		all = append(all, x.(Absent))
		return true
	})
	slices.SortStableFunc(all, func(x, y Absent) int {
		return cmp.Or(cmp.Compare(x.Protocol, y.Protocol), cmp.Compare(x.Router, y.Router))
	})
	if s := a.stranger.Load(); s != nil {
		stranger = *s
	}
	return all, stranger
}
