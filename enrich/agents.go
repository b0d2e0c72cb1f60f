package enrich

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Match says which flows a rule is for. The zero value is all. An interface, VRF or label is compared only where it is
// set.
type Match struct {
	Exporter        netip.Prefix // zero: any
	In, Out         *uint32      // interface numbers
	IPVersion       uint8        // 4 or 6; 0: both
	NextHop         netip.Prefix // that the record has; zero: any
	VRF             *uint32      // IE 234, else 235
	BottomLabel     *uint32      // of the MPLS stack
	NotIn, NotOut   bool         // In or Out is any other number
	unconditional   bool         // but for the exporter
	compareExporter bool
}

// prepare notes what need not be compared for each record.
func (m *Match) prepare() {
	m.compareExporter = m.Exporter.IsValid()
	m.unconditional = m.In == nil && m.Out == nil && m.IPVersion == 0 && !m.NextHop.IsValid() && m.VRF == nil &&
		m.BottomLabel == nil
}

func (m *Match) exporter(a flow.Addr) bool {
	return !m.compareExporter || m.Exporter.Contains(a.Netip())
}

// flow reports whether a rule of the record's exporter is for the record.
func (m *Match) flow(r *flow.Record) bool {
	if m.unconditional {
		return true
	}
	switch {
	case m.In != nil && (*m.In == r.InIf) == m.NotIn:
		return false
	case m.Out != nil && (*m.Out == r.OutIf) == m.NotOut:
		return false
	case m.IPVersion != 0 && m.IPVersion != r.IPVersion:
		return false
	case m.NextHop.IsValid() && (!r.Sent(flow.BGPNextHop) || !m.NextHop.Contains(r.BGPNextHop.Netip())):
		return false
	case m.VRF != nil && *m.VRF != r.IngressVRF && (r.IngressVRF != 0 || *m.VRF != r.EgressVRF):
		return false
	case m.BottomLabel != nil && *m.BottomLabel != bottomLabel(r):
		return false
	}
	return true
}

// AgentRule says which router's routes flows get.
type AgentRule struct {
	Match
	Router flow.Addr // the address of a session, or a BGP identifier
}

// VRFRule says which VRF flows are in.
type VRFRule struct {
	Match
	RD [8]byte // all zero: the global table
}

// RouteMaps are rules beyond what addresses say. The first rule that matches counts.
type RouteMaps struct {
	Agents []AgentRule
	VRFs   []VRFRule
}

// CurrentMaps are the maps in use. The zero value has none. It is safe for concurrent use.
type CurrentMaps struct{ maps atomic.Pointer[RouteMaps] }

// Set replaces the maps, which must not be changed afterwards.
func (c *CurrentMaps) Set(m RouteMaps) {
	for i := range m.Agents {
		m.Agents[i].prepare()
	}
	for i := range m.VRFs {
		m.VRFs[i].prepare()
	}
	c.maps.Store(&m)
}

var noMaps RouteMaps

// load returns the maps, never nil.
func (c *CurrentMaps) load() *RouteMaps {
	if c != nil {
		if m := c.maps.Load(); m != nil {
			return m
		}
	}
	return &noMaps
}

// routerTables are the tables of a router.
type routerTables struct {
	router            *rib.Router
	unicast, labelled *rib.Table
	vpn               map[[8]byte]*rib.Table
}

func tablesOf(router *rib.Router) *routerTables {
	if router == nil {
		return nil
	}
	return &routerTables{router: router, unicast: router.Table(route.Unicast, 0),
		labelled: router.Table(route.Labelled, 0)}
}

// vrf is the table of a route distinguisher, nil if there is none.
func (t *routerTables) vrf(rd [8]byte) *rib.Table {
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

// exporterRoutes are the routers of an exporter, as of a generation of the RIB and of the maps.
type exporterRoutes struct {
	known      bool
	generation uint64
	maps       *RouteMaps
	choices    []agentChoice
	own        *routerTables // where no choice matches; nil: there is none
	vrfs       []*VRFRule
}

// agentChoice is a rule for an exporter and its router; nil: the router has no routes.
type agentChoice struct {
	rule   *AgentRule
	tables *routerTables
}

// of returns the tables of the router of a record's exporter; nil: there are none.
func (x *routes) of(e *exporterEntry, r *flow.Record) *routerTables {
	t := &e.routes
	if g := x.RIB.Generation(); !t.known || t.generation != g || t.maps != x.maps {
		x.resolve(e, g)
	}
	for i := range t.choices {
		if c := &t.choices[i]; c.rule.flow(r) {
			return c.tables
		}
	}
	return t.own
}

// resolve finds the routers of an exporter.
func (x *routes) resolve(e *exporterEntry, generation uint64) {
	t := &e.routes
	*t = exporterRoutes{known: true, generation: generation, maps: x.maps}
	for i := range x.maps.VRFs {
		if rule := &x.maps.VRFs[i]; rule.exporter(e.addr) {
			t.vrfs = append(t.vrfs, rule)
		}
	}
	for i := range x.maps.Agents {
		rule := &x.maps.Agents[i]
		if !rule.exporter(e.addr) {
			continue
		}
		tables := tablesOf(x.RIB.RouterAt(rule.Router))
		if rule.unconditional {
			t.own = tables
			return
		}
		t.choices = append(t.choices, agentChoice{rule, tables})
	}
	if t.own = tablesOf(x.RIB.RouterAt(e.addr)); t.own == nil {
		t.own = tablesOf(x.sameDevice(e))
	}
}

// sameDevice is the router one of whose addresses is of the exporter's device, as metadata has it.
func (x *routes) sameDevice(e *exporterEntry) *rib.Router {
	if e.ref == "" || x.device == nil {
		return nil
	}
	var least flow.Addr
	var found *rib.Router
	x.RIB.Addresses(func(a flow.Addr, router *rib.Router) {
		if (found == nil || slices.Compare(a[:], least[:]) < 0) && x.device(a) == e.ref {
			least, found = a, router
		}
	})
	return found
}

// fallbackTables are the tables of the routers whose routes are used for lack of others.
func (x *routes) fallbackTables() []*routerTables {
	if g := x.RIB.Generation(); !x.fallbackKnown || x.fallbackOf != g {
		x.fallback, x.fallbackOf, x.fallbackKnown = x.fallback[:0], g, true
		for _, name := range x.Fallback {
			router := x.RIB.Routers()[name]
			if a, err := netip.ParseAddr(name); router == nil && err == nil {
				router = x.RIB.RouterAt(flow.AddrFrom(a))
			}
			if t := tablesOf(router); t != nil {
				x.fallback = append(x.fallback, t)
			}
		}
	}
	return x.fallback
}
