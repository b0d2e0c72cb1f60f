// Package lookingglass shows the routing table of a running collector: the routes to an address, which of them a flow
// gets and why, the sessions with routers, and all routes as an MRT file. It reads the table while routes change, does
// not block them, and changes nothing. Answers are bounded.
package lookingglass

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Glass answers questions about routes. Its fields do not change after Mount. It is safe for concurrent use.
type Glass struct {
	Station *routing.Station // nil: routing is off
	RPKI    *rpki.Client     // nil: routes are not validated
	Routes  enrich.RouteOptions
	// Device returns the id and ref of an exporter's device in metadata; "" if there is none.
	Device func(flow.Addr) (id, ref string)
	// Facts returns the state of routing at a time, from which verdicts are made.
	Facts func(time.Time) *verdict.Routing
	// Exporters returns the exporters that send, without their routers and look-ups.
	Exporters func() []Exporter
	LookUps   *enrich.LookUps // of destinations, by exporter; nil: none are counted
	Viewers   access.Viewers  // who may ask for routes
	Log       *zap.Logger
}

// Exporter is an exporter that sends.
type Exporter struct {
	Address        netip.Addr `json:"address"` // by which its router is found
	Device         string     `json:"device,omitempty"`
	FlowsPerSecond float64    `json:"flows_per_second"`
	// Router is the router whose routes its flows get, and Reason why it is this one; "" if there is none.
	Router string `json:"router"`
	Reason string `json:"reason"`
	LookUps
}

// On reports whether routing is on.
func (g *Glass) On() bool { return g.Station != nil }

func (g *Glass) ref(a flow.Addr) string {
	_, ref := g.Device(a)
	return ref
}
