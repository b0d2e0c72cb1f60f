package rib

import (
	"cmp"
	"slices"

	"github.com/metranova/flow-collector/decoder/route"
)

// appendPaths appends the routes of a slot, with or without a set.
func (r *RIB) appendPaths(paths []setPath, t *tree, slot uint32) []setPath {
	switch {
	case slot == 0:
		return paths
	case slot&isSet != 0:
		return append(paths, r.setPaths(slot&slotNumber)...)
	}
	owner := t.owner.Load()
	generation := owner.generation.Load()
	if slot&fresh == 0 {
		generation--
	}
	return append(paths, setPath{owner.id, 0, slot & slotNumber, generation})
}

// setPathsOf makes r.paths the routes of slot n, whose value was. The caller updates the counts of sources.
func (r *RIB) setPathsOf(t *tree, n, was uint32) error {
	var becomes uint32
	if len(r.paths) > 0 {
		set, err := r.internSet()
		if err != nil {
			return err
		}
		becomes = set | isSet
	}
	if was == 0 && becomes != 0 {
		r.family(t).ref(n)
	}
	r.setSlot(t, n, becomes)
	if was != 0 {
		r.unref(was & slotNumber)
		if becomes == 0 {
			r.family(t).unref(n)
		}
	}
	if was != 0 && was&isSet == 0 {
		if t.plain--; t.plain == 0 {
			t.owner.Store(nil)
		}
	}
	return nil
}

// internSet sorts r.paths and returns the set of them, with a reference that the caller owns.
func (r *RIB) internSet() (uint32, error) {
	r.order(r.paths)
	hash := r.hasher.Sum(bytesOf(r.paths))
	if n := r.intern(hash); n != 0 {
		return n, nil
	}
	if err := r.bundles.reserve(); err != nil {
		return 0, err
	}
	n, err := r.newSet(hash, r.paths)
	if err != nil {
		return 0, err
	}
	r.bundles.add(uint32(hash[0]), n)
	return n, nil
}

// order orders routes to one prefix, the best first, by those rules of RFC 4271 section 9.1.2.2 that need only what a
// route tells. Rule c, MED, is no order of any two routes: it removes those for which the same neighbouring AS has a
// lower one, before the others are compared. They come last.
func (r *RIB) order(paths []setPath) {
	if len(paths) < 2 {
		return
	}
	slices.SortFunc(paths, func(p, q setPath) int {
		a, b := r.record(p.record), r.record(q.record)
		return cmp.Or(a.comparePath(b), cmp.Compare(a.medNeighbor(), b.medNeighbor()), cmp.Compare(a.med, b.med),
			r.compareSource(p, q))
	})
	for len(paths) > 1 {
		n := r.keepLowestMED(paths)
		slices.SortFunc(paths[:n], r.compareSource)
		first := r.record(paths[0].record)
		for n < len(paths) && first.comparePath(r.record(paths[n].record)) == 0 {
			n++
		}
		paths = paths[n:]
	}
}

// keepLowestMED moves those of the first routes that are equal by comparePath to the front, in their order, which no
// route of the same neighbouring AS has a lower MED than, and returns how many there are. Paths are ordered by
// comparePath, medNeighbor and MED. A missing MED is 0.
func (r *RIB) keepLowestMED(paths []setPath) int {
	first := r.record(paths[0].record)
	as, med, kept := first.medNeighbor(), first.med, 1
	r.higher = r.higher[:0]
	for i := 1; i < len(paths); i++ {
		x := r.record(paths[i].record)
		if first.comparePath(x) != 0 {
			break
		}
		if x.medNeighbor() != as {
			as, med = x.medNeighbor(), x.med
		}
		if x.med != med {
			r.higher = append(r.higher, paths[i])
			continue
		}
		paths[kept] = paths[i]
		kept++
	}
	copy(paths[kept:], r.higher)
	return kept
}

// comparePath compares routes by the rules before MED: LOCAL_PREF, the length of the path, ORIGIN.
func (x *record) comparePath(y *record) int {
	return cmp.Or(cmp.Compare(y.preference(), x.preference()), cmp.Compare(x.length, y.length),
		cmp.Compare(x.origin, y.origin))
}

// compareSource compares routes by the rules after MED: eBGP before iBGP, then the neighbour's identifier. What follows
// makes the order of a set independent of the order in which its routes came.
func (r *RIB) compareSource(p, q setPath) int {
	a, b := r.record(p.record), r.record(q.record)
	return cmp.Or(cmp.Compare(a.flags&internal, b.flags&internal),
		cmp.Compare(r.sources.at(p.source).Neighbor, r.sources.at(q.source).Neighbor),
		cmp.Compare(p.source, q.source), cmp.Compare(p.pathID, q.pathID))
}

// preference returns LOCAL_PREF, or the usual default of 100 without it.
func (x *record) preference() uint32 {
	if x.flags&hasLocalPref == 0 {
		return 100
	}
	return x.value
}

// medNeighbor returns the neighbouring AS whose MEDs can be compared (RFC 4271 section 9.1.2.2 c, RFC 5065 section
// 5.3): the first one of the sequence that the path begins with outside confederations. 0 stands for the router's own
// AS: the path is empty, within the confederation, or begins with an AS_SET. Route.NeighborAS differs in these cases.
func (x *record) medNeighbor() uint32 {
	if x.segments == 0 {
		return x.firstAS
	}
	for w := x.parts().segments; len(w) > 0; w = w[1+w[0]&0xffff:] {
		switch kind := route.SegmentKind(w[0] >> 16); {
		case kind.Confederation():
		case kind == route.Sequence && w[0]&0xffff > 0:
			return w[1]
		default:
			return 0
		}
	}
	return 0
}
