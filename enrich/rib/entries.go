package rib

import (
	"net/netip"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Entry is a route with its source and state, which look-ups of flows do not need. Like its Route it is valid until the
// reader's Leave.
type Entry struct {
	Route
	Source *Source // nil: the source was removed meanwhile
	PathID uint32  // of ADD-PATH (RFC 7911); 0: none
	// Best says that it is the best route to its prefix in its view.
	Best bool
	// Answers says that look-ups of flows use its view.
	Answers bool
	// Stale says that the session that announced it has ended, and that no later one has announced it again.
	Stale bool
	// Saved says that Load has read it from the file, and that no session has announced it again.
	Saved bool
}

// Entries calls f for the routes of a table to the prefixes that contain p. Views come one after the other; within a
// view the longest prefix comes first. Unless shorter is true, only the longest prefix of each view counts. Entries
// ends when f returns false. The reader must be within Enter and Leave.
func (rd *Reader) Entries(t *Table, p netip.Prefix, shorter bool, f func(*Entry) bool) {
	r := rd.rib
	a := flow.AddrFrom(p.Addr())
	n, v6 := rd.find(&a)
	x := r.prefixes(v6)
	for n != 0 && int(x.length(n)) > p.Bits() {
		n = x.parentOf(n)
	}
	answering := t.answering(v6)
	for rank := range Ranks {
		tree := &t.trees[familyIndex(v6)][rank]
		if tree.count.Load() == 0 {
			continue
		}
		for at, last := n, false; !last; {
			if at == 0 {
				at, last = x.zero.Load(), true
			}
			slot := uint32(0)
			if at != 0 {
				slot = r.slot(tree, at)
			}
			if slot != 0 {
				if !rd.entries(tree, at, slot, tree == answering, f) {
					return
				}
				if !shorter {
					break
				}
			}
			if !last {
				at = x.parentOf(at)
			}
		}
	}
}

// entries calls f for the routes of a slot, the best one first. It returns false if f did.
func (rd *Reader) entries(t *tree, n, slot uint32, answers bool, f func(*Entry) bool) bool {
	r := rd.rib
	if checked {
		rd.checkRecord(r.arena.header(slot & slotNumber))
	}
	if slot&isSet == 0 {
		e := Entry{Route: Route{r.record(slot & slotNumber), r, n, t}, Source: t.owner.Load(), Best: true,
			Answers: answers}
		e.age(slot&fresh == 0, 1)
		return f(&e)
	}
	for i, p := range r.setPaths(slot & slotNumber) {
		e := Entry{Route: Route{r.record(p.record), r, n, t}, Source: r.sources.at(p.source), PathID: p.pathID,
			Best: i == 0, Answers: answers}
		if e.Source != nil {
			now := e.Source.generation.Load()
			e.age(p.generation != now, now-p.generation)
		}
		if !f(&e) {
			return false
		}
	}
	return true
}

// age sets Stale and Saved. before says that an earlier session announced the route, that many sessions ago.
func (e *Entry) age(before bool, sessions uint32) {
	if e.Source == nil {
		return
	}
	now := e.Source.generation.Load()
	e.Stale = before || !e.Source.Up()
	e.Saved = e.Source.loaded.Load() && (now == 0 || before && sessions >= now)
}

// Walk visits the routes of some tables, a part at a time. Reader.Walk begins one.
type Walk struct {
	reader *Reader
	trees  []*tree
	next   uint32
	v6     bool
}

// Walk begins a walk through the IPv4 or IPv6 routes of some tables, which must have the same class and route
// distinguisher. It visits the routes of the views that look-ups of flows use.
func (rd *Reader) Walk(tables []*Table, v6 bool) *Walk {
	w := &Walk{reader: rd, v6: v6}
	for _, t := range tables {
		if tree := t.answering(v6); tree != nil {
			w.trees = append(w.trees, tree)
		}
	}
	return w
}

// Next calls f for each of the next prefixes, with all its routes, and returns false at the end. Each prefix is visited
// once, in no particular order. The reader must be within Enter and Leave during the call. It should leave between two
// calls, so that the memory of removed routes can be reused. A prefix that is added or removed during the walk may or
// may not be visited.
func (w *Walk) Next(f func(route.Prefix, []Entry) error) (more bool, err error) {
	r := w.reader.rib
	first, found := uint32(maxNumbers), false
	for _, t := range w.trees {
		if n, is := r.following(t, w.next); is && n <= first {
			first, found = n, true
		}
	}
	if !found {
		return false, nil
	}
	x := r.prefixes(w.v6)
	var all []Entry
	w.next = (first>>8 + 1) << 8
	for n := first; n < w.next; n++ {
		all = all[:0]
		for _, t := range w.trees {
			if slot := r.slot(t, n); slot != 0 {
				w.reader.entries(t, n, slot, true, func(e *Entry) bool {
					all = append(all, *e)
					return true
				})
			}
		}
		if len(all) > 0 {
			if err := f(x.at(n), all); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// Attributes fills in the attributes of a route. Their slices belong to the routing table and must not be changed.
func (x *Route) Attributes(a *route.Attributes) {
	a.Origin, a.NextHop, a.Internal = x.Origin(), x.NextHop(), x.Internal()
	a.Path = x.Segments(a.Path[:0])
	a.LocalPref, a.HasLocalPref = x.LocalPref()
	a.MED, a.HasMED = x.MED()
	a.Communities, a.Extended, a.Large = x.Communities()
}
