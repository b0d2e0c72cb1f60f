// Package journal keeps what repeats from filling the log: the first line of each sort is written at once, then one a
// minute.
package journal

import (
	"sync"
	"time"
)

const interval = time.Minute

// Journal says which lines may be written. The zero value is ready; it is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	last    map[string]time.Time // when a line of each sort was last written
	failing bool
}

// Due reports whether a line of that sort may be written now, which the caller then does.
func (j *Journal) Due(sort string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.due(sort)
}

// Failed is Due for a failure that can pass, which Recovered ends.
func (j *Journal) Failed(sort string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failing = true
	return j.due(sort)
}

// Recovered reports whether something failed before, and that is over now: a line worth writing, after which every sort
// is new.
func (j *Journal) Recovered() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.failing {
		return false
	}
	j.failing = false
	clear(j.last)
	return true
}

func (j *Journal) due(sort string) bool {
	now := time.Now()
	if last, ok := j.last[sort]; ok && now.Sub(last) < interval {
		return false
	}
	if j.last == nil {
		j.last = map[string]time.Time{}
	}
	j.last[sort] = now
	return true
}
