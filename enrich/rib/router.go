package rib

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Router is a set of sessions with one name, and the tables that they fill.
type Router struct {
	Name    string
	AS      atomic.Uint32 // its own AS; 0: not known
	rib     *RIB
	tables  sync.Map // tableKey: *Table
	sources []*Source
	up      [Ranks]int // sources with a session
	stale   atomic.Bool
}

type tableKey struct {
	class route.Class
	rd    route.RD
}

// Router returns the router with a name; make says whether it is made if there is none.
func (r *RIB) Router(name string, create bool) *Router {
	all := *r.routers.Load()
	x := all[name]
	if x == nil && create {
		x = &Router{Name: name, rib: r}
		all = maps.Clone(all)
		all[name] = x
		r.routers.Store(&all)
		r.generation.Add(1)
	}
	return x
}

// SetAddresses says by which addresses exporters find their router: those of its sessions, which count first, and BGP
// identifiers. The maps must not be changed afterwards.
func (r *RIB) SetAddresses(sessions, identifiers map[flow.Addr]*Router) {
	r.addresses.Store(&[2]map[flow.Addr]*Router{sessions, identifiers})
	r.generation.Add(1)
}

// RouterAt returns the router that an address belongs to, nil if it is none's. It is safe for concurrent use.
func (r *RIB) RouterAt(a flow.Addr) *Router {
	if all := r.addresses.Load(); all != nil {
		if x := all[0][a]; x != nil {
			return x
		}
		return all[1][a]
	}
	return nil
}

// Routers returns all routers by name. The map must not be changed. It is safe for concurrent use.
func (r *RIB) Routers() map[string]*Router { return *r.routers.Load() }

// Table returns a table, nil if there is none. It is safe for concurrent use.
func (x *Router) Table(class route.Class, rd route.RD) *Table {
	if t, found := x.tables.Load(tableKey{class, rd}); found {
		return t.(*Table)
	}
	return nil
}

// Tables calls f for all tables until it returns false. It is safe for concurrent use.
func (x *Router) Tables(f func(*Table) bool) {
	x.tables.Range(func(_, t any) bool { return f(t.(*Table)) })
}

// Stale reports whether no session of the router is up: its routes are those of before. It is safe for concurrent use.
func (x *Router) Stale() bool { return x.stale.Load() }

func (x *Router) table(k tableKey) *Table {
	if t := x.Table(k.class, k.rd); t != nil {
		return t
	}
	t := &Table{Router: x, Class: k.class, RD: k.rd}
	for i := range t.trees {
		for rank := range t.trees[i] {
			x := &t.trees[i][rank]
			x.table, x.v6, x.rank = t, i == 1, uint8(rank)
		}
	}
	x.tables.Store(k, t)
	x.rib.generation.Add(1)
	return t
}
