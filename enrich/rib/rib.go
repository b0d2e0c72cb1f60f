// Package rib holds the routes of all routers and finds a router's route to an address.
//
// Prefixes are numbered, and all routers share the numbers. A router's table is an array of slots indexed by prefix
// number. A slot has the number of a record, which holds the attributes of the route; routes with equal attributes
// share a record. One goroutine, the writer, calls the methods of RIB, Router and Source. Any number of Readers look
// routes up at the same time. A look-up takes no lock, never waits and does not allocate.
//
// The writer changes one word at a time, atomically, and in an order in which a look-up finds either the old or the new
// route. Memory that it frees is reused only after every reader has left the batch of look-ups that could refer to it
// (epoch-based reclamation).
//
// Records, slots and prefixes are in memory outside Go's heap, so the garbage collector does not scan them and GOGC
// does not double them.
package rib

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Options limits a RIB. The zero value has the defaults.
type Options struct {
	// MaxMemory is the maximum memory in bytes, at least MinMemory. It includes what tables of VPNs and IPv6 prefixes
	// take of Go's heap. 0: 2 GiB.
	MaxMemory int64
	// MaxRoutes is the maximum number of routes of all routers together. 0: 100 million.
	MaxRoutes int64
	// Keep can change attributes before they are stored, such as to remove communities. The writer calls it. nil: they
	// are stored unchanged.
	Keep func(*route.Attributes)
}

// MinMemory is the least allowed MaxMemory. The index of IPv4 addresses alone takes half of it.
const MinMemory = 128 << 20

const (
	defaultMemory = 2 << 30
	defaultRoutes = 100_000_000
)

// ErrFull is the error of a route that is left out because of MaxMemory or MaxRoutes.
var ErrFull = errors.New("the routing table is full")

// RIB holds the routes of all routers. Create it with New; the zero value is not usable. It must not be copied. Only
// the writer may call a method, unless its comment says that it is safe for concurrent use.
type RIB struct {
	budget  *budget
	pages   pages
	arena   arena
	bundles index // records by the hash of their bundle, and sets by the hash of their paths
	v4, v6  *prefixes
	direct  *direct
	tree    *leftRight

	epoch   atomic.Uint64 // starts at 1; in a Reader 0 means that it is not in a batch
	readers atomic.Pointer[[]*Reader]
	mu      sync.Mutex // serializes changes of readers
	limbo   limbo

	routers    atomic.Pointer[map[string]*Router]
	addresses  atomic.Pointer[[2]map[flow.Addr]*Router]
	generation atomic.Uint64
	sources    sourceList
	sweeps     []*sweep
	emptied    []*Table  // may have lost their last route
	upPending  []*Router // may have a session of another rank than before

	maxRoutes int64
	keep      func(*route.Attributes)
	routes    int64
	refused   uint64
	paths     []setPath // scratch of change
	higher    []setPath // scratch of order
	attrs     route.Attributes
	hasher    *route.Hasher
}

// New returns an empty RIB. Close releases its memory.
func New(o Options) (*RIB, error) {
	o.MaxMemory, o.MaxRoutes = cmp.Or(o.MaxMemory, defaultMemory), cmp.Or(o.MaxRoutes, defaultRoutes)
	if o.MaxMemory < MinMemory {
		return nil, fmt.Errorf("routing table of %d bytes: the minimum is %d", o.MaxMemory, MinMemory)
	}
	r := &RIB{budget: &budget{limit: o.MaxMemory}, maxRoutes: o.MaxRoutes, keep: o.Keep,
		hasher: route.NewHasher()}
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
	r.tree = newLeftRight(r.budget, r.v6)
	return r.bundles.init(r.budget)
}

// Close releases the memory. No reader may be between Enter and Leave, and no method may be called afterwards.
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

// SetLimits changes MaxMemory and MaxRoutes; 0 is the default as in Options. What is there stays, also beyond a limit
// that is lower now. Memory beyond 16 GiB can be used only if New had a limit that allowed it.
func (r *RIB) SetLimits(maxMemory, maxRoutes int64) {
	r.budget.limit = max(cmp.Or(maxMemory, defaultMemory), MinMemory)
	r.maxRoutes = cmp.Or(maxRoutes, defaultRoutes)
}

// Hasher returns the hasher for the bundles of batches that this RIB applies. It is safe for concurrent use.
func (r *RIB) Hasher() *route.Hasher { return r.hasher }

// Generation returns a number that changes whenever a router, a table or the addresses of routers change. A cached
// Router or Table must then be looked up again. It is safe for concurrent use.
func (r *RIB) Generation() uint64 { return r.generation.Load() }

// Stats is a snapshot of the sizes of a RIB.
type Stats struct {
	Routes       int64
	Prefixes4    int
	Prefixes6    int
	Records      int    // distinct sets of attributes
	Sets         int    // distinct sets of several routes to one prefix
	Refused      uint64 // routes left out because of a limit since New
	Bytes        int64  // memory that counts for MaxMemory, including what is free for reuse
	MaxBytes     int64
	RecordBytes  int64 // part of Bytes that records and sets use
	PageBytes    int64 // part of Bytes that pages of slots use
	Limbo        int   // records, pages and prefixes that wait for readers to leave
	LimboBytes   int64
	SweepsToDo   int
	IdlePrefixes int // prefixes without a route, which are kept for a while
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
