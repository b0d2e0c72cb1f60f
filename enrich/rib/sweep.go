package rib

import (
	"maps"
	"slices"
	"unsafe"

	"github.com/metranova/flow-collector/decoder/route"
)

// sweep removes routes of a source from a tree, step by step.
type sweep struct {
	source *Source
	tree   *tree
	all    bool   // remove all routes; else stale ones, which were not announced since Begin
	next   uint32 // prefix number to continue with
}

// Complete marks that the source has announced all its routes of a family since Begin. Work then removes stale ones.
func (s *Source) Complete(f route.Family) {
	for t := range s.trees {
		if t.table.Class == f.Class && t.v6 == f.V6 {
			s.complete(t)
		}
	}
}

func (s *Source) complete(t *tree) {
	s.sweep(t, false)
	if !t.ready {
		t.ready = true
		t.table.choose(t.v6)
	}
}

// CompleteAll is Complete for all families.
func (s *Source) CompleteAll() {
	for t := range s.trees {
		s.complete(t)
	}
}

// Drop has Work remove all routes of the source. Routes that are announced before Work is done may be removed too.
func (s *Source) Drop() {
	for t := range s.trees {
		s.sweep(t, true)
	}
}

// Remove has Work remove all routes of the source, then the source, and the router if it has no other source.
func (s *Source) Remove() {
	s.removed = true
	s.End()
	s.Drop()
	s.finish()
}

func (s *Source) sweep(t *tree, all bool) {
	r := s.Router.rib
	r.sweeps = slices.DeleteFunc(r.sweeps, func(w *sweep) bool { return w.source == s && w.tree == t })
	r.sweeps = append(r.sweeps, &sweep{source: s, tree: t, all: all})
}

// Sweeping reports whether Work is not done.
func (r *RIB) Sweeping() bool { return len(r.sweeps) > 0 }

// Work continues the removal of routes. It visits about as many slots as it is told, so that the writer can do other
// work in between.
func (r *RIB) Work(slots int) {
	for slots > 0 && len(r.sweeps) > 0 {
		w := r.sweeps[0]
		done := false
		for slots > 0 && !done {
			n, found := r.following(w.tree, w.next)
			if !found {
				done = true
				break
			}
			end := (n>>8 + 1) << 8
			slots -= int(end - n)
			for ; n < end; n++ {
				r.sweepSlot(w, n)
			}
			w.next = end
		}
		if done {
			r.sweeps = slices.DeleteFunc(r.sweeps, func(x *sweep) bool { return x == w })
			w.source.finish()
		}
	}
}

func (r *RIB) sweepSlot(w *sweep, n uint32) {
	was, s := r.slot(w.tree, n), w.source
	switch {
	case was == 0:
	case was&isSet != 0:
		r.removePaths(w.tree, n, was, func(p *setPath) bool {
			return p.source == s.id && (w.all || p.generation != s.generation.Load())
		})
	case w.tree.owner.Load() == s && (w.all || was&fresh == 0):
		r.removePlain(w.tree, n, was)
	}
}

// finish removes a source after Remove when it has no routes left, and its router when it has no other source.
func (s *Source) finish() {
	r, x := s.Router.rib, s.Router
	if !s.removed || len(s.trees) > 0 || r.sources.at(s.id) != s {
		return
	}
	r.sources.remove(s.id)
	x.sources = slices.DeleteFunc(x.sources, func(y *Source) bool { return y == s })
	if len(x.sources) > 0 {
		return
	}
	if all := *r.routers.Load(); all[x.Name] == x {
		x.Tables(func(t *Table) bool { // those of VRFs may be in emptied too
			x.dropTable(t)
			return true
		})
		all = maps.Clone(all)
		delete(all, x.Name)
		r.routers.Store(&all)
		r.generation.Add(1)
	}
}

// clearFresh clears the flag fresh in all slots of a tree.
func (r *RIB) clearFresh(t *tree) {
	for n, found := r.following(t, 0); found; n, found = r.following(t, (n>>8+1)<<8) {
		leaf := r.pages.load(r.pages.load(t.top.Load(), n>>16), n>>8&0xff)
		for i := range uint32(pageSlots) {
			if v := r.pages.load(leaf, i); v&fresh != 0 {
				r.pages.store(leaf, i, v&^fresh)
			}
		}
	}
}

func bytesOf(paths []setPath) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(paths))), len(paths)*setPathBytes)
}
