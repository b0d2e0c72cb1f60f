package rib

import (
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/route"
)

// Source is an origin of a router's routes: a BGP neighbour, a view of a BMP peer, or a peer of an MRT file. Its routes
// outlive a session. They stay until Drop, or until a later session is complete without them.
type Source struct {
	Router *Router
	// Rank is the source's rank, less than Ranks. Of a router's sources those with the lowest rank answer look-ups.
	Rank uint8
	// Neighbor is the announcing speaker's BGP identifier. It breaks ties between routes: the lowest wins.
	Neighbor uint32
	// Label says what the source is. It is set before the first batch, and does not change.
	Label Label
	// MaxRoutes is the maximum number of routes of the source. 0: no limit but that of the RIB.
	MaxRoutes  int64
	routes     int64
	id         uint32
	generation atomic.Uint32 // number of the current session
	up         atomic.Bool
	loaded     atomic.Bool   // created by Load
	changed    atomic.Int64  // start or end of the latest session; Unix nanoseconds
	trees      map[*tree]int // number of routes by tree
	counts     [route.Families]atomic.Int64
	removed    bool

	lastKey   tableKey // key of lastTable
	lastTable *Table   // the table of the latest change; nil: unknown
}

// NewSource adds a source of routes to a router. Remove removes it.
func (x *Router) NewSource(rank uint8) *Source {
	r := x.rib
	s := &Source{Router: x, Rank: rank, trees: map[*tree]int{}}
	s.changed.Store(time.Now().UnixNano())
	r.sources.add(s)
	x.sources = append(x.sources, s)
	x.updateStale()
	return s
}

// Routes returns the number of routes of a family that the source has. It is safe for concurrent use.
func (s *Source) Routes(f route.Family) int64 { return s.counts[f.Index()].Load() }

func (x *Router) updateStale() {
	x.stale.Store(x.up == [Ranks]int{})
}

// setUp sets whether the source has a session.
func (s *Source) setUp(up bool) {
	if s.up.Load() == up {
		return
	}
	x := s.Router
	s.up.Store(up)
	if up {
		x.up[s.Rank]++
	} else {
		x.up[s.Rank]--
	}
	// A router can have thousands of tables, and a peer that comes and goes: they are chosen at the next Publish.
	if (x.up[s.Rank] > 0) != x.upChosen[s.Rank] && !x.upPending {
		x.upPending = true
		x.rib.upPending = append(x.rib.upPending, x)
	}
	x.updateStale()
}

// Begin marks the start of a session. Routes of earlier sessions become stale, and Complete removes those that this
// session has not announced.
func (s *Source) Begin() {
	r := s.Router.rib
	s.generation.Add(1)
	s.changed.Store(time.Now().UnixNano())
	s.setUp(true)
	r.sweeps = slices.DeleteFunc(r.sweeps, func(w *sweep) bool { return w.source == s })
	for t := range s.trees {
		if t.owner.Load() == s {
			r.clearFresh(t)
		}
	}
}

// End marks the end of a session. The routes stay.
func (s *Source) End() {
	if s.up.Load() {
		s.changed.Store(time.Now().UnixNano())
	}
	s.setUp(false)
}

var errRemoved = errors.New("the source of routes is removed")

