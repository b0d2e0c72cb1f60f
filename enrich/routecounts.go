package enrich

import "iter"

// RouteCounts are look-ups of destinations: one for each row.
type RouteCounts struct {
	Hit      uint64
	Default  uint64 // the route is that of 0.0.0.0/0 or ::/0
	Stale    uint64 // the router has no session now, the route is of before
	Fallback uint64 // the exporter has no router of its own, the route is of another
	Miss     uint64 // the router has no route to it
	NoVRF    uint64 // the router has no table of the flow's VRF, and no route to it in the global one
	NoRouter uint64 // the exporter has no router with routes
}

// routeCounts are counts in the order of outcomes.
func routeCounts(n []uint64) RouteCounts {
	return RouteCounts{n[Hit], n[Default], n[Stale], n[Fallback], n[Miss], n[NoVRF], n[NoRouter]}
}

// list are the counts in the order of outcomes.
func (c *RouteCounts) list() [outcomes]uint64 {
	return [outcomes]uint64{c.Hit, c.Default, c.Stale, c.Fallback, c.Miss, c.NoVRF, c.NoRouter}
}

// Add adds the counts of another.
func (c *RouteCounts) Add(o RouteCounts) {
	a, b := c.list(), o.list()
	for i, n := range b {
		a[i] += n
	}
	*c = routeCounts(a[:])
}

// Since is what was counted since an earlier time.
func (c RouteCounts) Since(before RouteCounts) RouteCounts {
	a, b := c.list(), before.list()
	for i, n := range b {
		a[i] -= min(a[i], n)
	}
	return routeCounts(a[:])
}

// All yields each outcome and its count.
func (c *RouteCounts) All() iter.Seq2[Outcome, uint64] {
	return func(yield func(Outcome, uint64) bool) {
		for o, n := range c.list() {
			if !yield(Outcome(o), n) {
				return
			}
		}
	}
}

// Total is the number of look-ups.
func (c RouteCounts) Total() (all uint64) {
	for _, n := range c.list() {
		all += n
	}
	return all
}
