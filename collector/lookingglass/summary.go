package lookingglass

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
)

// mostListed is the maximum length of each list of a summary.
const mostListed = 1000

// Summary describes routing now: verdicts, sessions with routers, their tables, and the outcomes of look-ups.
type Summary struct {
	On  bool      `json:"on"` // routing is configured
	Now time.Time `json:"now"`

	Verdicts []verdict.Verdict `json:"verdicts"`
	Routers  []Router          `json:"routers"`
	Sessions []Session         `json:"sessions"`
	Absent   []Absent          `json:"absent"`
	Files    []File            `json:"files"`
	RPKI     *rpki.Stats       `json:"rpki,omitempty"` // absent if RPKI is not configured
	// Exporters are the exporters that send, with their routers.
	Exporters []Exporter `json:"exporters"`
	// OtherExporters are look-ups of exporters that are not counted apart.
	OtherExporters LookUps `json:"other_exporters"`

	LookUps  map[string]uint64 `json:"lookups"` // look-ups of destinations since the start, by outcome
	LookedUp uint64            `json:"looked_up"`
	Memory   Memory            `json:"memory"`
	// when the routes were last written to SavedTo; absent before that
	Saved   *time.Time `json:"saved,omitempty"`
	SavedTo string     `json:"saved_to,omitempty"`
}

// Router is a router and its tables.
type Router struct {
	Name   string  `json:"name"`
	AS     uint32  `json:"as,omitempty"`
	Stale  bool    `json:"stale"` // it has no session now
	Tables []Table `json:"tables"`
}

// Table is a table of a router, with the number of prefixes of each address family.
type Table struct {
	Class string `json:"class"`
	RD    string `json:"rd,omitempty"`
	IPv4  int64  `json:"ipv4"`
	IPv6  int64  `json:"ipv6"`
}

// Session describes the current session of a router, or its last one. Counters cover all sessions since the start.
type Session struct {
	Protocol string    `json:"protocol"` // BGP or BMP
	Address  string    `json:"address"`
	Router   string    `json:"router"`
	Name     string    `json:"name,omitempty"` // sysName of BMP
	AS       uint32    `json:"as,omitempty"`
	Up       bool      `json:"up"`
	Since    time.Time `json:"since"`           // when it came up or went down
	Until    time.Time `json:"until,omitzero"`  // when the routes of a session that is down will be removed
	Why      string    `json:"why,omitempty"`   // why it ended
	Sessions uint64    `json:"sessions"`        // number of sessions
	Messages uint64    `json:"messages"`        // number of UPDATEs, or of Route Monitoring messages of BMP
	Peers    int       `json:"peers,omitempty"` // BGP peers that are up, for BMP
	// Routes counts routes by family for BGP and by view for BMP. Complete has the families whose End-of-RIB was
	// received.
	Routes   map[string]int64  `json:"routes"`
	Reported map[string]int64  `json:"reported,omitempty"` // routes that the router's BMP statistics report, by view
	Complete []string          `json:"complete,omitempty"`
	Errors   map[string]uint64 `json:"errors,omitempty"` // malformed UPDATEs by reason
	LeftOut  uint64            `json:"left_out"`         // routes left out because a limit was reached
}

// Absent is a configured router without a session and without routes.
type Absent struct {
	Protocol string    `json:"protocol"`
	Router   string    `json:"router"`
	Since    time.Time `json:"since,omitzero"` // end of its last session; absent if it had none
	Why      string    `json:"why,omitempty"`
}

// File is an MRT file.
type File struct {
	Name   string    `json:"name"`
	File   string    `json:"file"`
	Loaded time.Time `json:"loaded,omitzero"`
	Peers  int       `json:"peers"`
	Routes uint64    `json:"routes"`
	Bad    uint64    `json:"unreadable_records"`
	Error  string    `json:"error,omitempty"`
}

// Memory is what the routing table uses, and its limit.
type Memory struct {
	Bytes      int64  `json:"bytes"`
	MaxBytes   int64  `json:"max_bytes"`
	Routes     int64  `json:"routes"`
	IPv4       int    `json:"ipv4_prefixes"`
	IPv6       int    `json:"ipv6_prefixes"`
	Records    int    `json:"attribute_sets"`
	Refused    uint64 `json:"left_out"` // number of routes left out since the start
	LimboBytes int64  `json:"limbo_bytes"`
}

