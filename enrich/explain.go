package enrich

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Reason says why flows of an exporter get the routes of a router.
type Reason uint8

// The reasons, in the order in which they are looked for.
const (
	ByRule       Reason = iota + 1 // routing.agents or its file
	BySession                      // a session of the router comes from the exporter's address
	ByIdentifier                   // its BGP identifier, or an address that it reports by BMP, is the exporter's
	ByDevice                       // an address of the router is of the exporter's device in meta_device
	ByFallback                     // the exporter has no router: those of routing.fallback are tried
	ByNothing                      // the exporter has no router, and there is no fallback
)

// Outcome is what a look-up of a destination ended with. Each row is counted with one.
type Outcome uint8

// The outcomes, in the order of RouteCounts.
const (
	Hit Outcome = iota
	Default
	Stale
	Fallback
	Miss
	NoVRF
	NoRouter
	outcomes
)

// String is the outcome's name, as metrics have it.
func (o Outcome) String() string {
	return [...]string{"hit", "default", "stale", "fallback", "miss", "no_vrf", "no_router"}[o]
}

// Explanation says which route the destination of a flow gets, and why.
type Explanation struct {
	Reason  Reason
	Outcome Outcome
	// Router is the one that was asked first; "": there is none, or it has no routes.
	Router string
	Route  rib.Route // if Found
	Found  bool
	// RD is the VRF of the flow; 0: none. NoVRF says that the router has no table of it.
	RD    route.RD
	NoVRF bool
	// Followed says that the route is not the router's own: a default route led to another router
	// (routing.follow_default).
	Followed bool
}

// Explain calls use with what a record's destination gets. Routes are valid until use returns. ref is the exporter's
// device in metadata, "" if it has none, and device finds that of an address.
func (f *Finder) Explain(r *flow.Record, ref string, device func(flow.Addr) string, use func(*Explanation)) {
	x := f.routes
	x.reader.Enter()
	defer x.reader.Leave()
	x.device, x.maps = device, x.Maps.load()
	e, record := &exporterEntry{addr: r.Exporter, ref: ref}, *r
	x.find(e, &record)
	x.counters.end()
	t := x.of(e, &record)
	why := Explanation{Reason: x.reasonOf(e, &record), Outcome: x.result, Found: x.dstFound,
		RD: route.RDFrom(record.MPLSRD)}
	if t != nil {
		why.Router = t.router.Name
		why.NoVRF = why.RD != 0 && t.vrf(record.MPLSRD) == nil
	}
	if x.dstFound {
		why.Route = x.dst
		why.Followed = t != nil && x.dst.Table().Router != t.router
	}
	use(&why)
}

// RouterOf is the name of the router whose routes flows of an exporter get, and why; "" where there is none. With rules
// for some of its interfaces it is the router of the first rule that names one.
func (f *Finder) RouterOf(exporter flow.Addr, ref string, device func(flow.Addr) string) (name string, why Reason) {
	x := f.routes
	x.reader.Enter()
	defer x.reader.Leave()
	x.device, x.maps = device, x.Maps.load()
	e := &exporterEntry{addr: exporter, ref: ref}
	x.resolve(e, x.RIB.Generation())
	for _, c := range e.routes.choices {
		if c.tables != nil {
			return c.tables.router.Name, ByRule
		}
	}
	why = x.reasonOf(e, &flow.Record{Exporter: exporter})
	switch {
	case e.routes.own != nil:
		return e.routes.own.router.Name, why
	case len(x.fallbackTables()) > 0:
		return x.fallback[0].router.Name, ByFallback
	}
	return "", why
}

// Close ends the finder.
func (f *Finder) Close() { f.routes.reader.Close() }

// reasonOf says how an exporter's router was found, as resolve does it.
func (x *routes) reasonOf(e *exporterEntry, r *flow.Record) Reason {
	for i := range x.maps.Agents {
		rule := &x.maps.Agents[i]
		if rule.exporter(e.addr) && rule.flow(r) {
			return ByRule
		}
	}
	router, session := x.RIB.RouterBy(e.addr)
	switch {
	case router != nil && session:
		return BySession
	case router != nil:
		return ByIdentifier
	case x.sameDevice(e) != nil:
		return ByDevice
	case len(x.fallbackTables()) > 0:
		return ByFallback
	}
	return ByNothing
}
