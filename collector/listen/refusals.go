package listen

import (
	"maps"
	"net/netip"
	"sync/atomic"
)

// maxRefused bounds the sources that are told apart: an address that may not send can be any.
const maxRefused = 256

// refusals counts refused datagrams by source. Its worker writes it; anyone may read it.
type refusals struct {
	bySource map[netip.Addr]*atomic.Uint64
	shown    atomic.Pointer[map[netip.Addr]*atomic.Uint64]
	others   atomic.Uint64
}

func (r *refusals) add(source netip.Addr) {
	n := r.bySource[source]
	if n == nil && len(r.bySource) >= maxRefused {
		n = &r.others
	}
	if n == nil {
		// Readers have the map that was: it is replaced whole.
		all := maps.Clone(r.bySource)
		if all == nil {
			all = map[netip.Addr]*atomic.Uint64{}
		}
		n = new(atomic.Uint64)
		all[source] = n
		r.bySource = all
		r.shown.Store(&all)
	}
	n.Add(1)
}

func (r *refusals) counts() map[netip.Addr]uint64 {
	all := map[netip.Addr]uint64{}
	if shown := r.shown.Load(); shown != nil {
		for source, n := range *shown {
			all[source] = n.Load()
		}
	}
	if n := r.others.Load(); n > 0 {
		all[netip.Addr{}] = n
	}
	return all
}
