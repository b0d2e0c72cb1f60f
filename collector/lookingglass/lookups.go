package lookingglass

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/enrich"
)

// LookUps are look-ups of destinations of an exporter's flows since the start. The zero value is that of an exporter
// that is not counted apart (metrics.max_exporters).
type LookUps struct {
	Counts map[string]uint64 `json:"lookups,omitempty"` // by outcome
	Total  uint64            `json:"looked_up"`
	// UnknownVRF are those in VRFs that the router has no table of, which got a route of its global table.
	UnknownVRF uint64 `json:"unknown_vrf,omitempty"`
}

// NewLookUps returns the look-ups of an exporter.
func NewLookUps(x *enrich.ExporterLookUps) LookUps {
	return LookUps{outcomes(&x.RouteCounts), x.Total(), x.UnknownVRF}
}

// Own is the part with a route of the exporter's own router.
func (x *LookUps) Own() string { return x.share("hit", "default", "stale") }

// Others is the part with a route of another router.
func (x *LookUps) Others() string { return x.share("fallback") }

// None is the part without a route.
func (x *LookUps) None() string { return x.share("miss", "no_vrf", "no_router") }

// Notes says why look-ups found nothing, or not the best.
func (x *LookUps) Notes() string {
	var notes []string
	for _, o := range []struct{ outcome, text string }{{"no_router", "no router"}, {"no_vrf", "no table of the VRF"},
		{"miss", "no such prefix"}, {"default", "only a default route"}, {"stale", "no session now"}} {
		if x.Counts[o.outcome] > 0 {
			notes = append(notes, o.text+" "+x.share(o.outcome))
		}
	}
	if x.UnknownVRF > 0 {
		notes = append(notes, "no table of the VRF, so a route of the global one "+x.percent(x.UnknownVRF))
	}
	return strings.Join(notes, ", ")
}

func (x *LookUps) share(results ...string) string {
	n := uint64(0)
	for _, r := range results {
		n += x.Counts[r]
	}
	return x.percent(n)
}

func (x *LookUps) percent(n uint64) string {
	if x.Total == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(x.Total))
}
