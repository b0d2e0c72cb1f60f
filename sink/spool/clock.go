package spool

import "time"

// clock measures how long entries have waited. Within a run it uses the monotonic clock, which cannot be set. Only the
// age of entries of earlier runs needs the wall clock, which may be wrong at boot and may be set while the program
// runs.
type clock struct {
	now    func() time.Time     // the wall clock
	since  func() time.Duration // monotonic, since Open
	offset time.Time            // the wall clock at since 0, as it is believed now
	from   time.Duration        // since when offset has been right
}

const (
	// settleTime is how long the wall clock must agree with the monotonic one before ages are believed.
	settleTime = 10 * time.Minute
	// settleDrift is how far the two may differ in that time.
	settleDrift = time.Minute
)

// noDateBefore is earlier than any entry: a clock that shows an earlier date was not set yet.
var noDateBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func newClock() clock {
	start := time.Now()
	return clock{now: time.Now, since: func() time.Duration { return time.Since(start) }}
}

// elapsed returns the time since Open. It never goes back.
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
