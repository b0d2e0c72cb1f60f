// Package rib holds the routes of all routers and answers which route of a router leads to an address.
//
// All routers share one numbering of prefixes. A router's table is an array of slots over these numbers; a slot names
// the route's record, and equal routes share one record. One goroutine, the writer, calls the methods of RIB, Router
// and Source. Any number of Readers look routes up beside it: they take no lock, wait for nothing and allocate nothing.
//
// The writer changes single words atomically, in an order in which a reader finds the answer of before or of after a
// change. What it removes is used again only after every reader has left the batch during which it could see it.
//
// Records, slots and prefixes are in memory outside Go's heap: the garbage collector does not scan it, and GOGC does
// not double it.
package rib

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Options bound a RIB. The zero value has the defaults.
type Options struct {
	// MaxMemory is how many bytes the RIB may take outside Go's heap; 0: 2 GiB. The least is MinMemory.
	MaxMemory int64
	// MaxRoutes is how many routes all routers may have together; 0: 100 million.
	MaxRoutes int64
	// Keep changes the attributes of routes before they are kept, such as to leave communities out; nil: it does not.
	// It is called by the writer.
	Keep func(*route.Attributes)
}

// MinMemory is the least MaxMemory: the table of IPv4 addresses alone takes half of it.
const MinMemory = 128 << 20

const (
	defaultMemory = 2 << 30
	defaultRoutes = 100_000_000
)

// ErrFull says that a route was not taken because of MaxMemory or MaxRoutes.
var ErrFull = errors.New("the routing table is full")

// RIB is the routes of all routers. Make one with New. It must not be copied. All methods are the writer's but for
// those whose comments say otherwise.
type RIB struct {
	budget  *budget
	pages   pages
	arena   arena
	bundles index // records by the hash of their bundle, and sets by that of their paths
	v4, v6  *prefixes
	direct  *direct
	tree    *leftRight

	epoch   atomic.Uint64 // begins at 1; 0 is "no reader"
	readers atomic.Pointer[[]*Reader]
	mu      sync.Mutex // of the list of readers
	limbo   limbo

	routers    atomic.Pointer[map[string]*Router]
	addresses  atomic.Pointer[[2]map[flow.Addr]*Router]
	generation atomic.Uint64
	sources    []*Source // by number; nil: free
	sweeps     []*sweep
	emptied    []*Table // lost their last route, maybe

	maxRoutes int64
	keep      func(*route.Attributes)
	routes    int64
	refused   uint64
	paths     []setPath // scratch of change
	attrs     route.Attributes
	hasher    *route.Hasher
}

// New returns an empty RIB. Close gives its memory back.
func New(o Options) (*RIB, error) {
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultMemory
	}
	if o.MaxRoutes == 0 {
		o.MaxRoutes = defaultRoutes
	}
	if o.MaxMemory < MinMemory {
		return nil, fmt.Errorf("a routing table in %d bytes: the least is %d", o.MaxMemory, MinMemory)
	}
	r := &RIB{budget: &budget{limit: o.MaxMemory}, maxRoutes: o.MaxRoutes, keep: o.Keep,
		hasher:  route.NewHasher(),
		sources: make([]*Source, 1)}
	r.epoch.Store(1)
	r.readers.Store(&[]*Reader{})
	r.routers.Store(&map[string]*Router{})
	if err := r.reserve(); err != nil {
		r.Close()
		return nil, fmt.Errorf("memory for the routing table: %w", err)
	}
	return r, nil
}

func (r *RIB) reserve() (err error) {
	if err = r.pages.reserve(r.budget); err != nil {
		return err
	}
	if err = r.arena.reserve(r.budget); err != nil {
		return err
	}
	if r.v4, err = newPrefixes(r.budget, false); err != nil {
		return err
	}
	if r.v6, err = newPrefixes(r.budget, true); err != nil {
		return err
	}
	if r.direct, err = newDirect(r.budget, &r.pages, r.v4); err != nil {
		return err
	}
	r.tree = newLeftRight(r.v6)
	return r.bundles.init(r.budget)
}

// Close gives the memory back. No reader may be within Enter and Leave, and nothing may be called afterwards.
func (r *RIB) Close() {
	r.pages.release()
	r.arena.region.release()
	r.bundles.release()
	for _, p := range []*prefixes{r.v4, r.v6} {
		if p != nil {
			p.release()
		}
	}
	if r.direct != nil {
		r.direct.region.release()
	}
}

// Hasher hashes the bundles of batches for this RIB. It is safe for concurrent use.
func (r *RIB) Hasher() *route.Hasher { return r.hasher }

// Generation changes whenever a router or one of its tables comes, or a router goes: what was looked up by name may be
// another then. It is safe for concurrent use.
func (r *RIB) Generation() uint64 { return r.generation.Load() }

// Stats are the sizes of a RIB. Bytes are of memory outside Go's heap that was taken, whether in use or free again.
type Stats struct {
	Routes       int64
	Prefixes4    int
	Prefixes6    int
	Records      int
	Sets         int
	Refused      uint64 // routes not taken since New, because of the bounds
	Bytes        int64
	MaxBytes     int64
	RecordBytes  int64 // in use, of the bytes
	PageBytes    int64 // in use, of the bytes
	Limbo        int   // things that wait for readers to leave
	LimboBytes   int64
	SweepsToDo   int
	IdlePrefixes int // without a route; they are kept for a while
}

// Stats returns the sizes.
func (r *RIB) Stats() Stats {
	return Stats{
		Routes: r.routes, Prefixes4: r.v4.used, Prefixes6: r.v6.used,
		Records: r.arena.records, Sets: r.arena.sets, Refused: r.refused,
		Bytes: r.budget.used, MaxBytes: r.budget.limit,
		RecordBytes: r.arena.inUse, PageBytes: int64(r.pages.inUse) * pageBytes,
		Limbo: r.limbo.len(), LimboBytes: r.limbo.bytes, SweepsToDo: len(r.sweeps),
		IdlePrefixes: r.v4.idleCount + r.v6.idleCount,
	}
}
