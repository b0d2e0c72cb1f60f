// Package exporter holds a worker's knowledge of each exporter: who it is, what it sent, what was lost and why. It
// imports only flow and budget.
package exporter

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Table holds the streams of one worker. Their number is bounded and shared among sources by the rules of package
// budget: a stream is trusted once it has given data (Prove). The fields are the worker's; only Streams, Retired,
// Evicted and UnattributedCount are safe for concurrent use.
type Table struct {
	streams      map[Key]*Stream
	owners       map[flow.Addr]*owner
	room         *budget.Budget[*group]
	list         atomic.Pointer[[]*Stream]
	dirty        bool
	made         uint64    // number of streams so far
	leaving      []*Stream // evicted, but still in list
	evicted      atomic.Uint64
	retired      Stream // the sum of the evicted streams' counters
	unattributed [reasonCount]atomic.Uint64
}

// owner is a source address with its streams: those that have given data, and the others.
type owner struct {
	addr          flow.Addr
	proven, fresh group
	evicted       atomic.Uint64
	domains       domainRuns
}

type group struct {
	owner   *owner
	holder  budget.Holder[*group]
	streams []*Stream
}

// leastStreams is the smallest limit of a table.
const leastStreams = 16

// NewTable returns a table for at most limit streams (at least 16). One eighth of them is for streams that have not
// given data yet. One source may have all of them until others need some.
func NewTable(limit int) *Table {
	limit = max(limit, leastStreams)
	t := &Table{
		streams: make(map[Key]*Stream), owners: make(map[flow.Addr]*owner),
		room: budget.New[*group](budget.Limits{Total: limit, Reserve: limit / 8, Share: limit,
			Small: max(16, limit/32)}),
	}
	t.list.Store(new([]*Stream))
	return t
}

const (
	// publishAtOnce is the number of streams up to which a new one is visible immediately. Beyond it a new stream
	// becomes visible at the next Publish, so that a flood of sources does not copy the list each time.
	publishAtOnce = 64
	// maxLeaving is how many evicted streams may stay visible before the list is copied without them.
	maxLeaving = 256
)

// Get returns the stream of a key. A new one is created; if there are too many, others are evicted.
func (t *Table) Get(key Key, source flow.Addr, received int64) *Stream {
	if s := t.streams[key]; s != nil {
		return s
	}
	for t.room.Used() >= t.room.Limits().Total {
		t.evict(t.room.Victim().Of)
	}
	o := t.owners[source]
	if o == nil {
		o = t.newOwner(source)
	}
	t.made++
	s := &Stream{Key: key, Source: source, number: t.made, sourceEvicted: &o.evicted}
	s.FirstSeen.Store(received)
	s.LastSeen.Store(received)
	o.fresh.holder.Seen = received
	t.join(s, &o.fresh)
	t.streams[key] = s
	t.dirty = true
	if len(t.streams) <= publishAtOnce {
		t.Publish()
	}
	return s
}

func (t *Table) newOwner(source flow.Addr) *owner {
	o := &owner{addr: source}
	for _, g := range []*group{&o.proven, &o.fresh} {
		g.owner, g.holder.Of = o, g
	}
	t.room.Trust(&o.proven.holder)
	t.owners[source] = o
	return o
}

func (t *Table) join(s *Stream, g *group) {
	s.group, s.place = g, len(g.streams)
	g.streams = append(g.streams, s)
	t.room.Add(&g.holder, 1)
}

func (t *Table) leave(s *Stream) {
	g := s.group
	last := len(g.streams) - 1
	g.streams[s.place] = g.streams[last]
	g.streams[s.place].place = s.place
	g.streams[last] = nil
	g.streams = g.streams[:last]
	t.room.Add(&g.holder, -1)
}

// Prove notes that a stream has given data. From now on, streams that have not cannot displace it.
func (t *Table) Prove(s *Stream) {
	if s.proven || s.gone || s.group == nil {
		return
	}
	s.proven = true
	o := s.group.owner
	t.leave(s)
	o.proven.holder.Seen = s.LastSeen.Load()
	t.join(s, &o.proven)
	holder := &o.proven.holder
	standing := holder.Standing
	holder.Standing = math.MaxUint32 // it must not be the one that is evicted
	for t.room.Over() {
		t.evict(t.room.Victim().Of)
	}
	holder.Standing = standing
}

