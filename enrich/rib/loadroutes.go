package rib

import (
	"fmt"
	"slices"
)

// routes reads the routes to a prefix.
func (x *loader) routes(kind uint64) {
	f := familyIndex(x.v6)
	at := x.last[f] + uint64(x.signed())
	if x.err != nil {
		return
	}
	if at >= uint64(len(x.prefixes[f])) {
		x.err = fmt.Errorf("%w: prefix %d of %d", ErrNotSaved, at, len(x.prefixes[f]))
		return
	}
	x.last[f] = at
	n := x.prefixes[f][at]
	if kind == savePlain {
		record := x.record()
		switch {
		case x.err != nil:
		case n == 0 || x.owner == nil || !x.ready():
			x.l.LeftOut++
		default:
			x.plain(n, record)
		}
	} else {
		x.paths(n)
	}
}

// paths reads the routes of a slot with a set.
func (x *loader) paths(n uint32) {
	r := x.rib
	r.paths = r.paths[:0]
	sources := map[*Source]int{}
	for m := x.number(maxPaths); m > 0 && x.err == nil; m-- {
		s := x.sourceAt(x.number(maxSavedSources))
		id, record := uint32(x.number(any32)), x.record()
		switch {
		case x.err != nil:
		case s == nil || n == 0 || !x.ready():
			x.l.LeftOut++
		case s.Router != x.tree.table.Router || s.Rank != x.tree.rank ||
			slices.ContainsFunc(r.paths, func(p setPath) bool { return p.source == s.id && p.pathID == id }):
			x.err = ErrNotSaved
		default:
			r.paths = append(r.paths, setPath{s.id, id, record, s.generation.Load()})
			sources[s]++
		}
	}
	if x.err == nil && len(r.paths) > 0 {
		x.set(n, sources)
	}
}

// plain adds a route as setPlain does, but faster: it keeps the page of the previous slot, where most slots are, and
// adds up the counts.
func (x *loader) plain(n, record uint32) {
	r, t, s := x.rib, x.tree, x.owner
	if x.leaf == 0 || n>>8 != x.leafOf {
		leaf, err := r.leaf(t, n)
		if err != nil {
			r.pruneEmpty(t, n)
			x.l.LeftOut++
			return
		}
		x.leaf, x.leafOf = leaf, n>>8
	}
	if r.pages.load(x.leaf, n&0xff) != 0 {
		x.err = ErrNotSaved
		return
	}
	if t.plain == 0 || t.count.Load() == 0 || t.owner.Load() != s {
		if s.setPlain(t, n, 0, record) == nil {
			x.l.Routes++
		} else {
			x.leaf = 0 // the page may have been freed
			x.l.LeftOut++
		}
		return
	}
	if most := int64(x.counted); r.routes+most >= r.maxRoutes || s.MaxRoutes > 0 && s.routes+most >= s.MaxRoutes {
		x.leaf = 0
		r.pruneEmpty(t, n)
		x.l.LeftOut++
		return
	}
	r.family(t).ref(n)
	r.arena.header(record).refs++
	r.pages.store(x.leaf, n&0xff, record|fresh)
	r.pages.entries.all[x.leaf]++
	t.count.Add(1)
	t.plain++
	x.counted++
	x.l.Routes++
}

// flushCounts adds the counts of plain to the source.
func (x *loader) flushCounts() {
	if x.counted > 0 {
		x.owner.count(x.tree, x.counted)
		x.counted = 0
	}
}

func (x *loader) set(n uint32, sources map[*Source]int) {
	r := x.rib
	x.flushCounts()
	x.leaf = 0
	if r.slot(x.tree, n) != 0 {
		x.err = ErrNotSaved
		return
	}
	count := len(r.paths)
	_, err := r.leaf(x.tree, n)
	if err == nil && r.routes+int64(count) > r.maxRoutes {
		err = ErrFull
	}
	if err == nil {
		err = r.setPathsOf(x.tree, n, 0)
	}
	if err != nil {
		r.pruneEmpty(x.tree, n)
		x.l.LeftOut += int64(count)
		return
	}
	for s, m := range sources {
		s.count(x.tree, m)
	}
	x.l.Routes += int64(count)
}

// complete marks the loaded trees as complete, so that they answer look-ups as if their sources had announced all
// routes.
func (x *loader) complete() {
	for _, s := range x.l.sources {
		if s == nil {
			continue
		}
		for t := range s.trees {
			t.ready = true
			t.table.choose(t.v6)
		}
	}
}