// Apply applies a batch: its changes in their order, then its End-of-RIBs. refused is the number of routes left out
// because of a limit. undecodable is the number of routes whose attributes cannot be decoded; they are withdrawn.
func (s *Source) Apply(b *route.Batch) (refused, undecodable int, err error) {
	if s.removed {
		return 0, 0, errRemoved
	}
	r := s.Router.rib
	last, record := int32(route.Withdrawn), uint32(0)
	var failed error
	for i := range b.Changes {
		c := &b.Changes[i]
		if c.Bundle == route.Withdrawn {
			s.withdraw(c)
			continue
		}
		if c.Bundle != last {
			if record != 0 {
				r.unref(record)
			}
			last = c.Bundle
			record, failed = r.bundle(&b.Bundles[last], b.Decode)
			if errors.Is(failed, errMemory) {
				r.freeUnused()
				record, failed = r.bundle(&b.Bundles[last], b.Decode)
			}
		}
		switch {
		case record != 0:
			if !s.announce(c, record) {
				refused++
			}
		case errors.Is(failed, errMemory):
			s.withdraw(c) // the old route is no longer valid
			refused++
		default:
			s.withdraw(c)
			undecodable++
		}
	}
	if record != 0 {
		r.unref(record)
	}
	r.refused += uint64(refused)
	for _, f := range b.Complete {
		s.Complete(f)
	}
	return refused, undecodable, nil
}

// table returns the table of a change, which usually is that of the change before. The only error is errMemory.
func (s *Source) table(c *route.Change) (*Table, error) {
	k := tableKey{c.Class, c.RD}
	if s.lastTable != nil && s.lastKey == k {
		return s.lastTable, nil
	}
	t, err := s.Router.table(k)
	if err == nil {
		s.lastKey, s.lastTable = k, t
	}
	return t, err
}

// announce adds or replaces a route. It returns false if a limit is reached; the source then has no route to the
// prefix.
func (s *Source) announce(c *route.Change, record uint32) bool {
	r := s.Router.rib
	for range 2 {
		err := s.tryAnnounce(c, record)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrFull) {
			break
		}
		r.freeUnused()
	}
	s.withdraw(c)
	if t := s.Router.Table(c.Class, c.RD); t != nil {
		r.noteEmpty(t)
	}
	return false
}

func (s *Source) tryAnnounce(c *route.Change, record uint32) error {
	r := s.Router.rib
	table, err := s.table(c)
	if err != nil {
		return err
	}
	t := table.tree(c.Prefix.V6, s.Rank)
	n, err := r.prefix(c.Prefix)
	if err != nil {
		return err
	}
	was := r.slot(t, n)
	if was == 0 {
		if _, err := r.leaf(t, n); err != nil {
			r.pruneEmpty(t, n)
			return err
		}
	}
	if c.PathID == 0 && was&isSet == 0 && (t.plain == 0 || t.owner.Load() == s) {
		return s.setPlain(t, n, was, record)
	}
	r.paths = r.appendPaths(r.paths[:0], t, was)
	mine := setPath{s.id, c.PathID, record, s.generation.Load()}
	at := slices.IndexFunc(r.paths, func(p setPath) bool { return p.source == s.id && p.pathID == c.PathID })
	if at >= 0 {
		r.paths[at] = mine
	} else {
		if s.full() || len(r.paths) >= maxPaths {
			r.pruneEmpty(t, n)
			return ErrFull
		}
		r.paths = append(r.paths, mine)
	}
	if err := r.setPathsOf(t, n, was); err != nil {
		r.pruneEmpty(t, n)
		return err
	}
	if at < 0 {
		s.count(t, 1)
	}
	return nil
}

// maxPaths is the maximum number of routes of one router to one prefix.
const maxPaths = 1024

// setPlain makes a record the only route of a slot without a set.
func (s *Source) setPlain(t *tree, n, was, record uint32) error {
	r := s.Router.rib
	if was == 0 {
		if s.full() {
			r.pruneEmpty(t, n)
			return ErrFull
		}
		if t.plain == 0 {
			t.owner.Store(s)
		}
		t.plain++
		s.count(t, 1)
		r.family(t).ref(n)
	}
	if was&slotNumber != record {
		r.arena.header(record).refs++
	}
	r.setSlot(t, n, record|fresh)
	if was != 0 && was&slotNumber != record {
		r.unref(was & slotNumber)
	}
	return nil
}

// full reports whether the source can have no further route.
func (s *Source) full() bool {
	r := s.Router.rib
	return r.routes >= r.maxRoutes || s.MaxRoutes > 0 && s.routes >= s.MaxRoutes
}

