package rib

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/route"
)

// Kinds of things that wait in limbo.
const (
	limboRecord uint8 = iota
	limboPage
	limboPrefix4
	limboPrefix6
)

// retired is a thing that new readers cannot find, and that a reader may still have which was there at its epoch.
type retired struct {
	epoch uint64
	id    uint32
	kind  uint8
}

// limbo holds what is retired, the oldest first.
type limbo struct {
	queue []retired
	head  int
	bytes int64
}

func (l *limbo) len() int { return len(l.queue) - l.head }

// retire lets a thing be used again when no reader can have it any more.
func (r *RIB) retire(kind uint8, id uint32) {
	r.limbo.queue = append(r.limbo.queue, retired{r.epoch.Load(), id, kind})
	switch kind {
	case limboRecord:
		r.limbo.bytes += r.arena.size(id)
	case limboPage:
		r.limbo.bytes += pageBytes
	}
}

// oldest is the least epoch of all readers that are within Enter and Leave; without any, a later one than all.
func (r *RIB) oldest() uint64 {
	oldest := ^uint64(0)
	for _, reader := range *r.readers.Load() {
		if e := reader.epoch.Load(); e != 0 {
			oldest = min(oldest, e)
		}
	}
	return oldest
}

// Publish lets readers see new and removed IPv6 prefixes, and makes memory free again that no reader uses any more. The
// writer calls it about every 50 ms and after some thousand changes.
func (r *RIB) Publish() {
	r.removeEmpty()
	r.removeIdle()
	epoch := r.epoch.Load()
	for _, n := range r.tree.publish(epoch, r.oldest()) {
		r.retire(limboPrefix6, n)
	}
	r.epoch.Store(epoch + 1)
	r.reclaim()
}

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

// keptIdle is how many prefixes without routes are kept, and idleShare which part of the others more.
const (
	keptIdle  = 4096
	idleShare = 8
	idleStep  = 4096 // are removed at once, at most
)

// removeIdle removes the oldest prefixes without routes, if there are too many.
func (r *RIB) removeIdle() {
	for _, p := range []*prefixes{r.v4, r.v6} {
		for range idleStep {
			if p.idleCount <= keptIdle+p.used/idleShare || !r.removeOldest(p) {
				break
			}
		}
	}
}

// maxTreeChanges bounds the changes of IPv6 prefixes that wait for a reader to leave.
const maxTreeChanges = 1 << 20

// removeOldest removes the oldest prefix without routes; false: there was none.
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
		r.tree.remove(n) // which lets it be retired with the next publish
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

// prefix is the number of a prefix, which gets one if it has none.
func (r *RIB) prefix(x route.Prefix) (uint32, error) {
	p := r.v4
	if x.V6 {
		p = r.v6
	}
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
		r.tree.insert(n)
	default:
		if err := r.direct.insert(n); err != nil {
			p.forget(n)
			p.put(n)
			return 0, err
		}
	}
	p.list(n) // until it has a route
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

// Close takes the reader off the RIB's list. It must have left.
func (rd *Reader) Close() {
	rd.rib.mu.Lock()
	defer rd.rib.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*rd.rib.readers.Load()), func(x *Reader) bool { return x == rd })
	rd.rib.readers.Store(&all)
}

// Enter begins a batch of look-ups: what the reader finds remains valid until Leave. It stores one word.
func (rd *Reader) Enter() { rd.epoch.Store(rd.rib.epoch.Load()) }

// Leave ends a batch.
func (rd *Reader) Leave() { rd.epoch.Store(0) }
