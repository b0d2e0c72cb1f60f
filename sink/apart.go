package sink

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/spool"
)

// Apart decides which rows a Batcher has in batches of their own, while there may soon be no room for what waits: those
// of sources that take more than their part. The queue and the spool then drop such batches first. A batch of all
// sources is dropped with the rows of all.
//
// It belongs to the worker's goroutine. The zero value sets nothing apart.
type Apart struct {
	// Large reports whether a source takes more than its part. Pressed reports whether there may soon be no room.
	Large   func(source flow.Addr) bool
	Pressed func() bool

	on      bool
	source  flow.Addr // of the latest row; zero: none
	isLarge bool      // it is large
}

// Update asks anew, and reports whether rows are set apart from now on. Call it after each batch of datagrams.
func (a *Apart) Update() (on bool) {
	if a.Large != nil {
		a.on, a.source = a.Pressed(), flow.Addr{}
	}
	return a.on
}

// Is reports whether a row of a source is set apart.
func (a *Apart) Is(source flow.Addr) bool { return a.on && a.ofLarge(source) }

func (a *Apart) ofLarge(source flow.Addr) bool {
	if source != a.source {
		a.source, a.isLarge = source, a.Large(source)
	}
	return a.isLarge
}

// How full the spool, or the queue in front of it, is when batches are set apart: from half of the queue on, batches
// move to disk. Without a spool, unspooledQueue is. What waits by then is of all sources: it must be less than half of
// all that may wait, so that it is not dropped before the rest. This is so with a spool of LeastSpool times the queue.
const pressedSpool, pressedQueue, unspooledQueue = 1.0 / LeastSpool, 0.5, 0.25

// LeastSpool is how many times larger than the queue before it a spool should be.
const LeastSpool = 8

// Pressed reports whether there may soon be no room for what waits: used is how much of the queue is in use, from 0 to
// 1; disk is nil where there is no spool. It takes no lock.
func Pressed(used float64, disk *spool.Spool) bool {
	if disk == nil {
		return used > unspooledQueue
	}
	return used > pressedQueue || disk.Fullness() > pressedSpool
}

// Evict takes batches out of those that wait in a queue until no more than limit bytes are used, and returns the rest
// and what it took: each time the oldest one of those that are set apart or of the others, whichever take more. So a
// flood displaces itself, and each kind has half of the room. As long as the waiting batches take half of the limit or
// less, none is taken: those that are on their way, and cannot be, may take the rest.
func Evict[T any](waiting []T, used, limit int64, of func(T) (bytes int64, apart bool)) (rest, evicted []T) {
	for used > limit {
		n, ok := victim(waiting, limit, of)
		if !ok {
			break
		}
		bytes, _ := of(waiting[n])
		used -= bytes
		evicted = append(evicted, waiting[n])
		waiting = slices.Delete(waiting, n, n+1)
	}
	return waiting, evicted
}

// victim returns the place of the batch that Evict takes next; false: none.
func victim[T any](waiting []T, limit int64, of func(T) (bytes int64, apart bool)) (n int, ok bool) {
	apart, all := int64(0), int64(0)
	for _, x := range waiting {
		bytes, is := of(x)
		if all += bytes; is {
			apart += bytes
		}
	}
	if all <= limit/2 {
		return 0, false
	}
	for n, x := range waiting {
		if _, is := of(x); is == (2*apart > all) {
			return n, true
		}
	}
	return 0, len(waiting) > 0
}
