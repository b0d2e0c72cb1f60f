package spool

import "time"

// clock tells how long entries have waited. Waiting within a run goes by the monotonic clock, which nobody sets. Only
// the age of entries of earlier runs needs the wall clock, which may be wrong at boot and is set while the program
// runs.
type clock struct {
	now    func() time.Time     // the wall clock
	since  func() time.Duration // monotonic, since Open
	offset time.Time            // what the wall clock said at since 0, as it is now believed
	from   time.Duration        // since when it has been right about that
}

const (
	// settleTime is how long the wall clock must have gone with the monotonic one before ages are believed.
	settleTime = 10 * time.Minute
	// settleDrift is how far both may differ in that time.
	settleDrift = time.Minute
)

// noDateBefore is earlier than any entry was put: a clock that says so was not set yet.
var noDateBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func newClock() clock {
	start := time.Now()
	return clock{now: time.Now, since: func() time.Duration { return time.Since(start) }}
}

// elapsed is the time since Open. It never goes back.
func (c *clock) elapsed() time.Duration { return c.since() }

// settled returns the wall clock's time, and whether it has been steady for settleTime.
func (c *clock) settled() (wall time.Time, ok bool) {
	wall, elapsed := c.now().Round(0), c.elapsed()
	offset := wall.Add(-elapsed)
	if drift := offset.Sub(c.offset); drift > settleDrift || drift < -settleDrift {
		c.offset, c.from = offset, elapsed
	}
	return wall, elapsed-c.from >= settleTime
}
