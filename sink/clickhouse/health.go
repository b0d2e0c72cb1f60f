package clickhouse

import (
	"sync"
	"time"
)

// health says for how long no insert went in though some were tried.
type health struct {
	patience time.Duration // after which the server counts as down

	mu        sync.Mutex
	delivered time.Time // the latest success
	since     time.Time // when the first attempt that failed since then was begun; zero: none did
	down      bool
}

// failed reports an attempt that can succeed later and when it was begun. It returns whether the server counts as down.
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

// succeeded reports an attempt that did.
func (h *health) succeeded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delivered, h.since, h.down = time.Now(), time.Time{}, false
}

// isDown reports whether the latest attempts failed, for longer than patience.
func (h *health) isDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// deliveredAfter reports whether an insert went in after t.
func (h *health) deliveredAfter(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.delivered.After(t)
}
