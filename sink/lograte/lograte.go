// Package lograte limits repeated log lines: the first line of a key is written at once, then one per minute.
package lograte

import (
	"errors"
	"strings"
	"sync"
	"time"
)

const interval = time.Minute

// Limiter decides which lines may be written. The zero value is ready. It must not be copied after its first use. It is
// safe for concurrent use.
type Limiter struct {
	mu      sync.Mutex
	last    map[string]time.Time // when the latest line of each key was written
	failing bool
}

// Allow reports whether a line of this key may be written now. If so, the caller writes it.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.allow(key)
}

// AllowFailure is Allow for a line about a failure that can end.
func (l *Limiter) AllowFailure(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = true
	return l.allow(key)
}

// Recovered is called after a success. It reports whether there was a failure since the last call, which is worth a
// line. After that the next line of every key is written at once.
func (l *Limiter) Recovered() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failing {
		return false
	}
	l.failing = false
	clear(l.last)
	return true
}

func (l *Limiter) allow(key string) bool {
	now := time.Now()
	if last, ok := l.last[key]; ok && now.Sub(last) < interval {
		return false
	}
	if l.last == nil {
		l.last = map[string]time.Time{}
	}
	l.last[key] = now
	return true
}

// OneLine joins the lines of an error with semicolons, for a log line.
func OneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
