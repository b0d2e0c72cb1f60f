package report

import (
	"testing"

	"github.com/metranova/flow-collector/enrich"
)

// The ledger of look-ups names all that there is, and says where it does not add up to the rows.
func TestLookUps(t *testing.T) {
	for want, x := range map[string]LookUps{
		"0 routes looked up": {},
		"21 routes looked up: 1 found, 2 by a default route, 3 of a router without a session, 4 of a fallback, " +
			"5 no route, 6 no router": {Rows: 21, RouteCounts: enrich.RouteCounts{Hit: 1, Default: 2, Stale: 3,
			Fallback: 4, Miss: 5, NoRouter: 6}},
		"1 route looked up: 1 found; 2 rows without a look-up": {enrich.RouteCounts{Hit: 1}, 3},
		"3 routes looked up: 3 no router; 2 more than rows":    {enrich.RouteCounts{NoRouter: 3}, 1},
	} {
		if got := x.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
