package rib

import (
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/route"
)

// A slot is a word with the number of a record or set and two flags. 0: no route.
const (
	// fresh marks a route that its source has announced in the current session. Slots with sets do not use it.
	fresh      = 1 << 31
	isSet      = 1 << 30 // the number is that of a set
	slotNumber = isSet - 1
)

// Table holds the routes of a router in one class and VRF. A reader may keep it: a table that was removed is empty.
type Table struct {
	Router *Router
	Class  route.Class
	RD     route.RD
	trees  [2][Ranks]tree // IPv4 and IPv6, by the rank of the sources
	// best holds the IPv4 and the IPv6 tree that answer look-ups. nil: no routes.
	best [2]atomic.Pointer[tree]
}

// Ranks is the number of ranks. Rank 0 is preferred. Each rank has trees of its own, one of which answers look-ups,
// because the views of one router have different routes that must not be mixed.
const Ranks = 8

// tree holds the slots of a table's IPv4 or IPv6 prefixes of one rank, in three levels of pages.
type tree struct {
	table *Table
	v6    bool
	rank  uint8
	ready bool          // a source has announced all its routes
	top   atomic.Uint32 // number of the top page; 0: the tree is empty
	// owner is the source of all routes whose slot has a record and not a set. Such routes have no path identifier.
	// plain is their number; while it is above 0 the owner cannot change.
	owner atomic.Pointer[Source]
	plain int
	count atomic.Int64 // number of prefixes with a route
}

// Routes returns the number of IPv4 and of IPv6 prefixes with a route. It is safe for concurrent use.
func (t *Table) Routes() (v4, v6 int64) {
	if x := t.best[0].Load(); x != nil {
		v4 = x.count.Load()
	}
	if x := t.best[1].Load(); x != nil {
		v6 = x.count.Load()
	}
	return v4, v6
}

// tree returns the tree of a rank.
func (t *Table) tree(v6 bool, rank uint8) *tree { return &t.trees[familyIndex(v6)][rank] }

// answering returns the tree that answers look-ups, or nil if there are no routes. It is safe for concurrent use.
func (t *Table) answering(v6 bool) *tree { return t.best[familyIndex(v6)].Load() }