// count adds n to the number of the source's routes in a tree.
func (s *Source) count(t *tree, n int) {
	s.trees[t] += n
	if s.trees[t] == 0 {
		delete(s.trees, t)
		s.Router.rib.noteEmpty(t.table)
	}
	s.counts[route.Family{Class: t.table.Class, V6: t.v6}.Index()].Add(int64(n))
	s.routes += int64(n)
	s.Router.rib.routes += int64(n)
}

// noteEmpty has Publish remove the table of a VRF if it has no routes.
func (r *RIB) noteEmpty(t *Table) {
	if t.Class == route.VPN && t.empty() {
		r.emptied = append(r.emptied, t)
	}
}

func (t *Table) empty() bool { return t.best[0].Load() == nil && t.best[1].Load() == nil }

// removeEmpty removes tables of VRFs without routes. Otherwise a peer could fill the memory with VRFs.
func (r *RIB) removeEmpty() {
	for _, t := range r.emptied {
		if t.empty() && t.Router.Table(t.Class, t.RD) == t {
			t.Router.dropTable(t)
			for _, s := range t.Router.sources {
				s.lastTable = nil
			}
			r.generation.Add(1)
		}
	}
	clear(r.emptied)
	r.emptied = r.emptied[:0]
}

func (r *RIB) family(t *tree) *prefixes { return r.prefixes(t.v6) }

// prefixes returns the prefixes of IPv4 or IPv6.
func (r *RIB) prefixes(v6 bool) *prefixes {
	if v6 {
		return r.v6
	}
	return r.v4
}

// withdraw removes a route if the source has it.
func (s *Source) withdraw(c *route.Change) {
	r := s.Router.rib
	table := s.Router.Table(c.Class, c.RD)
	if table == nil {
		return
	}
	t := table.tree(c.Prefix.V6, s.Rank)
	n := r.family(t).find(c.Prefix)
	if n == 0 {
		return
	}
	was := r.slot(t, n)
	switch {
	case was == 0:
	case was&isSet != 0:
		r.removePaths(t, n, was, func(p *setPath) bool { return p.source == s.id && p.pathID == c.PathID })
	case t.owner.Load() == s && c.PathID == 0:
		r.removePlain(t, n, was)
	}
}

// removePlain removes the route of a slot without a set.
func (r *RIB) removePlain(t *tree, n, was uint32) {
	r.setSlot(t, n, 0)
	r.unref(was & slotNumber)
	r.family(t).unref(n)
	t.plain--
	t.owner.Load().count(t, -1)
	if t.plain == 0 {
		t.owner.Store(nil)
	}
}

// removePaths removes the routes for which gone returns true from a slot with a set.
func (r *RIB) removePaths(t *tree, n, was uint32, gone func(*setPath) bool) {
	r.paths = append(r.paths[:0], r.setPaths(was&slotNumber)...)
	for i := range r.paths {
		if gone(&r.paths[i]) {
			r.sources.at(r.paths[i].source).count(t, -1)
		}
	}
	kept := slices.DeleteFunc(r.paths, func(p setPath) bool { return gone(&p) })
	if len(kept) == len(r.paths) {
		return
	}
	r.paths = kept
	if err := r.setPathsOf(t, n, was); err != nil {
		// There is no memory for the smaller set. A prefix without a route is better than one with a withdrawn route.
		for i := range r.paths {
			r.sources.at(r.paths[i].source).count(t, -1)
		}
		r.refused += uint64(len(r.paths))
		r.paths = r.paths[:0]
		_ = r.setPathsOf(t, n, was) // takes no memory
	}
}

// freeUnused frees prefixes without routes, and memory that no reader uses any more.
func (r *RIB) freeUnused() {
	for _, p := range []*prefixes{r.v4, r.v6} {
		for range math.MaxUint16 {
			if !r.removeOldest(p) {
				break
			}
		}
	}
	r.Publish()
}
