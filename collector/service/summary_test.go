package service

import (
	"testing"

	"github.com/metranova/flow-collector/sink/tally"
)

func TestUnexplained(t *testing.T) {
	balanced := tally.Account{Taken: 10, Found: 2, Delivered: 12}
	for name, test := range map[string]struct {
		records, rows uint64
		flows         bool
		became        tally.Account
		want          uint64
	}{
		"it balances":                   {10, 10, true, balanced, 0},
		"a stream that is counted late": {8, 10, true, balanced, 0},
		"records that became no rows":   {13, 10, true, balanced, 3},
		"rows go to Kafka alone":        {10, 0, false, tally.Account{}, 0},
		"rows that became nothing":      {10, 10, true, tally.Account{Taken: 10, Delivered: 7}, 3},
		"rows that came from nowhere":   {10, 10, true, tally.Account{Taken: 10, Delivered: 11}, 1},
	} {
		if got := unexplained(test.records, test.rows, test.flows, test.became); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