func familyIndex(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// choose selects the tree that answers look-ups, among those with routes. It prefers a tree that is complete and has a
// source with a session, then one that is complete, then any. Of equals it takes the lowest rank.
func (t *Table) choose(v6 bool) {
	var best *tree
	most := 0
	for i := range Ranks {
		x := &t.trees[familyIndex(v6)][i]
		if x.count.Load() == 0 {
			continue
		}
		merit := 1
		if x.ready {
			merit++
			if t.Router.upChosen[i] {
				merit++
			}
		}
		if merit > most {
			best, most = x, merit
		}
	}
	t.best[familyIndex(v6)].Store(best)
}

// slot returns the slot of prefix n.
func (r *RIB) slot(t *tree, n uint32) uint32 {
	p := t.top.Load()
	if p == 0 {
		return 0
	}
	if p = r.pages.load(p, n>>16); p == 0 {
		return 0
	}
	if p = r.pages.load(p, n>>8&0xff); p == 0 {
		return 0
	}
	return r.pages.load(p, n&0xff)
}

// slots sets to to the slots of prefixes, as slot returns them; 0 for number 0. The pages of slots are found first, so
// that the cache misses of the slots overlap.
func (r *RIB) slots(t *tree, numbers, to []uint32) {
	top := t.top.Load()
	if top == 0 {
		clear(to)
		return
	}
	for i, n := range numbers {
		if to[i] = r.pages.load(top, n>>16); to[i] != 0 {
			to[i] = r.pages.load(to[i], n>>8&0xff)
		}
	}
	for i, n := range numbers {
		if to[i] != 0 {
			to[i] = r.pages.load(to[i], n&0xff)
		}
		if n == 0 {
			to[i] = 0
		}
	}
}

// leaf returns the page with the slot of prefix n, and adds the pages on the way to it.
func (r *RIB) leaf(t *tree, n uint32) (uint32, error) {
	top := t.top.Load()
	if top == 0 {
		var err error
		if top, err = r.pages.take(); err != nil {
			return 0, err
		}
		t.top.Store(top)
	}
	middle, err := r.below(top, n>>16)
	if err != nil {
		return 0, err
	}
	return r.below(middle, n>>8&0xff)
}

// below returns the page that word i of a page refers to, and adds it if there is none.
func (r *RIB) below(page, i uint32) (uint32, error) {
	if n := r.pages.load(page, i); n != 0 {
		return n, nil
	}
	n, err := r.pages.take()
	if err != nil {
		return 0, err
	}
	r.pages.store(page, i, n)
	r.pages.entries.all[page]++
	return n, nil
}

// setSlot changes a slot, whose page must exist (see leaf). It retires a page that loses its last route.
func (r *RIB) setSlot(t *tree, n, v uint32) {
	top := t.top.Load()
	middle := r.pages.load(top, n>>16)
	leaf := r.pages.load(middle, n>>8&0xff)
	was := r.pages.load(leaf, n&0xff)
	r.pages.store(leaf, n&0xff, v)
	switch {
	case was == 0 && v != 0:
		r.pages.entries.all[leaf]++
		if t.count.Add(1) == 1 {
			t.table.choose(t.v6)
		}
	case was != 0 && v == 0:
		if t.count.Add(-1) == 0 {
			t.ready = false
			t.table.choose(t.v6)
		}
		if r.lostWord(leaf) {
			r.pages.store(middle, n>>8&0xff, 0)
			r.retire(limboPage, leaf)
			r.prune(t, top, middle, n)
		}
	}
}

// prune retires the pages above a retired one if they are empty too.
func (r *RIB) prune(t *tree, top, middle, n uint32) {
	if !r.lostWord(middle) {
		return
	}
	r.pages.store(top, n>>16, 0)
	r.retire(limboPage, middle)
	if r.lostWord(top) {
		t.top.Store(0)
		r.retire(limboPage, top)
	}
}

// lostWord decrements the number of words in use of a page, and reports whether none is left.
func (r *RIB) lostWord(page uint32) bool {
	r.pages.entries.all[page]--
	return r.pages.entries.all[page] == 0
}

// pruneEmpty retires pages that leaf added for a slot which then got no route.
func (r *RIB) pruneEmpty(t *tree, n uint32) {
	top := t.top.Load()
	if top == 0 {
		return
	}
	middle := r.pages.load(top, n>>16)
	if middle == 0 {
		if r.pages.entries.all[top] == 0 {
			t.top.Store(0)
			r.retire(limboPage, top)
		}
		return
	}
	leaf := r.pages.load(middle, n>>8&0xff)
	if leaf != 0 {
		if r.pages.entries.all[leaf] > 0 {
			return
		}
		r.pages.store(middle, n>>8&0xff, 0)
		r.retire(limboPage, leaf)
		r.prune(t, top, middle, n)
		return
	}
	if r.pages.entries.all[middle] == 0 {
		r.pages.store(top, n>>16, 0)
		r.retire(limboPage, middle)
		if r.lostWord(top) {
			t.top.Store(0)
			r.retire(limboPage, top)
		}
	}
}

// following returns the first prefix number from n on that has a leaf page. ok is false if there is none.
func (r *RIB) following(t *tree, n uint32) (next uint32, ok bool) {
	top := t.top.Load()
	for top != 0 && n < maxNumbers {
		middle := r.pages.load(top, n>>16)
		if middle == 0 {
			n = (n>>16 + 1) << 16
			continue
		}
		if r.pages.load(middle, n>>8&0xff) != 0 {
			return n, true
		}
		n = (n>>8 + 1) << 8
	}
	return 0, false
}
