package lookingglass

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
	vrps "github.com/metranova/flow-collector/enrich/rpki"
)

// Bounds of an answer.
const (
	mostRoutes      = 500
	mostCommunities = 200  // communities of each kind for a route
	longPath        = 2000 // bytes of an AS path as text
	mostPayloads    = 20   // RPKI payloads for a route
)

// Answer has the routes to an address or prefix.
type Answer struct {
	To  string    `json:"to"`
	Now time.Time `json:"now"`
	// Routes are sorted by router, table and view. Within a view the longest prefix comes first, and for one prefix
	// the best route.
	Routes  []Route `json:"routes"`
	LeftOut int     `json:"left_out"` // number of routes that were found but are not in Routes
	Routers int     `json:"routers"`  // number of routers whose tables were searched
	// Exporter says which route a flow of the query's exporter gets; absent if the query names no exporter.
	Exporter *Explained `json:"exporter,omitempty"`
}

// Route is a route with its values as text.
type Route struct {
	Router   string `json:"router"`
	RouterAS uint32 `json:"router_as,omitempty"`
	Class    string `json:"class"`        // unicast, labelled or vpn
	RD       string `json:"rd,omitempty"` // route distinguisher of a VRF's table
	Prefix   string `json:"prefix"`

	ASPath           string   `json:"as_path"`
	NextHop          string   `json:"next_hop,omitempty"`
	Origin           string   `json:"origin"` // IGP, EGP or incomplete
	LocalPref        *uint32  `json:"local_pref,omitempty"`
	MED              *uint32  `json:"med,omitempty"`
	Communities      []string `json:"communities,omitempty"`
	ExtCommunities   []string `json:"ext_communities,omitempty"`
	LargeCommunities []string `json:"large_communities,omitempty"`
	PathID           uint32   `json:"path_id,omitempty"` // path identifier of ADD-PATH (RFC 7911)
	Internal         bool     `json:"ibgp"`

	Protocol string    `json:"protocol"`          // BGP, BMP or MRT
	View     string    `json:"view,omitempty"`    // table that the router reports by BMP, such as Loc-RIB
	Session  string    `json:"session,omitempty"` // address of the router
	Peer     string    `json:"peer,omitempty"`    // BGP peer that BMP or an MRT file names
	File     string    `json:"file,omitempty"`
	Up       bool      `json:"session_up"`
	Since    time.Time `json:"session_since"` // when the session came up or went down; routes have no time of their own

	Best    bool `json:"best"`    // best route to the prefix in its view
	Answers bool `json:"answers"` // look-ups of flows use this view
	Stale   bool `json:"stale"`   // its session has ended, and no later one has announced it again
	Saved   bool `json:"saved"`   // loaded from the last run's saved routes, not announced again

	RPKI string `json:"rpki,omitempty"` // valid, invalid or unknown; absent without payloads to validate with
	// Payloads are the validated ROA payloads that cover the prefix, each as PREFIX-MAXLENGTH AS.
	Payloads []string `json:"rpki_payloads,omitempty"`
}

// Explained says which route a flow of an exporter gets, and why.
type Explained struct {
	Exporter string   `json:"exporter"`
	Device   string   `json:"device,omitempty"`
	Outcome  string   `json:"outcome"`         // a value of the label outcome of routing_lookups_total
	Why      []string `json:"why"`             // sentences
	Route    *Route   `json:"route,omitempty"` // absent if it gets none
}

// errOff is the error of every query when routing is not configured.
var errOff = errors.New("routing is off: set routing.bgp, routing.bmp or routing.mrt")

