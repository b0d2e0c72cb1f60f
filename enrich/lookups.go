package enrich

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
)

// LookUps are look-ups of destinations by exporter. Enrichers share it. The first exporters have counts of their own,
// those that come when there are enough are counted together. It is safe for concurrent use.
type LookUps struct {
	most   int
	mu     sync.Mutex
	counts map[flow.Addr][]*lookUpCounter // one of each enricher that has rows of the exporter
	others []*lookUpCounter
}

// NewLookUps returns an empty one, in which so many exporters have counts of their own.
func NewLookUps(most int) *LookUps {
	return &LookUps{most: most, counts: map[flow.Addr][]*lookUpCounter{}}
}

// ExporterLookUps are what destinations of an exporter's flows got.
type ExporterLookUps struct {
	Exporter flow.Addr // as in rows
	RouteCounts
	// UnknownVRF are those of the above in VRFs that the router has no table of, which got a route of its global table.
	UnknownVRF uint64
}

// All returns the exporters with counts of their own, by address, and the others together, as of each enricher's latest
// End.
func (l *LookUps) All() (all []ExporterLookUps, others ExporterLookUps) {
	if l == nil {
		return nil, others
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for a, counters := range l.counts {
		all = append(all, sumOf(a, counters))
	}
	slices.SortFunc(all, func(a, b ExporterLookUps) int { return slices.Compare(a.Exporter[:], b.Exporter[:]) })
	return all, sumOf(flow.Addr{}, l.others)
}

func sumOf(a flow.Addr, counters []*lookUpCounter) ExporterLookUps {
	var n [lookUpCounts]uint64
	for _, c := range counters {
		for i := range n {
			n[i] += c.shown[i].Load()
		}
	}
	return ExporterLookUps{a, routeCounts(n[:outcomes]), n[unknownVRF]}
}

// admit adds an enricher's counter of an exporter. It returns false if the exporter has no counts of its own.
func (l *LookUps) admit(a flow.Addr, c *lookUpCounter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.counts[a]; !there && len(l.counts) >= l.most {
		return false
	}
	l.counts[a] = append(l.counts[a], c)
	return true
}

// addOthers adds an enricher's counter of exporters without counts of their own.
func (l *LookUps) addOthers(c *lookUpCounter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = append(l.others, c)
}

// Indexes of a lookUpCounter are outcomes, and unknownVRF.
const (
	unknownVRF   = int(outcomes)
	lookUpCounts = unknownVRF + 1
)

// lookUpCounter counts an enricher's look-ups of one exporter. Only shown is safe for concurrent use.
type lookUpCounter struct {
	counts  [lookUpCounts]uint64
	shown   [lookUpCounts]atomic.Uint64 // counts as of the latest End
	changed bool                        // is in lookUpCounters.changed
}

// lookUpCounters are the counters of an enricher.
type lookUpCounters struct {
	shared  *LookUps // nil: nobody asks by exporter
	own     map[flow.Addr]*lookUpCounter
	others  lookUpCounter
	changed []*lookUpCounter // since the latest End
	shown   [outcomes]atomic.Uint64
}

func (x *lookUpCounters) init(shared *LookUps) {
	x.shared, x.own = shared, map[flow.Addr]*lookUpCounter{}
	if shared != nil {
		shared.addOthers(&x.others)
	}
}

// of returns the counter of an exporter.
func (x *lookUpCounters) of(a flow.Addr) *lookUpCounter {
	if c := x.own[a]; c != nil {
		return c
	}
	c := new(lookUpCounter)
	if x.shared == nil || !x.shared.admit(a, c) {
		return &x.others
	}
	x.own[a] = c
	return c
}

// end makes what was counted since the latest call visible to others.
func (x *lookUpCounters) end() {
	for _, c := range x.changed {
		c.changed = false
		for i, n := range c.counts {
			more := n - c.shown[i].Load()
			if more == 0 {
				continue
			}
			c.shown[i].Store(n)
			if i < len(x.shown) {
				x.shown[i].Store(x.shown[i].Load() + more) // no other goroutine stores
			}
		}
	}
	x.changed = x.changed[:0]
}

// total returns the look-ups of all exporters. It is safe for concurrent use.
func (x *lookUpCounters) total() RouteCounts {
	var n [outcomes]uint64
	for i := range n {
		n[i] = x.shown[i].Load()
	}
	return routeCounts(n[:])
}

// count counts the look-up of the record at hand. t are the tables that were tried last; nil: none.
func (x *routes) count(e *exporterEntry, t *routerTables) {
	c := e.lookUps
	if c == nil {
		c = x.counters.of(e.addr)
		e.lookUps = c
	}
	if !c.changed {
		c.changed = true
		x.counters.changed = append(x.counters.changed, c)
	}
	x.result = x.outcome(t)
	c.counts[x.result]++
	if x.unknownVRF && x.dstFound && !x.usedFallback {
		c.counts[unknownVRF]++
	}
}

// outcome says what the look-up of the record at hand ended with.
func (x *routes) outcome(t *routerTables) Outcome {
	switch {
	case x.dstFound && x.usedFallback:
		return Fallback
	case x.dstFound && x.dst.Table().Router.Stale():
		return Stale
	case x.dstFound && x.dst.IsDefault():
		return Default
	case x.dstFound:
		return Hit
	case t == nil:
		return NoRouter
	case x.unknownVRF:
		return NoVRF
	}
	return Miss
}
