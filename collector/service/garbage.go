package service

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A garbageLimit bounds how much garbage there may be beside what is in use. Hardly anything becomes garbage here but
// what inserts and metadata leave, and most memory holds no pointers. So collecting more often than Go's default costs
// little and saves memory, and more of it when a flood of datagrams has filled all state to its limits.
type garbageLimit struct {
	percent int // what is set
	sample  [1]metrics.Sample
}

const (
	// gcPercent is how much garbage there may be, in percent of what is in use.
	gcPercent = 40
	// leastGCPercent is for a large heap. A collection costs the more the more is in use, so it is not less.
	leastGCPercent = 16
	// garbageBytes is how much garbage there may be where the percentage is between the two.
	garbageBytes = 12 << 20
	// adjustGarbageEvery is shorter than the time in which a flood can fill the state.
	adjustGarbageEvery = time.Second
)

// percentOf returns the percentage for so many bytes in use.
func percentOf(live uint64) int {
	return int(max(leastGCPercent, min(gcPercent, garbageBytes*100/max(live, 1))))
}

// adjust sets the percentage for what is in use since the latest collection.
func (g *garbageLimit) adjust() {
	g.sample[0].Name = "/gc/heap/live:bytes"
	metrics.Read(g.sample[:])
	percent := percentOf(g.sample[0].Value.Uint64())
	// Setting it stops all goroutines for some microseconds, so small changes are left.
	const small = 2
	extreme := percent == gcPercent || percent == leastGCPercent
	if d := percent - g.percent; d < -small || d > small || d != 0 && extreme {
		debug.SetGCPercent(percent)
		g.percent = percent
	}
}

// limitGarbage keeps the limit until the service ends. GOGC in the environment takes its place.
func (s *service) limitGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	g := &garbageLimit{}
	g.adjust()
	s.background.Go(func() { g.keep(s.life) })
}

func (g *garbageLimit) keep(ctx context.Context) {
	ticker := time.NewTicker(adjustGarbageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.adjust()
		}
	}
}
