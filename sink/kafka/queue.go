package kafka

import (
	"sync"

	"github.com/metranova/flow-collector/sink/message"
)

// queue holds the batches that wait, oldest first, and bounds the bytes of those that wait and those that were taken
// and are not done.
type queue struct {
	mu      sync.Mutex
	waiting []*message.Batch
	bytes   int64 // of waiting and of taken ones
	limit   int64
	closed  bool
}

// push appends the batch and returns those that are lost for it and why: the oldest waiting ones, or, where that does
// not make room or the queue is closed, the batch itself.
func (q *queue) push(b *message.Batch) (lost []*message.Batch, reason Reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return []*message.Batch{b}, Shutdown
	}
	q.waiting = append(q.waiting, b)
	q.bytes += size(b)
	for q.bytes > q.limit && len(q.waiting) > 0 {
		old := q.pop()
		q.bytes -= size(old)
		lost = append(lost, old)
	}
	return lost, QueueFull
}

// take removes the oldest batch; nil where none waits. Its bytes count until done.
func (q *queue) take() *message.Batch { return q.takeOver(-1) }

// takeOver removes the oldest batch where more bytes wait or are on their way than may be kept.
func (q *queue) takeOver(keep int64) *message.Batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.bytes <= keep {
		return nil
	}
	return q.pop()
}

// giveBack puts a batch that was taken back as the oldest.
func (q *queue) giveBack(b *message.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append([]*message.Batch{b}, q.waiting...)
}

// pop removes the oldest batch; there is one.
func (q *queue) pop() *message.Batch {
	b := q.waiting[0]
	n := copy(q.waiting, q.waiting[1:]) // stays in the same memory
	q.waiting[n] = nil
	q.waiting = q.waiting[:n]
	return b
}

// done gives back bytes of a batch that was taken.
func (q *queue) done(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= bytes
}

// close ends push.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// empty reports whether nothing waits.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}
