package rib

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Label describes a source for people. A zero field is not known or does not apply.
type Label struct {
	Protocol string // BGP, BMP or MRT
	// View is the table that a router reports by BMP, such as Loc-RIB; "" for other protocols.
	View string
	// Session is the remote address of the session; invalid for a file.
	Session netip.Addr
	// Peer is the address of the BGP peer whose routes a router reports by BMP or a file has; invalid for BGP.
	Peer netip.Addr
	AS   uint32 // AS of Peer, or of the remote end of the session; 0: not known
	File string // path of an MRT file
}

// Up reports whether the source has a session. It is safe for concurrent use.
func (s *Source) Up() bool { return s.up.Load() }

// Changed returns when the source's latest session began or ended; if it had none, when the source was created. It is
// safe for concurrent use.
func (s *Source) Changed() time.Time { return time.Unix(0, s.changed.Load()) }

// sourceList has the sources by number, from 1. Only the writer may call add and remove; at is safe for concurrent use.
type sourceList struct {
	all  atomic.Pointer[[]atomic.Pointer[Source]]
	next uint32
	free []uint32
}

// at returns the source with a number; nil if it was removed.
func (l *sourceList) at(n uint32) *Source {
	if all := l.all.Load(); all != nil && int(n) < len(*all) {
		return (*all)[n].Load()
	}
	return nil
}

// add gives a source its number.
func (l *sourceList) add(s *Source) {
	if last := len(l.free) - 1; last >= 0 {
		s.id, l.free = l.free[last], l.free[:last]
	} else {
		l.next++
		s.id = l.next
	}
	all := l.all.Load()
	if all == nil || int(s.id) >= len(*all) {
		more := make([]atomic.Pointer[Source], max(16, 2*int(s.id)))
		for i := range s.id {
			more[i].Store(l.at(i))
		}
		all = &more
		l.all.Store(all)
	}
	(*all)[s.id].Store(s)
}

// remove removes a source. Its number may be used again.
func (l *sourceList) remove(n uint32) {
	(*l.all.Load())[n].Store(nil)
	l.free = append(l.free, n)
}

// Sources returns the sources of a router's routes. It is safe for concurrent use.
func (x *Router) Sources() (all []*Source) {
	list := x.rib.sources.all.Load()
	if list == nil {
		return nil
	}
	for i := range *list {
		if s := (*list)[i].Load(); s != nil && s.Router == x {
			all = append(all, s)
		}
	}
	return all
}
