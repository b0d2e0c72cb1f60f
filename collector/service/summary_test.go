package service

import (
	"testing"

	"github.com/metranova/flow-collector/sink/tally"
)

func TestUnexplained(t *testing.T) {
	for name, test := range map[string]struct {
		records, rows uint64
		became        tally.Account
		want          uint64
	}{
		"it balances":                   {10, 10, tally.Account{Taken: 10, Found: 2, Delivered: 12}, 0},
		"a stream that is counted late": {8, 10, tally.Account{Taken: 10, Delivered: 10}, 0},
		"records that became no rows":   {13, 10, tally.Account{Taken: 10, Delivered: 10}, 3},
		"rows that became nothing":      {10, 10, tally.Account{Taken: 10, Delivered: 7}, 3},
		"more rows than came in":        {10, 10, tally.Account{Taken: 10, Delivered: 11}, 1},
	} {
		if got := notMade(test.records, test.rows) + imbalance(test.became); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
