// Package tap shows records as they pass: whoever asks gets those that a filter lets through, over a socket of this
// host. While nobody asks, a worker looks at one pointer for each batch of datagrams, and at nothing more.
package tap

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

// Func takes a row, which the caller uses again afterwards. It does not wait.
type Func func(*enrich.Row)

// Hub has the taps that are open. The zero Hub has none. It is safe for concurrent use.
type Hub struct {
	mu   sync.Mutex
	open []*tap
	now  atomic.Pointer[Func]
}

// Current points to what takes rows; the pointer in it is nil while no tap is open.
func (h *Hub) Current() *atomic.Pointer[Func] { return &h.now }

// maxTaps is how many may be open: each costs the workers time.
const maxTaps = 4

// add opens a tap; false: there are enough.
func (h *Hub) add(t *tap) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) >= maxTaps {
		return false
	}
	h.publish(append(slices.Clone(h.open), t))
	return true
}

func (h *Hub) remove(t *tap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publish(slices.DeleteFunc(slices.Clone(h.open), func(o *tap) bool { return o == t }))
}

func (h *Hub) publish(open []*tap) {
	h.open = open
	if len(open) == 0 {
		h.now.Store(nil)
		return
	}
	var f Func = func(row *enrich.Row) {
		for _, t := range open {
			t.offer(row)
		}
	}
	h.now.Store(&f)
}

// Bounds of a tap: records that wait for their reader, and records a second that are encoded for it.
const (
	queued    = 512
	perSecond = 2000
)

// tap is one reader.
type tap struct {
	match   func(*enrich.Row) bool
	out     chan []byte
	left    atomic.Uint64 // rows that the filter lets through and the reader did not get
	allowed atomic.Int64  // in this second

	mu      sync.Mutex
	encoder *message.Encoder
	batch   message.Batch
}

func newTap(match func(*enrich.Row) bool, layout message.Layout) *tap {
	t := &tap{match: match, out: make(chan []byte, queued),
		encoder: message.NewEncoder(message.JSON, message.NoKey, layout)}
	t.allowed.Store(perSecond)
	return t
}

// offer takes a row if the reader keeps up with it. It is called by all workers.
func (t *tap) offer(row *enrich.Row) {
	if !t.match(row) {
		return
	}
	if len(t.out) == cap(t.out) || t.allowed.Add(-1) < 0 || !t.mu.TryLock() { // a worker never waits
		t.left.Add(1)
		return
	}
	defer t.mu.Unlock()
	t.batch.Reset()
	t.encoder.Append(&t.batch, row)
	select {
	case t.out <- append(slices.Clone(t.batch.Message(0)), '\n'):
	default:
		t.left.Add(1)
	}
}

// second lets the next second's records through.
func (t *tap) second() { t.allowed.Store(perSecond) }