// Summary describes routing now. Each of its lists has at most 1000 entries.
func (g *Glass) Summary() *Summary {
	s := &Summary{On: g.On(), Now: time.Now().UTC(), Verdicts: []verdict.Verdict{}, Routers: []Router{},
		Sessions: []Session{}, Absent: []Absent{}, Files: []File{}, Exporters: []Exporter{}}
	if !s.On {
		return s
	}
	facts := g.Facts(s.Now)
	s.Verdicts = append(s.Verdicts, verdict.OfRouting(facts)...)
	s.LookUps, s.LookedUp = outcomes(&facts.LookUps), facts.LookUps.Total()
	s.addSessions(facts)
	for _, x := range facts.Absent {
		s.Absent = append(s.Absent, Absent{x.Protocol, x.Router, x.Since.UTC(), x.Why})
	}
	for _, f := range facts.MRT {
		s.Files = append(s.Files, File{f.Name, f.File, f.Loaded.UTC(), f.Peers, f.Routes, f.Bad, f.Err})
	}
	if facts.Validates {
		s.RPKI = &facts.RPKI
	}
	m := &facts.RIB
	s.Memory = Memory{m.Bytes, m.MaxBytes, m.Routes, m.Prefixes4, m.Prefixes6, m.Records, m.Refused, m.LimboBytes}
	if s.SavedTo = facts.File; !facts.Saved.IsZero() {
		at := facts.Saved.UTC()
		s.Saved = &at
	}
	routers, _ := g.routers("")
	for _, r := range routers[:min(len(routers), mostListed)] {
		s.Routers = append(s.Routers, newRouter(r))
	}
	s.addExporters(g)
	s.bound()
	return s
}

// outcomes returns the counts by the outcome's name in metrics.
func outcomes(n *enrich.RouteCounts) map[string]uint64 {
	all := map[string]uint64{}
	for o, count := range n.All() {
		all[o.String()] = count
	}
	return all
}

// bound shortens lists to mostListed entries.
func (s *Summary) bound() {
	s.Sessions = s.Sessions[:min(len(s.Sessions), mostListed)]
	s.Absent = s.Absent[:min(len(s.Absent), mostListed)]
	s.Exporters = s.Exporters[:min(len(s.Exporters), mostListed)]
	s.Verdicts = s.Verdicts[:min(len(s.Verdicts), mostListed)]
}

func newRouter(r *rib.Router) Router {
	x := Router{Name: r.Name, AS: r.AS.Load(), Stale: r.Stale(), Tables: []Table{}}
	for _, t := range tablesOf(r, "") {
		if len(x.Tables) == mostListed {
			break
		}
		table := Table{Class: t.Class.String()}
		table.IPv4, table.IPv6 = t.Routes()
		if t.RD != 0 {
			table.RD = t.RD.String()
		}
		x.Tables = append(x.Tables, table)
	}
	return x
}

func (s *Summary) addSessions(facts *verdict.Routing) {
	for i := range facts.Sessions {
		x := &facts.Sessions[i]
		one := Session{Protocol: "BGP", Address: x.Address.String(), Router: x.Router, AS: x.AS, Up: x.Up,
			Since: x.Since.UTC(), Until: x.Until.UTC(), Why: x.Why, Sessions: x.Sessions, Messages: x.Updates,
			Routes: map[string]int64{}, Errors: errorsOf(&x.Reasons), LeftOut: x.LeftOut}
		for f, n := range x.Routes {
			if n > 0 {
				one.Routes[route.FamilyAt(f).String()] = n
			}
			if x.Complete[f] {
				one.Complete = append(one.Complete, route.FamilyAt(f).String())
			}
		}
		s.Sessions = append(s.Sessions, one)
	}
	for i := range facts.BMP.Sessions {
		x := &facts.BMP.Sessions[i]
		one := Session{Protocol: "BMP", Address: x.Address.String(), Router: x.Router, Name: x.Name, AS: x.AS, Up: x.Up,
			Since: x.Since.UTC(), Until: x.Until.UTC(), Why: x.Why, Sessions: x.Sessions,
			Messages: x.Messages[bmp.RouteMonitoring], Peers: x.Peers, Routes: map[string]int64{},
			Reported: map[string]int64{}, Errors: errorsOf(&x.Reasons), LeftOut: x.LeftOut}
		for v := range bmp.View(bmp.Views) {
			if x.Routes[v] > 0 {
				one.Routes[v.String()] = x.Routes[v]
			}
			if x.Reported[v] >= 0 {
				one.Reported[v.String()] = x.Reported[v]
			}
		}
		s.Sessions = append(s.Sessions, one)
	}
}

func errorsOf(reasons *[bgp.Reasons]uint64) map[string]uint64 {
	all := map[string]uint64{}
	for r, n := range reasons {
		if n > 0 {
			all[bgp.Reason(r).String()] = n
		}
	}
	return all
}

// addExporters adds the exporters that send, with their routers and look-ups. Those without a router come first.
func (s *Summary) addExporters(g *Glass) {
	finder := enrich.NewFinder(g.Routes)
	defer finder.Close()
	counted, others := g.LookUps.All()
	s.OtherExporters = NewLookUps(&others)
	lookUps := make(map[netip.Addr]LookUps, len(counted))
	for i := range counted {
		lookUps[counted[i].Exporter.Netip()] = NewLookUps(&counted[i])
	}
	for _, x := range g.Exporters() {
		address := flow.AddrFrom(x.Address)
		_, ref := g.Device(address)
		router, why := finder.RouterOf(address, ref, g.ref)
		x.Router, x.Reason, x.LookUps = router, reasons[why], lookUps[x.Address]
		s.Exporters = append(s.Exporters, x)
	}
	slices.SortFunc(s.Exporters, func(a, b Exporter) int {
		return cmp.Or(cmp.Compare(min(len(a.Router), 1), min(len(b.Router), 1)), a.Address.Compare(b.Address))
	})
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
