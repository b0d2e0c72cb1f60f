package enrich

import (
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// RouteOptions say which routes fill rows. The zero value is none.
type RouteOptions struct {
	RIB *rib.RIB // nil: rows have what records say of BGP
	// Agents are the addresses of routers, by exporter, where an exporter's address is neither that of a session nor a
	// BGP identifier.
	Agents map[flow.Addr]flow.Addr
	AS     ASFrom
}

// ASFrom says whether AS numbers are the route's or the record's.
type ASFrom uint8

// The choices. ASAuto takes the route's where its prefix is at least as long as the record's mask, or the record has
// none. ASRoute takes the route's always, and for sFlow path and communities too. ASRecord takes the record's always.
const (
	ASAuto ASFrom = iota
	ASRoute
	ASRecord
)

// RouteCounts are look-ups of destinations: one for each row.
type RouteCounts struct {
	Hit      uint64
	Default  uint64 // the route is that of 0.0.0.0/0 or ::/0
	Stale    uint64 // the router has no session now, the route is of before
	Miss     uint64 // the router has no route to it
	NoRouter uint64 // the exporter has no router with routes
}

// Add adds the counts of another.
func (c *RouteCounts) Add(o RouteCounts) {
	c.Hit += o.Hit
	c.Default += o.Default
	c.Stale += o.Stale
	c.Miss += o.Miss
	c.NoRouter += o.NoRouter
}

// routes is what an enricher has to do with routes.
type routes struct {
	RouteOptions
	reader *rib.Reader
	counts RouteCounts
	shown  [5]atomic.Uint64 // counts as of the latest End, in the order of RouteCounts

	src, dst           rib.Route
	srcFound, dstFound bool
	path               []uint32 // with repetitions, of the row at hand
	fromRoute          bool     // the path of the row at hand is the destination's route's
	warm               [prefetchSize]*flow.Addr
	warmed             uint32
}

func newRoutes(o RouteOptions) *routes {
	if o.RIB == nil {
		return nil
	}
	return &routes{RouteOptions: o, reader: o.RIB.NewReader()}
}

// Begin begins a batch of records: routes that rows refer to remain until End.
func (e *Enricher) Begin() {
	if e.routes != nil {
		e.routes.reader.Enter()
	}
}

// End ends a batch. The latest row is not valid any more.
func (e *Enricher) End() {
	if x := e.routes; x != nil {
		x.reader.Leave()
		x.src, x.dst, x.srcFound, x.dstFound = rib.Route{}, rib.Route{}, false, false
		for i, n := range [...]uint64{x.counts.Hit, x.counts.Default, x.counts.Stale, x.counts.Miss,
			x.counts.NoRouter} {
			x.shown[i].Store(n)
		}
	}
}

// RouteCounts returns the look-ups so far, up to the latest End. It is safe for concurrent use.
func (e *Enricher) RouteCounts() RouteCounts {
	if e.routes == nil {
		return RouteCounts{}
	}
	n := &e.routes.shown
	return RouteCounts{n[0].Load(), n[1].Load(), n[2].Load(), n[3].Load(), n[4].Load()}
}

// exporterRoutes are the tables of an exporter's router, as of a generation of the RIB.
type exporterRoutes struct {
	known             bool
	generation        uint64
	router            *rib.Router
	unicast, labelled *rib.Table
	vpn               map[[8]byte]*rib.Table
}

// of returns the tables of an exporter's router.
func (x *routes) of(e *exporterEntry) *exporterRoutes {
	t := &e.routes
	if g := x.RIB.Generation(); !t.known || t.generation != g {
		at := e.addr
		if agent, found := x.Agents[at]; found {
			at = agent
		}
		*t = exporterRoutes{known: true, generation: g, router: x.RIB.RouterAt(at)}
		if t.router != nil {
			t.unicast, t.labelled = t.router.Table(route.Unicast, 0), t.router.Table(route.Labelled, 0)
		}
	}
	return t
}

// vrf is the table of a route distinguisher, nil if there is none.
func (t *exporterRoutes) vrf(rd [8]byte) *rib.Table {
	table, known := t.vpn[rd]
	if !known {
		if len(t.vpn) >= maxRDs || t.vpn == nil {
			t.vpn = map[[8]byte]*rib.Table{}
		}
		table = t.router.Table(route.VPN, route.RDFrom(rd))
		t.vpn[rd] = table
	}
	return table
}

// find looks both ends of a record up, and has the record say what it does not say itself.
func (x *routes) find(e *exporterEntry, r *flow.Record) {
	x.srcFound, x.dstFound, x.fromRoute = false, false, false
	t := x.of(e)
	if t.router == nil {
		x.counts.NoRouter++
		return
	}
	var next flow.Addr
	switch {
	case r.Sent(flow.BGPNextHop):
		next = r.BGPNextHop
	case r.Sent(flow.MPLSTopLabelAddr):
		next = r.MPLSTopLabelAddr
	}
	var vrf *rib.Table
	if r.MPLSRD != [8]byte{} {
		vrf = t.vrf(r.MPLSRD)
	}
	if x.src, x.srcFound = x.lookup(t, vrf, &r.SrcAddr, nil); x.srcFound {
		x.sourceOf(r)
	}
	x.dst, x.dstFound = x.lookup(t, vrf, &r.DstAddr, &next)
	x.count(t.router)
	if x.dstFound {
		x.destinationOf(r)
	}
}

// lookup looks in the VRF's table, or where the VRF is not known or none in the global one, and for lack of a unicast
// route in that of labelled ones.
func (x *routes) lookup(t *exporterRoutes, vrf *rib.Table, a, next *flow.Addr) (found rib.Route, ok bool) {
	if vrf != nil {
		return x.reader.Lookup(vrf, a, next)
	}
	if t.unicast != nil {
		if found, ok = x.reader.Lookup(t.unicast, a, next); ok {
			return found, true
		}
	}
	if t.labelled != nil {
		return x.reader.Lookup(t.labelled, a, next)
	}
	return rib.Route{}, false
}

func (x *routes) count(router *rib.Router) {
	switch {
	case !x.dstFound:
		x.counts.Miss++
	case router.Stale():
		x.counts.Stale++
	case x.dst.Bits() == 0:
		x.counts.Default++
	default:
		x.counts.Hit++
	}
}

// wins reports whether the AS of a route is taken rather than the record's, which has that mask.
func (x *routes) wins(found *rib.Route, as uint32, mask uint8) bool {
	switch x.AS {
	case ASRoute:
		return true
	case ASRecord:
		return false
	}
	return as == 0 || found.Bits() >= mask
}

func (x *routes) sourceOf(r *flow.Record) {
	if x.wins(&x.src, r.SrcAS, r.SrcMask) {
		r.SrcAS = x.src.OriginAS()
		r.Set(flow.SrcAS)
	}
}

// destinationOf fills what records of NetFlow and IPFIX cannot say. What a record says of the next hop, and sFlow of
// the path, stays.
func (x *routes) destinationOf(r *flow.Record) {
	d := &x.dst
	if x.wins(d, r.DstAS, r.DstMask) {
		r.DstAS = d.OriginAS()
		r.Set(flow.DstAS)
	}
	if !r.Sent(flow.MPLSTopLabelAddr) && (!r.Sent(flow.BGPNextHop) || r.BGPNextHop.IsUnspecified()) {
		if next := d.NextHop(); !next.IsUnspecified() {
			r.BGPNextHop = next
			r.Set(flow.BGPNextHop)
		}
	}
	if r.PeerDstAS == 0 {
		r.PeerDstAS = d.FirstAS()
	}
	if r.Has&(flow.ASPath|flow.Communities) != 0 && x.AS != ASRoute {
		return
	}
	as, runs := d.Path()
	r.Has &^= flow.ASPath | flow.Communities | flow.LocalPref | flow.MED
	x.fromRoute = true
	x.path = x.path[:0]
	for i, n := range as {
		for range runs[i] {
			x.path = append(x.path, n)
		}
	}
	r.ASPath = x.path
	if len(as) > 0 {
		r.Set(flow.ASPath)
	}
	if r.Communities, _, _ = d.Communities(); len(r.Communities) > 0 {
		r.Set(flow.Communities)
	}
	var sent bool
	if r.LocalPref, sent = d.LocalPref(); sent {
		r.Set(flow.LocalPref)
	}
	if r.MED, sent = d.MED(); sent {
		r.Set(flow.MED)
	}
}

// ownAS is the router's AS, for an address that is within it: its route has an empty path. 0: it is not.
func (x *routes) ownAS(found bool, at *rib.Route) uint32 {
	if !found || x.AS == ASRecord || at.OriginAS() != 0 {
		return 0
	}
	return at.Table().Router.AS.Load()
}

// prefetch touches what look-ups of some records will read, if they are of the exporter of the latest record.
func (x *routes) prefetch(last *exporterEntry, records []flow.Record) {
	if last == nil || last.routes.unicast == nil {
		return
	}
	for len(records) > 0 {
		n := 0
		for n < prefetchSize/2 && n < len(records) && records[n].Exporter == last.addr {
			x.warm[2*n], x.warm[2*n+1] = &records[n].SrcAddr, &records[n].DstAddr
			n++
		}
		if n == 0 {
			return
		}
		x.warmed += x.reader.Warm(last.routes.unicast, x.warm[:2*n])
		records = records[n:]
	}
}
