package rib

import (
	"maps"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Router is a router with its tables of routes. Several sources can fill them.
type Router struct {
	Name    string
	AS      atomic.Uint32 // its own AS number; 0: unknown
	rib     *RIB
	tables  sync.Map // tableKey: *Table
	count   int      // of tables
	sources []*Source
	up      [Ranks]int // number of sources with a session, by rank
	// upChosen are the ranks with such a source as of the latest Publish: tables are chosen by them. upPending says
	// that the router is in RIB.upPending.
	upChosen  [Ranks]bool
	upPending bool
	stale     atomic.Bool
}

type tableKey struct {
	class route.Class
	rd    route.RD
}

// Router returns the router with a name. If there is none, it adds one if create is set, and returns nil otherwise.
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

// SetAddresses sets the addresses by which exporters find their router: addresses of sessions, which take precedence,
// and BGP identifiers. The maps must not be changed afterwards.
func (r *RIB) SetAddresses(sessions, identifiers map[flow.Addr]*Router) {
	r.addresses.Store(&[2]map[flow.Addr]*Router{sessions, identifiers})
	r.generation.Add(1)
}

// RouterAt returns the router with an address of SetAddresses, or nil. It is safe for concurrent use.
func (r *RIB) RouterAt(a flow.Addr) *Router {
	x, _ := r.RouterBy(a)
	return x
}

// RouterBy is RouterAt, and says whether the address is that of a session. It is safe for concurrent use.
func (r *RIB) RouterBy(a flow.Addr) (x *Router, session bool) {
	if all := r.addresses.Load(); all != nil {
		if x := all[0][a]; x != nil {
			return x, true
		}
		return all[1][a], false
	}
	return nil, false
}

// Routers returns all routers by name. The map must not be changed. It is safe for concurrent use.
func (r *RIB) Routers() map[string]*Router { return *r.routers.Load() }

// Table returns the table of a class and VRF, or nil if it has no routes. It is safe for concurrent use.
func (x *Router) Table(class route.Class, rd route.RD) *Table {
	if t, found := x.tables.Load(tableKey{class, rd}); found {
		return t.(*Table)
	}
	return nil
}

// Tables calls f for each table until it returns false. It is safe for concurrent use.
func (x *Router) Tables(f func(*Table) bool) {
	x.tables.Range(func(_, t any) bool { return f(t.(*Table)) })
}

// Stale reports whether no session of the router is up, so that its routes may be outdated. It is safe for concurrent
// use.
func (x *Router) Stale() bool { return x.stale.Load() }

// tableBytes is about what a table takes of Go's heap. It counts as memory of the RIB, because a peer that announces
// routes of VPNs can make up any number of route distinguishers.
const tableBytes = int64(unsafe.Sizeof(Table{})) + 256

// table returns a table, which it adds if there is none. The only error is errMemory.
func (x *Router) table(k tableKey) (*Table, error) {
	if t := x.Table(k.class, k.rd); t != nil {
		return t, nil
	}
	if !x.rib.budget.take(tableBytes) {
		return nil, errMemory
	}
	x.count++
	t := &Table{Router: x, Class: k.class, RD: k.rd}
	for i := range t.trees {
		for rank := range t.trees[i] {
			x := &t.trees[i][rank]
			x.table, x.v6, x.rank = t, i == 1, uint8(rank)
		}
	}
	x.tables.Store(k, t)
	x.rib.generation.Add(1)
	return t, nil
}

// chooseUp has all tables of a router chosen again if the ranks with a session are others than at the last time.
func (x *Router) chooseUp() {
	var up [Ranks]bool
	for rank, n := range x.up {
		up[rank] = n > 0
	}
	x.upPending = false
	if up == x.upChosen {
		return
	}
	x.upChosen = up
	x.Tables(func(t *Table) bool {
		t.choose(false)
		t.choose(true)
		return true
	})
}

// dropTable removes a table, and gives back its memory if the router still has it.
func (x *Router) dropTable(t *Table) {
	if x.tables.CompareAndDelete(tableKey{t.Class, t.RD}, t) {
		x.count--
		x.rib.budget.used -= tableBytes
	}
}
