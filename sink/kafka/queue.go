package kafka

import (
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
)

// queue holds waiting batches, oldest first. It limits the bytes of waiting batches and of those that were taken and
// are not done. Those that were taken leave half of it to others.
type queue struct {
	mu      sync.Mutex
	waiting []*message.Batch
	bytes   int64        // of waiting and of taken batches
	used    atomic.Int64 // bytes, for those who do not wait for mu
	limit   int64
	closed  bool
}

// push appends a batch and returns the batches that are lost for it, and why: waiting ones by sink.Evict, or the batch
// itself if the queue is closed.
func (q *queue) push(b *message.Batch) (lost []*message.Batch, reason sink.Reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return []*message.Batch{b}, sink.Shutdown
	}
	q.waiting = append(q.waiting, b)
	q.add(size(b))
	q.waiting, lost = sink.Evict(q.waiting, q.bytes, q.limit,
		func(b *message.Batch) (int64, bool) { return size(b), b.Apart })
	for _, b := range lost {
		q.add(-size(b))
	}
	return lost, sink.QueueFull
}

// add changes bytes.
func (q *queue) add(bytes int64) {
	q.bytes += bytes
	q.used.Store(q.bytes)
}

// take removes the oldest batch; nil if none is waiting. Its bytes count until done.
func (q *queue) take() *message.Batch { return q.takeOver(-1) }

// takeOver removes the oldest batch if more than keep bytes are waiting or in transit.
func (q *queue) takeOver(keep int64) *message.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.bytes <= keep {
		return nil
	}
	return q.pop()
}

// giveBack returns a taken batch to the front.
func (q *queue) giveBack(b *message.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append([]*message.Batch{b}, q.waiting...)
}

// pop removes the oldest batch; there must be one.
func (q *queue) pop() *message.Batch {
	b := q.waiting[0]
	n := copy(q.waiting, q.waiting[1:]) // keeps the same memory
	q.waiting[n] = nil
	q.waiting = q.waiting[:n]
	return b
}

// done releases the bytes of a taken batch.
func (q *queue) done(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(-bytes)
}

// close ends push.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// empty reports whether nothing is waiting.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}
