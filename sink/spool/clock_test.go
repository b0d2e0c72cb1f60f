package spool

import (
	"testing"
	"time"
)

// testClock is the clock of a Spool. Nobody sets its monotonic part.
type testClock struct {
	wall    time.Time
	elapsed time.Duration
}

// setClock has the Spool go by a clock of the test's, as if it had been opened now.
func setClock(s *Spool, wall time.Time) *testClock {
	c := &testClock{wall: wall}
	s.clock = clock{now: func() time.Time { return c.wall }, since: func() time.Duration { return c.elapsed }}
	return c
}

func (c *testClock) advance(d time.Duration) {
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// jump sets the wall clock only.
func (c *testClock) jump(d time.Duration) { c.wall = c.wall.Add(d) }

var someDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// restarted closes the Spool and opens it again at that time of the wall clock.
func restarted(t *testing.T, s *Spool, wall time.Time) (*Spool, *testClock) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: s.o.Dir, MaxAge: s.o.MaxAge})
	return s, setClock(s, wall)
}

func TestBoundedByAge(t *testing.T) {
	s := open(t, Options{MaxAge: time.Hour})
	clock := setClock(s, someDay)
	put(t, s, entryOf(0, 5), entryOf(1, 5))
	clock.advance(time.Hour)
	put(t, s, entryOf(2, 5))
	clock.advance(time.Minute)
	ages(t, s, 2, 0, 1)
}

func TestBoundedByAgeOverARestart(t *testing.T) {
	s := open(t, Options{MaxAge: time.Hour})
	clock := setClock(s, someDay)
	put(t, s, entryOf(0, 5), entryOf(1, 5))
	clock.advance(time.Hour)
	put(t, s, entryOf(2, 5))
	s, clock = restarted(t, s, clock.wall.Add(time.Minute))
	e, ok := s.Next()
	if !ok || e.Rows != 1 {
		t.Fatal("an entry of the last run was dropped before the clock was known to be right")
	}
	s.Return(e, time.Minute)
	clock.advance(settleTime)
	ages(t, s, 2, 0, 1)
}

// ages takes what is left, which must be one entry, and checks that the others were dropped for their age.
func ages(t *testing.T, s *Spool, left int, dropped ...int) {
	t.Helper()
	if got := drain(t, s); !sameNumbers(got, left) {
		t.Errorf("delivered %v, want %d", got, left)
	}
	var want Count
	for _, n := range dropped {
		want.Entries++
		want.Rows += uint64(entryOf(n, 0).Rows)
	}
	got := s.Stats().DroppedAge
	if got.Bytes = 0; got != want {
		t.Errorf("dropped %+v, want %+v", got, want)
	}
	balanced(t, s.Stats())
}

// No step of the wall clock drops an entry or keeps one from being tried.
func TestWallClockIsSet(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		first time.Time
		jump  time.Duration
	}{
		"set from 1970 by NTP": {time.Unix(100, 0), 56 * 365 * day},
		"ahead by a year":      {someDay, 365 * day},
		"back by an hour":      {someDay, -time.Hour},
		"back to 1970":         {someDay, -56 * 365 * day},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{MaxAge: 7 * day})
			clock := setClock(s, test.first)
			put(t, s, entryOf(0, 5), entryOf(1, 5))
			e, _ := s.Next()
			s.Return(e, 30*time.Second)
			clock.jump(test.jump)
			if e, ok := s.Next(); !ok || e.Rows != 2 {
				t.Fatal("the second entry did not come at once")
			} else {
				s.Return(e, 30*time.Second)
			}
			clock.advance(30 * time.Second)
			if e, ok := s.Next(); !ok || e.Rows != 1 {
				t.Fatal("the first entry did not come after its 30 s")
			} else {
				s.Return(e, 0)
			}
			// A restart while the clock is wrong, and its correction soon after.
			s, clock = restarted(t, s, clock.wall)
			e, ok := s.Next()
			if !ok {
				t.Fatal("dropped at the restart")
			}
			s.Return(e, 0)
			clock.advance(settleTime / 2)
			clock.jump(-test.jump)
			if got := drain(t, s); !sameNumbers(got, 0, 1) {
				t.Errorf("after the restart came %v", got)
			}
			balanced(t, s.Stats())
		})
	}
}

// An entry whose time cannot be right is as old as this run is.
func TestImpossibleTimesAgeFromTheRestart(t *testing.T) {
	for name, put1 := range map[string]time.Time{"of 1970": time.Unix(100, 0),
		"of the future": someDay.Add(1000 * time.Hour)} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{MaxAge: time.Hour})
			setClock(s, put1)
			put(t, s, entryOf(0, 5))
			s, clock := restarted(t, s, someDay)
			clock.advance(59 * time.Minute)
			e, ok := s.Next()
			if !ok {
				t.Fatal("dropped before it was an hour old")
			}
			s.Return(e, 0)
			clock.advance(2 * time.Minute)
			if _, ok := s.Next(); ok {
				t.Error("it came though it was too old")
			}
			balanced(t, s.Stats())
		})
	}
}