// Look answers a query. The error names the router of the query if it has no routes.
func (g *Glass) Look(q *Query) (*Answer, error) {
	if !g.On() {
		return nil, errOff
	}
	routers, err := g.routers(q.Router)
	if err != nil {
		return nil, err
	}
	a := &Answer{To: q.Target(), Now: time.Now().UTC(), Routes: []Route{}, Routers: len(routers)}
	reader := g.Station.RIB().NewReader()
	defer reader.Close()
	payloads := g.payloads()
	for _, router := range routers {
		reader.Enter() // once per router, so that the writer can free memory in between
		for _, t := range tablesOf(router, q.Table) {
			reader.Entries(t, q.To, q.Shorter, func(e *rib.Entry) bool {
				switch {
				case !inView(e, q.View):
				case len(a.Routes) >= mostRoutes:
					a.LeftOut++
				default:
					a.Routes = append(a.Routes, newRoute(e, payloads))
				}
				return true
			})
		}
		reader.Leave()
	}
	if q.Exporter.IsValid() {
		a.Exporter = g.explain(q, payloads)
	}
	return a, nil
}

// payloads returns the RPKI payloads in use; nil if there are none.
func (g *Glass) payloads() *vrps.Table {
	if current := g.RPKI.Current(); current != nil {
		return current.Table()
	}
	return nil
}

// routers returns the router with a name or address; for "" all routers, by name.
func (g *Glass) routers(named string) ([]*rib.Router, error) {
	table := g.Station.RIB()
	all := table.Routers()
	if named == "" {
		return slices.SortedFunc(maps.Values(all), func(a, b *rib.Router) int { return cmp.Compare(a.Name, b.Name) }),
			nil
	}
	if r := all[named]; r != nil {
		return []*rib.Router{r}, nil
	}
	if a, err := netip.ParseAddr(named); err == nil {
		if r := table.RouterAt(flow.AddrFrom(a)); r != nil {
			return []*rib.Router{r}, nil
		}
	}
	return nil, fmt.Errorf("no router %q has routes: without an address the tables of all are listed", named)
}

// tablesOf returns the tables of a router that Query.Table names, the global ones first.
func tablesOf(router *rib.Router, named string) (all []*rib.Table) {
	router.Tables(func(t *rib.Table) bool {
		is := false
		switch named {
		case "":
			is = true
		case "global":
			is = t.RD == 0
		case "unicast", "labelled", "vpn":
			is = t.Class.String() == named
		default:
			is = t.Class == route.VPN && t.RD.String() == named
		}
		if is {
			all = append(all, t)
		}
		return true
	})
	slices.SortFunc(all, func(a, b *rib.Table) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.RD, b.RD))
	})
	return all
}

// inView reports whether a route is in the view that Query.View names.
func inView(e *rib.Entry, view string) bool {
	if view == "" {
		return true
	}
	if e.Source == nil {
		return false
	}
	label := e.Source.Label
	if label.Protocol == "BMP" {
		return label.View == view
	}
	return strings.EqualFold(label.Protocol, view)
}

// newRoute returns a route with its source as text. payloads may be nil.
func newRoute(e *rib.Entry, payloads *vrps.Table) Route {
	r := routeOf(&e.Route, payloads)
	r.PathID, r.Best, r.Answers, r.Stale, r.Saved = e.PathID, e.Best, e.Answers, e.Stale, e.Saved
	if s := e.Source; s != nil {
		l := &s.Label
		r.Protocol, r.View, r.File = l.Protocol, l.View, l.File
		r.Session, r.Peer = addressText(l.Session), addressText(l.Peer)
		r.Up, r.Since = s.Up(), s.Changed().UTC()
	}
	return r
}

// routeOf returns a route as text, without its source. payloads may be nil.
func routeOf(x *rib.Route, payloads *vrps.Table) Route {
	t := x.Table()
	r := Route{Router: t.Router.Name, RouterAS: t.Router.AS.Load(), Class: t.Class.String(),
		Prefix: x.Prefix().String(),
		Origin: [...]string{"IGP", "EGP", "incomplete"}[min(x.Origin(), route.Incomplete)], Internal: x.Internal()}
	if t.RD != 0 {
		r.RD = t.RD.String()
	}
	r.ASPath = string(x.AppendPathText(nil, ' '))
	if len(r.ASPath) > longPath {
		r.ASPath = r.ASPath[:longPath] + "…"
	}
	if next := x.NextHop(); !next.IsUnspecified() {
		r.NextHop = next.String()
	}
	if n, has := x.LocalPref(); has {
		r.LocalPref = &n
	}
	if n, has := x.MED(); has {
		r.MED = &n
	}
	standard, extended, large := x.Communities()
	r.Communities = texts(standard, route.AppendNamed)
	r.ExtCommunities = texts(extended, route.AppendExtended)
	r.LargeCommunities = texts(large, route.AppendLarge)
	if payloads != nil {
		prefix := x.Prefix().Netip()
		r.RPKI = payloads.Validate(prefix, x.ValidatedOrigin()).String()
		for i, p := range payloads.Covering(nil, prefix) {
			if i == mostPayloads {
				r.Payloads = append(r.Payloads, "…")
				break
			}
			r.Payloads = append(r.Payloads, p.String())
		}
	}
	return r
}

