package sink

import (
	"slices"
	"testing"
)

// A queue that is full gives up the oldest of the kind that takes more, until it is within its limit, and nothing while
// what waits takes half of it or less. Batches have 10 bytes; those that are set apart are negative.
func TestEvict(t *testing.T) {
	for name, test := range map[string]struct {
		waiting             []int
		used, limit         int64
		wantRest, wantTaken []int
	}{
		"within the limit":           {[]int{1, -2, 3}, 30, 30, []int{1, -2, 3}, nil},
		"all alike":                  {[]int{1, 2, 3, 4}, 40, 30, []int{2, 3, 4}, []int{1}},
		"apart takes more":           {[]int{1, -2, -3, -4}, 40, 30, []int{1, -3, -4}, []int{-2}},
		"apart takes half":           {[]int{-1, 2, -3, 4}, 40, 30, []int{-1, -3, 4}, []int{2}},
		"in turn":                    {[]int{-1, 2, -3, -4, 5}, 50, 30, []int{-3, -4, 5}, []int{-1, 2}},
		"the rest is on its way":     {[]int{1, 2}, 100, 40, []int{1, 2}, nil},
		"down to half of the limit":  {[]int{1, 2, 3}, 100, 40, []int{2, 3}, []int{1}},
		"nothing waits":              {nil, 100, 40, nil, nil},
		"all, if the limit is small": {[]int{1, -2}, 20, 0, []int{}, []int{1, -2}},
	} {
		rest, taken := Evict(slices.Clone(test.waiting), test.used, test.limit,
			func(n int) (int64, bool) { return 10, n < 0 })
		if !slices.Equal(rest, test.wantRest) || !slices.Equal(taken, test.wantTaken) {
			t.Errorf("%s: %v stay and %v go, want %v and %v", name, rest, taken, test.wantRest, test.wantTaken)
		}
	}
}
