package page

import (
	"testing"

	"github.com/metranova/flow-collector/collector/explore"
)

// Hours of today that have not come lead nowhere: nothing is known of them.
func TestDays_notYet(t *testing.T) {
	a := answer(explore.Hours)
	a.To = noon
	hours := newDays(a, "explore")[0].Hours
	for i, h := range hours {
		if linked := h.Link != ""; linked != (i < noon.Hour()) {
			t.Errorf("hour %d is a link: %t", i, linked)
		}
	}
}
