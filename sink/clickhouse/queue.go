package clickhouse

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/sink"
)

// queue holds waiting inserts, oldest first. It limits the memory of waiting inserts and of those that were taken and
// are not done. Those that were taken leave half of it to others.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond // signals that an insert was added, closed was set, or take must ask again
	waiting []*Insert
	sending int          // inserts that take returned and that are not sent
	bytes   int64        // of waiting and of taken inserts
	used    atomic.Int64 // bytes, for those who do not wait for mu
	limit   int64
	join    join
	closed  bool
}

func newQueue(limit int64, j join) *queue {
	q := &queue{limit: limit, join: j}
	q.changed.L = &q.mu
	return q
}

// push appends an insert and returns the inserts that are lost for it, and why: waiting ones by sink.Evict, or the
// insert itself if the queue is closed.
func (q *queue) push(ins *Insert) (lost []*Insert, reason sink.Reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return []*Insert{ins}, sink.Shutdown
	}
	q.waiting = append(q.waiting, ins)
	q.add(ins.memory())
	if ins.queued = time.Now(); q.sending > 0 {
		q.wakeLater()
	}
	q.waiting, lost = sink.Evict(q.waiting, q.bytes, q.limit,
		func(ins *Insert) (int64, bool) { return ins.memory(), ins.Apart })
	for _, ins := range lost {
		q.add(-ins.memory())
	}
	if len(q.waiting) > 0 {
		q.changed.Signal()
	}
	return lost, sink.QueueFull
}

// add changes bytes.
func (q *queue) add(bytes int64) {
	q.bytes += bytes
	q.used.Store(q.bytes)
}

// take removes and returns the oldest insert, with those that can be joined to it; it waits for one. It returns false
// when the queue is closed and empty. The insert's bytes count until sent. other is called under the lock on every
// wake-up, with whether an insert is ready: instead makes take return nil and true, hold leaves waiting inserts where
// they are.
func (q *queue) take(other func(ready bool) (instead, hold bool)) (*Insert, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		ready := q.ready()
		instead, hold := other(ready)
		switch {
		case instead:
			return nil, true
		case ready && !hold:
			q.sending++
			ins := q.pop()
			q.wakeLater() // what came while none was on its way has to wait from now on
			return ins, true
		case q.closed:
			return nil, false
		}
		q.changed.Wait()
	}
}

// ready reports whether the oldest insert need not wait for others to be joined to it.
func (q *queue) ready() bool {
	return len(q.waiting) > 0 && (q.sending == 0 || q.closed || q.join.enough(q.waiting, time.Now()))
}

// joinLess lowers the limit of what is sent in one insert, because a proxy takes less.
func (q *queue) joinLess(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.join.bytes = min(q.join.bytes, bytes)
}

// takeOver removes the oldest insert, with those that can be joined to it, if more than keep bytes are waiting. Its
// bytes count until done.
func (q *queue) takeOver(keep int64) (*Insert, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.bytes <= keep {
		return nil, false
	}
	return q.pop(), true
}

// giveBack returns a taken insert to the front.
func (q *queue) giveBack(ins *Insert) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append([]*Insert{ins}, q.waiting...)
	q.changed.Signal()
}

// wake makes every take ask again.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}

// wakeLater makes every take ask again when what is waiting now has waited for long enough.
func (q *queue) wakeLater() {
	if len(q.waiting) > 0 {
		time.AfterFunc(q.join.patience, q.wake)
	}
}

// pop removes the oldest insert, with those that can be joined to it; there must be one.
func (q *queue) pop() *Insert {
	ins, rest := q.join.first(q.waiting)
	q.waiting[0] = nil
	q.waiting = rest
	return ins
}

// done releases the bytes of an insert of takeOver.
func (q *queue) done(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(-bytes)
}

// sent releases the bytes of an insert of take. The next may be sent now.
func (q *queue) sent(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(-bytes)
	q.sending--
	q.changed.Signal()
}

// takeAll removes all waiting inserts.
func (q *queue) takeAll() []*Insert {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	for _, ins := range all {
		q.add(-ins.memory())
	}
	return all
}

// close ends push; take goes on until the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// size returns the number of waiting inserts, and the bytes of these and of taken ones.
func (q *queue) size() (inserts int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.bytes
}
