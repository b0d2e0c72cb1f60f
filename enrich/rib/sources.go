package rib

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Label says what a source is, for people. The zero value says nothing.
type Label struct {
	Protocol string // BGP, BMP or MRT
	// View is the table that a router reports by BMP, such as Loc-RIB; "" of other sources.
	View string
	// Session is the address of the session's other end; invalid: there is none.
	Session netip.Addr
	// Peer is the address of the BGP peer whose routes a router reports, or that a file has; invalid: there is none.
	Peer netip.Addr
	AS   uint32 // of the peer, or of the session's other end; 0: not known
	File string
}

// Up reports whether the source has a session. It is safe for concurrent use.
func (s *Source) Up() bool { return s.up.Load() }

// Changed is when the source's latest session began or ended; without one, when the source was made. It is safe for
// concurrent use.
func (s *Source) Changed() time.Time { return time.Unix(0, s.changed.Load()) }

// sourceList has the sources by number. The writer changes it, and readers look beside. Number 0 is none.
type sourceList struct {
	all  atomic.Pointer[[]atomic.Pointer[Source]]
	next uint32
	free []uint32
}

// at is the source with a number; nil: it is gone.
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

// remove makes a number free.
func (l *sourceList) remove(n uint32) {
	(*l.all.Load())[n].Store(nil)
	l.free = append(l.free, n)
}

// Sources are those of a router. It is safe for concurrent use.
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