// Proven reports whether the stream has given data. Only its worker may call it.
func (s *Stream) Proven() bool { return s.proven }

// evict removes one stream of a group. It compares a few and takes the one that was silent longest.
func (t *Table) evict(g *group) {
	const compared = 16
	worst := g.streams[0]
	for i := range min(compared, len(g.streams)) {
		s := g.streams[(i+int(t.evicted.Load()))%len(g.streams)]
		if cmp.Or(cmp.Compare(s.LastSeen.Load(), worst.LastSeen.Load()), cmp.Compare(s.number, worst.number)) < 0 {
			worst = s
		}
	}
	t.remove(worst)
}

func (t *Table) remove(s *Stream) {
	o := s.group.owner
	t.leave(s)
	s.group = nil
	delete(t.streams, s.Key)
	if len(o.proven.streams)+len(o.fresh.streams) == 0 {
		delete(t.owners, o.addr)
		// The stream is read for a while, and so is o.evicted. They must not keep the user's state in memory.
		o.domains = domainRuns{}
	}
	s.gone = true
	s.Fail(StreamEvicted, 1)
	o.evicted.Add(1)
	t.evicted.Add(1)
	if s.user != nil {
		s.user.StreamEvicted(s)
		s.user = nil
	}
	t.dirty = true
	if t.leaving = append(t.leaving, s); len(t.leaving) >= maxLeaving {
		t.Publish()
	}
}

// silence is how long a source must be silent to lose its standing.
const silence = int64(10 * time.Minute)

// Age must be called about once a second. It notes which streams have given data since its last call; those that keep
// doing so are evicted last. It also publishes. now is in Unix nanoseconds.
func (t *Table) Age(now int64) {
	for _, o := range t.owners {
		o.proven.age(now)
		o.fresh.age(now)
	}
	t.Publish()
}

func (g *group) age(now int64) {
	gave := false
	for _, s := range g.streams {
		g.holder.Seen = max(g.holder.Seen, s.LastSeen.Load())
		if n := s.Records.Load() + s.Counters.Load(); n != s.before {
			s.before, gave = n, true
		}
	}
	switch {
	case gave:
		g.holder.Standing++
	case now-g.holder.Seen > silence:
		g.holder.Standing = 0
	}
}

// Standing returns for how many seconds the stream's source has given data, and when the latest was received. Only its
// worker may call it.
func (s *Stream) Standing() (seconds uint32, seen int64) {
	if s.group == nil {
		return 0, 0
	}
	return s.group.holder.Standing, s.group.holder.Seen
}

// Publish makes new streams visible to Streams, and moves the counters of evicted ones to Retired.
func (t *Table) Publish() {
	if !t.dirty {
		return
	}
	list := slices.Collect(maps.Values(t.streams))
	t.list.Store(&list) // first, so that nobody sees a stream whose counters are in Retired already
	for _, s := range t.leaving {
		s.successor = &t.retired
		t.retired.add(s)
	}
	clear(t.leaving)
	t.leaving = t.leaving[:0]
	t.dirty = false
}

// Streams returns the streams as of the latest Publish, in no order. The slice must not be changed.
func (t *Table) Streams() []*Stream { return *t.list.Load() }

// Retired returns the sum of the counters of evicted streams. To add it to those of Streams, read it first.
func (t *Table) Retired() *Stream { return &t.retired }

// Evicted returns how many streams were evicted.
func (t *Table) Evicted() uint64 { return t.evicted.Load() }

// Unattributed counts a datagram that belongs to no stream, for a reason.
func (t *Table) Unattributed(reason Reason) { t.unattributed[reason].Add(1) }

// UnattributedCount returns how many datagrams without a stream were counted for a reason.
func (t *Table) UnattributedCount(reason Reason) uint64 { return t.unattributed[reason].Load() }
