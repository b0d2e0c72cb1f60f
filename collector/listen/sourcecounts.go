package listen

import (
	"maps"
	"net/netip"
	"sync/atomic"
)

// maxCounted limits the sources that are counted individually, because dropped datagrams may have any address.
const maxCounted = 256

// sourceCounts counts dropped datagrams by source. Its worker writes it; it may be read concurrently.
type sourceCounts struct {
	bySource map[netip.Addr]*atomic.Uint64
	shown    atomic.Pointer[map[netip.Addr]*atomic.Uint64]
	others   atomic.Uint64
}

func (r *sourceCounts) add(source netip.Addr) {
	n := r.bySource[source]
	if n == nil && len(r.bySource) >= maxCounted {
		n = &r.others
	}
	if n == nil {
		// Readers keep the old map: it is replaced as a whole.
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

// addOther counts a datagram of a source that is not counted individually.
func (r *sourceCounts) addOther() { r.others.Add(1) }

// counts returns the counts so far; sources that are not counted individually are under the zero address.
func (r *sourceCounts) counts() map[netip.Addr]uint64 {
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
