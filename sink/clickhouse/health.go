package clickhouse

import (
	"sync"
	"time"
)

// health measures how long all attempts have failed.
type health struct {
	patience time.Duration // after which the server counts as down

	mu        sync.Mutex
	delivered time.Time // the latest success
	since     time.Time // start of the first failed attempt since then; zero: none failed
	down      bool
}

// failed records a failed attempt that may succeed later, and when it began. It returns whether the server counts as
// down.
func (h *health) failed(begun time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = begun
		if begun.Before(h.delivered) {
			h.since = h.delivered
		}
	}
	h.down = time.Since(h.since) >= h.patience
	return h.down
}

// succeeded records a successful attempt.
func (h *health) succeeded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delivered, h.since, h.down = time.Now(), time.Time{}, false
}

// isDown reports whether all attempts have failed for longer than patience.
func (h *health) isDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// deliveredAfter reports whether an insert was stored after t.
func (h *health) deliveredAfter(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.delivered.After(t)
}
