package enrich

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxUnknown is how many unknown interfaces of a device are remembered: enough to see that they are missing.
const maxUnknown = 16

// unknownInterfaces are interface numbers that flows of a known device had and metadata does not, in the order they
// came.
type unknownInterfaces struct {
	list  [maxUnknown]uint32
	names [maxUnknown]string
	n     int
	more  bool
}

// name remembers what the exporter calls an interface, and reports whether it is among those that are remembered.
func (u *unknownInterfaces) name(index uint32, name string) bool {
	i := slices.Index(u.list[:u.n], index)
	if i >= 0 {
		u.names[i] = name
	}
	return i >= 0
}

// note remembers a number and reports whether that is news. 0 is an exporter's word for none.
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

// UnknownInterfaces are the interfaces of one exporter that its flows had and meta_interface does not.
type UnknownInterfaces struct {
	Exporter flow.Addr // as records name it
	Indexes  []uint32  // in ascending order
	Learned  []string  // of each index: the name that the exporter itself gave it, or ""; nil if it named none
	More     bool      // there are others
}

// Publish makes what was noted of interfaces visible to Unknown. It costs nothing where there is no news.
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

// Unknown returns the interfaces of known devices that metadata does not have, as of the latest Publish: those of flows
// since the metadata changed. It may be called anywhere.
func (e *Enricher) Unknown() []UnknownInterfaces {
	if all := e.unknown.Load(); all != nil {
		return *all
	}
	return nil
}
