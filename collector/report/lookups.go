package report

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/enrich"
)

// LookUps are what rows found in the routing table for their destination, one look-up for each row.
type LookUps struct {
	enrich.RouteCounts
	// Rows are those that were made, and those that were left out as too small.
	Rows uint64
}

// String is the ledger of look-ups, for people.
func (x *LookUps) String() string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{x.Hit, "found"}, {x.Default, "by a default route"}, {x.Stale, "of a router without a session"},
		{x.Fallback, "of a fallback"}, {x.Miss, "no route"}, {x.NoVRF, "no such VRF"},
		{x.NoRouter, "no router"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	text := commandline.Count(x.Total(), "route") + " looked up"
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	switch all := x.Total(); {
	case all < x.Rows:
		text += "; " + commandline.Count(x.Rows-all, "row") + " without a look-up"
	case all > x.Rows:
		text += fmt.Sprintf("; %d more than rows", all-x.Rows)
	}
	return text
}
