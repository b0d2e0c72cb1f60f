package enrich

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Finder looks up the routes of records one at a time, as an Enricher does for rows, and changes no record. It belongs
// to one goroutine. Use NewFinder.
type Finder struct {
	routes  *routes
	entries map[flow.Addr]*exporterEntry
}

// NewFinder returns a finder of the routes of a routing table, which must be there.
func NewFinder(o RouteOptions) *Finder {
	return &Finder{newRoutes(o), map[flow.Addr]*exporterEntry{}}
}

// Found are the routes of a record's source and destination.
type Found struct {
	Src, Dst       rib.Route
	HasSrc, HasDst bool
}

// Find calls use with the routes of a record; they are valid until it returns.
func (f *Finder) Find(r *flow.Record, use func(*Found)) {
	e := f.entries[r.Exporter]
	if e == nil {
		if len(f.entries) >= maxExporters {
			clear(f.entries)
		}
		e = &exporterEntry{addr: r.Exporter}
		f.entries[r.Exporter] = e
	}
	f.routes.reader.Enter()
	defer f.routes.reader.Leave()
	x := *r
	f.routes.find(e, &x)
	use(&Found{f.routes.src, f.routes.dst, f.routes.srcFound, f.routes.dstFound})
}
