package enrich

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxUnknown bounds the unknown interfaces that are remembered for a device: enough to show that some are missing.
const maxUnknown = 16

// unknownInterfaces are interface numbers that appear in flows of a known device but not in metadata, in order of
// arrival.
type unknownInterfaces struct {
	list  [maxUnknown]uint32
	names [maxUnknown]string
	n     int
	more  bool
}

// name remembers the exporter's own name of an interface. It reports whether the interface is among those remembered.
func (u *unknownInterfaces) name(index uint32, name string) bool {
	i := slices.Index(u.list[:u.n], index)
	if i >= 0 {
		u.names[i] = name
	}
	return i >= 0
}

// note remembers an interface number and reports whether it is new. 0 means "no interface".
func (u *unknownInterfaces) note(index uint32) bool {
	if index == 0 || index == flow.InterfaceSelf {
		return false
	}
	if slices.Contains(u.list[:u.n], index) {
		return false
	}
	if u.n == maxUnknown {
		news := !u.more
		u.more = true
		return news
	}
	u.list[u.n] = index
	u.n++
	return true
}

// UnknownInterfaces are the interfaces of one exporter that appear in its flows but not in meta_interface.
type UnknownInterfaces struct {
	Exporter flow.Addr // the address in flow records
	Indexes  []uint32  // ascending
	Learned  []string  // for each index the exporter's own name, or ""; nil if it named none
	More     bool      // there are more than Indexes has
}

// Publish makes newly noted interfaces visible to Unknown. It costs nothing if there are none.
func (e *Enricher) Publish() {
	if !e.exporters.fresh {
		return
	}
	e.exporters.fresh = false
	var all []UnknownInterfaces
	for addr, x := range e.exporters.byAddr {
		if x.unknown.n > 0 {
			indexes := slices.Sorted(slices.Values(x.unknown.list[:x.unknown.n]))
			var learned []string
			if len(x.learned) > 0 {
				for _, index := range indexes {
					learned = append(learned, x.unknown.names[slices.Index(x.unknown.list[:x.unknown.n], index)])
				}
			}
			all = append(all, UnknownInterfaces{Exporter: addr, Indexes: indexes, Learned: learned,
				More: x.unknown.more})
		}
	}
	e.unknown.Store(&all)
}

// Unknown returns the interfaces of known devices that metadata does not have, as of the latest Publish and since the
// metadata last changed. It is safe for concurrent use.
func (e *Enricher) Unknown() []UnknownInterfaces {
	if all := e.unknown.Load(); all != nil {
		return *all
	}
	return nil
}
