package enrich

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// RouteOptions say which routes fill rows. The zero value is none.
type RouteOptions struct {
	RIB  *rib.RIB     // nil: rows have what records say of BGP
	Maps *CurrentMaps // nil: an exporter's router is found by its address alone
	AS   ASFrom
	// Fallback are routers, by name or address, whose routes exporters without a router of their own get.
	Fallback []string
	// FollowDefault is how often a default route is followed to the router that is its next hop.
	FollowDefault int
	// StrictVRF has flows of a VRF without a table get no route, rather than one of the global table.
	StrictVRF bool
	// IPNextHop has the IP next hop choose between several routes where there is no BGP next hop.
	IPNextHop bool
	// Confederations keeps the AS numbers within confederations in paths, as pmacct does. They count for the peer AS
	// and the origin AS too.
	Confederations bool
	// CommunityNames has well-known communities of routes by their names.
	CommunityNames bool
	// Source and Meta fill the rows' groups bgp_src and bgp_meta.
	Source, Meta bool
	// LookUps are counted by exporter too; nil: they are not.
	LookUps *LookUps
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

// routes is what an enricher has to do with routes.
type routes struct {
	RouteOptions
	reader   *rib.Reader
	counters lookUpCounters
	maps     *RouteMaps // of the present batch
	device   func(flow.Addr) string

	fallback      []*routerTables // as of a generation of the RIB
	fallbackOf    uint64
	fallbackKnown bool

	src, dst           rib.Route
	srcFound, dstFound bool
	path               []uint32 // of the row at hand, with repetitions and confederations
	fromRoute          bool     // the path of the row at hand is the destination's route's
	usedFallback       bool
	unknownVRF         bool // the router has no table of the VRF of the row at hand
	result             Outcome
	ahead              lookedUp
}

func newRoutes(o RouteOptions) *routes {
	if o.RIB == nil {
		return nil
	}
	x := &routes{RouteOptions: o, reader: o.RIB.NewReader(), maps: o.Maps.load()}
	x.counters.init(o.LookUps)
	return x
}

// Begin begins a batch of records: routes that rows refer to remain until End.
func (e *Enricher) Begin() {
	if e.routes != nil {
		e.routes.reader.Enter()
		e.routes.maps = e.routes.Maps.load()
	}
	if e.validator != nil {
		e.validator.table = e.validator.Current.Table()
	}
}

// End ends a batch. The latest row is not valid any more.
func (e *Enricher) End() {
	if x := e.routes; x != nil {
		x.reader.Leave()
		x.src, x.dst, x.srcFound, x.dstFound = rib.Route{}, rib.Route{}, false, false
		x.ahead.n = 0 // these routes are not valid any more
		x.counters.end()
	}
}

// RouteCounts returns the look-ups so far, up to the latest End. It is safe for concurrent use.
func (e *Enricher) RouteCounts() RouteCounts {
	if e.routes == nil {
		return RouteCounts{}
	}
	return e.routes.counters.total()
}

// find looks both ends of a record up, and has the record say what it does not say itself.
func (x *routes) find(e *exporterEntry, r *flow.Record) {
	x.srcFound, x.dstFound, x.fromRoute = false, false, false
	x.usedFallback, x.unknownVRF = false, false
	t := x.of(e, r)
	x.vrf(e, r)
	var next flow.Addr
	switch {
	case r.Sent(flow.BGPNextHop):
		next = r.BGPNextHop
	case r.Sent(flow.MPLSTopLabelAddr):
		next = r.MPLSTopLabelAddr
	case x.IPNextHop && r.Sent(flow.NextHop):
		next = r.NextHop
	}
	if t != nil {
		x.both(t, r, &next)
	} else {
		for _, t = range x.fallbackTables() {
			x.usedFallback = true
			x.both(t, r, &next)
			if x.srcFound && x.dstFound {
				break
			}
		}
	}
	x.count(e, t)
	if x.srcFound {
		x.sourceOf(r)
	}
	if x.dstFound {
		x.destinationOf(r)
	}
}

// both looks up those ends of a record in the tables of a router that have no route yet.
func (x *routes) both(t *routerTables, r *flow.Record, next *flow.Addr) {
	src, dst := x.ahead.of(t, r)
	if !x.srcFound {
		if src != nil && src.Found() {
			x.src, x.srcFound = *src, true
		} else {
			x.src, x.srcFound = x.lookup(t, r, &r.SrcAddr, nil)
		}
	}
	if !x.dstFound {
		if dst != nil && dst.Found() {
			x.dst, x.dstFound = *dst, true
		} else {
			x.dst, x.dstFound = x.lookup(t, r, &r.DstAddr, next)
		}
	}
}

// vrf sets the route distinguisher of a record that the map has a rule for.
func (x *routes) vrf(e *exporterEntry, r *flow.Record) {
	for _, rule := range e.routes.vrfs {
		if rule.flow(r) {
			r.MPLSRD = rule.RD
			return
		}
	}
}

// lookup looks in the VRF's table, or where the VRF is not known or none in the global one, and for lack of a unicast
// route in that of labelled ones. A default route is followed to its next hop's router, if that is asked for.
func (x *routes) lookup(t *routerTables, r *flow.Record, a, next *flow.Addr) (found rib.Route, ok bool) {
	if r.MPLSRD != [8]byte{} {
		if vrf := t.vrf(r.MPLSRD); vrf != nil {
			return x.reader.Lookup(vrf, a, next)
		}
		x.unknownVRF = true
		if x.StrictVRF {
			return rib.Route{}, false
		}
	}
	if t.unicast != nil {
		found, ok = x.reader.Lookup(t.unicast, a, next)
	}
	if !ok && t.labelled != nil {
		found, ok = x.reader.Lookup(t.labelled, a, next)
	}
	for n := 0; ok && n < x.FollowDefault && found.IsDefault(); n++ {
		router := x.RIB.RouterAt(found.NextHop())
		if router == nil || router == found.Table().Router {
			break
		}
		table := router.Table(route.Unicast, 0)
		if table == nil {
			break
		}
		further, better := x.reader.Lookup(table, a, next)
		if !better {
			break
		}
		found = further
	}
	return found, ok
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
		r.SrcAS = x.originAS(&x.src)
		r.Set(flow.SrcAS)
	}
}