// texts returns the values as text; those beyond mostCommunities are replaced by an ellipsis.
func texts[T any](all []T, appendText func([]byte, T) []byte) (list []string) {
	for i, x := range all {
		if i == mostCommunities {
			return append(list, "…")
		}
		list = append(list, string(appendText(nil, x)))
	}
	return list
}

func addressText(a netip.Addr) string {
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	return a.String()
}

func rdText(rd [8]byte) string { return route.RDFrom(rd).String() }

// explain says which route a flow of the query's exporter gets, and why.
func (g *Glass) explain(q *Query, payloads *vrps.Table) *Explained {
	finder := enrich.NewFinder(g.Routes)
	defer finder.Close()
	exporter := flow.AddrFrom(q.Exporter)
	id, ref := g.Device(exporter)
	x := &Explained{Exporter: q.Exporter.String(), Device: id}
	finder.Explain(q.record(), ref, g.ref, func(e *enrich.Explanation) {
		x.Outcome = e.Outcome.String()
		x.Why = why(e, q)
		if e.Found {
			r := routeOf(&e.Route, payloads)
			r.Best, r.Answers, r.Stale = true, true, e.Route.Table().Router.Stale()
			x.Route = &r
		}
	})
	return x
}

// reasons say in words how an exporter's router was found.
var reasons = map[enrich.Reason]string{
	enrich.ByRule:       "a rule of routing.agents or routing.agents_file names its router",
	enrich.BySession:    "its address is that of a session of the router",
	enrich.ByIdentifier: "its address is a BGP identifier of the router, or one that the router reports by BMP",
	enrich.ByDevice:     "its device in meta_device has an address of the router",
	enrich.ByFallback:   "it has no router of its own, and routing.fallback names some",
	enrich.ByNothing: "no session, BGP identifier or device matches its address: let its router connect to the " +
		"collector, or set routing.agents or routing.fallback",
}

// why says in sentences how a flow's route was found.
func why(e *enrich.Explanation, q *Query) []string {
	list := []string{reasons[e.Reason]}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if e.Router == "" && e.Reason == enrich.ByRule {
		add("the router that the rule names has no routes")
	}
	if e.RD != 0 {
		switch {
		case !e.NoVRF:
			add("the flow is in VRF %s", e.RD)
		case e.Found:
			add("the flow is in VRF %s, of which the router has no table: the global one is used (routing.unknown_vrf)",
				e.RD)
		default:
			add("the flow is in VRF %s, of which the router has no table", e.RD)
		}
	}
	switch {
	case !e.Found && e.Router != "":
		add("router %s has no route to %s", e.Router, q.Target())
	case e.Found && e.Followed:
		add("its route is a default route: that of the next hop's router %s is taken (routing.follow_default)",
			e.Route.Table().Router.Name)
	case e.Found && e.Route.Bits() == 0:
		add("only the default route holds the address")
	}
	if e.Found && e.Route.Table().Router.Stale() {
		add("router %s has no session now: the route is of before", e.Route.Table().Router.Name)
	}
	if q.Flow.NextHop.IsValid() && e.Found {
		if e.Route.NextHop().Netip() == q.Flow.NextHop {
			add("the flow's next hop is the route's")
		} else {
			add("no route to the prefix has the flow's next hop: it is the best one")
		}
	}
	return list
}
