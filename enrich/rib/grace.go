package rib

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/route"
)

// Kinds of memory that wait in limbo.
const (
	limboRecord uint8 = iota
	limboPage
	limboPrefix4
	limboPrefix6
)

// retired is memory that look-ups no longer find. A reader whose batch began in the epoch or before may still use it.
type retired struct {
	epoch uint64
	id    uint32
	kind  uint8
}

// limbo holds retired memory until no reader uses it, oldest first.
type limbo struct {
	queue []retired
	head  int
	bytes int64
}

func (l *limbo) len() int { return len(l.queue) - l.head }

// retire puts memory into limbo, from where it is freed when no reader uses it any more.
func (r *RIB) retire(kind uint8, id uint32) {
	r.limbo.queue = append(r.limbo.queue, retired{r.epoch.Load(), id, kind})
	switch kind {
	case limboRecord:
		r.limbo.bytes += r.arena.size(id)
	case limboPage:
		r.limbo.bytes += pageBytes
	}
}

// oldest returns the lowest epoch of the readers between Enter and Leave. Without such a reader it is the maximum.
func (r *RIB) oldest() uint64 {
	oldest := ^uint64(0)
	for _, reader := range *r.readers.Load() {
		if e := reader.epoch.Load(); e != 0 {
			oldest = min(oldest, e)
		}
	}
	return oldest
}

// Publish makes changes of IPv6 prefixes and of sessions visible to readers, starts a new epoch, and frees memory that
// no reader uses any more. The writer calls it about every 50 ms, and after some thousand changes.
func (r *RIB) Publish() {
	r.removeEmpty()
	r.removeIdle()
	for _, x := range r.upPending {
		x.chooseUp()
	}
	clear(r.upPending)
	r.upPending = r.upPending[:0]
	epoch := r.epoch.Load()
	for _, n := range r.tree.publish(epoch, r.oldest()) {
		r.retire(limboPrefix6, n)
	}
	r.epoch.Store(epoch + 1)
	r.reclaim()
}

// reclaim frees the memory in limbo that no reader uses any more.
func (r *RIB) reclaim() {
	oldest, l := r.oldest(), &r.limbo
	for ; l.head < len(l.queue) && l.queue[l.head].epoch < oldest; l.head++ {
		switch x := l.queue[l.head]; x.kind {
		case limboRecord:
			l.bytes -= r.arena.size(x.id)
			r.arena.put(x.id)
		case limboPage:
			l.bytes -= pageBytes
			r.pages.put(x.id)
		case limboPrefix4:
			r.v4.put(x.id)
		case limboPrefix6:
			r.v6.put(x.id)
		}
	}
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
		if cap(l.queue) > 1<<20 {
			l.queue = nil
		}
	} else if l.head > len(l.queue)/2 {
		l.queue = append(l.queue[:0], l.queue[l.head:]...)
		l.head = 0
	}
}

// keptIdle plus 1/idleShare of all prefixes is the number of prefixes without routes that are kept.
const (
	keptIdle  = 4096
	idleShare = 8
	idleStep  = 4096 // maximum that one call of removeIdle removes
)

// removeIdle removes the oldest prefixes without routes if there are too many.
func (r *RIB) removeIdle() {
	for _, p := range []*prefixes{r.v4, r.v6} {
		for range idleStep {
			if p.idleCount <= keptIdle+p.used/idleShare || !r.removeOldest(p) {
				break
			}
		}
	}
}

// maxTreeChanges is the maximum number of changes of IPv6 prefixes that wait for readers to leave.
const maxTreeChanges = 1 << 20

// removeOldest removes the oldest prefix without routes. It returns false if it removed none.
func (r *RIB) removeOldest(p *prefixes) bool {
	if p.v6 && len(r.tree.changes) > maxTreeChanges {
		return false
	}
	n := p.nextIdle(idleStep)
	if n == 0 {
		return false
	}
	switch {
	case p.length(n) == 0:
		p.zero.Store(0)
		r.retirePrefix(p, n)
	case p.v6:
		r.tree.remove(n) // Publish retires it
	default:
		if page := r.direct.remove(n); page != 0 {
			r.retire(limboPage, page)
		}
		r.retire(limboPrefix4, n)
	}
	p.forget(n)
	return true
}

func (r *RIB) retirePrefix(p *prefixes, n uint32) {
	if p.v6 {
		r.retire(limboPrefix6, n)
	} else {
		r.retire(limboPrefix4, n)
	}
}

// prefix returns the number of a prefix, and gives it one if it has none.
func (r *RIB) prefix(x route.Prefix) (uint32, error) {
	p := r.prefixes(x.V6)
	if n := p.find(x); n != 0 {
		return n, nil
	}
	n, err := p.add(x)
	if err != nil {
		return 0, err
	}
	switch {
	case x.Bits == 0:
		p.zero.Store(n)
	case x.V6:
		err = r.tree.insert(n)
	default:
		err = r.direct.insert(n)
	}
	if err != nil {
		p.forget(n)
		p.put(n)
		return 0, err
	}
	p.list(n) // idle until it has a route
	return n, nil
}

// NewReader returns a reader. It is safe for concurrent use.
func (r *RIB) NewReader() *Reader {
	reader := &Reader{rib: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clone(*r.readers.Load()), reader)
	r.readers.Store(&all)
	return reader
}

// Close removes the reader from the RIB. It must not be between Enter and Leave.
func (rd *Reader) Close() {
	rd.rib.mu.Lock()
	defer rd.rib.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*rd.rib.readers.Load()), func(x *Reader) bool { return x == rd })
	rd.rib.readers.Store(&all)
}

// Enter begins a batch of look-ups. What the reader finds stays valid until Leave. It costs one atomic store.
func (rd *Reader) Enter() { rd.epoch.Store(rd.rib.epoch.Load()) }

// Leave ends a batch of look-ups. Batches should be short: memory that the writer frees meanwhile is not reused.
func (rd *Reader) Leave() { rd.epoch.Store(0) }