// destinationOf fills what records of NetFlow and IPFIX cannot say. What a record says of the next hop, and sFlow of
// the path, stays.
func (x *routes) destinationOf(r *flow.Record) {
	d := &x.dst
	if x.wins(d, r.DstAS, r.DstMask) {
		r.DstAS = x.originAS(d)
		r.Set(flow.DstAS)
	}
	if !r.Sent(flow.MPLSTopLabelAddr) && (!r.Sent(flow.BGPNextHop) || r.BGPNextHop.IsUnspecified()) {
		if next := d.NextHop(); !next.IsUnspecified() {
			r.BGPNextHop = next
			r.Set(flow.BGPNextHop)
		}
	}
	if r.PeerDstAS == 0 {
		r.PeerDstAS = x.peerAS(d)
	}
	if r.Has&(flow.ASPath|flow.Communities) != 0 && x.AS != ASRoute {
		return
	}
	r.Has &^= flow.ASPath | flow.Communities | flow.LocalPref | flow.MED
	x.fromRoute = true
	// The path itself is taken from the route: see Enricher.path.
	r.ASPath = nil
	if d.Hops() > 0 || x.Confederations && d.HasSegments() {
		r.Set(flow.ASPath)
	}
	if r.Communities = d.Standard(); len(r.Communities) > 0 {
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

// wholePath is a route's path with repetitions and what is within confederations. It is valid until the next call.
func (x *routes) wholePath(d *rib.Route) []uint32 {
	x.path = d.AppendPath(x.path[:0])
	return x.path
}

// peerAS is the first AS of a route's path: the neighbour.
func (x *routes) peerAS(d *rib.Route) uint32 {
	if x.Confederations {
		return d.FirstAS()
	}
	return d.NeighborAS()
}

// originAS is the last AS of a route's path.
func (x *routes) originAS(d *rib.Route) uint32 {
	if x.Confederations && d.HasSegments() {
		if path := x.wholePath(d); len(path) > 0 {
			return path[len(path)-1]
		}
	}
	return d.OriginAS()
}

// ownAS is the router's AS, for an address that is within it: its route has an empty path. 0: it is not.
func (x *routes) ownAS(found bool, at *rib.Route) uint32 {
	if !found || x.AS == ASRecord || at.OriginAS() != 0 {
		return 0
	}
	return at.Table().Router.AS.Load()
}

// lookedUp are routes of a router to both ends of some records that come next, source and destination in turn.
type lookedUp struct {
	tables *routerTables
	addrs  [rib.MaxAddresses]*flow.Addr
	routes [rib.MaxAddresses]rib.Route
	n      int // addresses
	next   int // the source of the record that comes next
}

// lookAhead looks up the routes of some records that come next, if they are of the exporter of the latest record.
func (x *routes) lookAhead(last *exporterEntry, records []flow.Record) {
	l := &x.ahead
	l.tables, l.n, l.next = nil, 0, 0
	if last == nil {
		return
	}
	tables := last.routes.own
	if tables == nil && len(x.fallback) > 0 {
		tables = x.fallback[0]
	}
	if tables == nil || tables.unicast == nil {
		return
	}
	l.tables = tables
	for i := range records {
		if l.n == len(l.addrs) || records[i].Exporter != last.addr {
			break
		}
		l.addrs[l.n], l.addrs[l.n+1] = &records[i].SrcAddr, &records[i].DstAddr
		l.n += 2
	}
	x.reader.LookupAll(tables.unicast, l.addrs[:l.n], &l.routes)
}

// of returns the routes that were looked up for a record in a router's global table; nil: none were.
func (l *lookedUp) of(t *routerTables, r *flow.Record) (src, dst *rib.Route) {
	for ; l.next < l.n; l.next += 2 {
		if l.addrs[l.next] == &r.SrcAddr {
			if t != l.tables || r.MPLSRD != [8]byte{} {
				break
			}
			return &l.routes[l.next], &l.routes[l.next+1]
		}
	}
	return nil, nil
}
