package rib

import (
	"slices"
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
	slices.SortFunc(r.paths, r.compare)
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

// compare orders routes to one prefix, the best first, by those rules of RFC 4271 section 9.1.2.2 that need only what a
// route tells.
func (r *RIB) compare(p, q setPath) int {
	a, b := r.record(p.record), r.record(q.record)
	for _, c := range [...]int64{
		int64(b.preference()) - int64(a.preference()),
		int64(a.length) - int64(b.length),
		int64(a.origin) - int64(b.origin),
		a.medAgainst(b),
		int64(a.flags&internal) - int64(b.flags&internal),
		int64(r.sources.at(p.source).Neighbor) - int64(r.sources.at(q.source).Neighbor),
		int64(p.source) - int64(q.source),
		int64(p.pathID) - int64(q.pathID),
	} {
		if c < 0 {
			return -1
		} else if c > 0 {
			return 1
		}
	}
	return 0
}

// preference returns LOCAL_PREF, or the usual default of 100 without it.
func (x *record) preference() uint32 {
	if x.flags&hasLocalPref == 0 {
		return 100
	}
	return x.localPref
}

// medAgainst compares MEDs, where a missing one is 0. Routes from different neighbour ASes count as equal.
func (x *record) medAgainst(y *record) int64 {
	if x.firstAS != y.firstAS {
		return 0
	}
	return int64(x.med) - int64(y.med)
}
