package spool

import (
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
)

// drop ends an entry and counts it, and deletes its file where it was the last.
func (s *Spool) drop(seg *segment, i int, count *Count) {
	slot := &seg.slots[i]
	switch slot.state {
	case gone:
		return
	case waiting:
		s.waits(slot, -1)
	}
	slot.state, slot.ref = gone, nil
	seg.left--
	s.stats.Waiting.sub(slot.count())
	count.add(slot.count())
	if seg.removed || s.closed {
		return
	}
	if seg.left == 0 && !(s.busy && seg == s.active) {
		s.remove(seg)
		return
	}
	if err := seg.mark(slot.offset); err != nil {
		s.o.Log.Warn("an entry of the spool that is done could not be marked, and may be delivered again after a restart",
			zap.String("file", seg.path), zap.Error(err))
	}
}

// lose ends an entry that nobody will get.
func (s *Spool) lose(seg *segment, i int, why Cause) {
	slot := &seg.slots[i]
	if slot.state == gone {
		return
	}
	if s.o.Dropped != nil {
		s.o.Dropped(slot.ref, why)
	}
	s.drop(seg, i, map[Cause]*Count{Full: &s.stats.DroppedFull, Age: &s.stats.DroppedAge,
		Damage: &s.stats.Unreadable}[why])
}

// remove deletes a segment.
func (s *Spool) remove(seg *segment) {
	if seg == s.active {
		s.seal()
	}
	seg.removed = true
	s.segments = slices.DeleteFunc(s.segments, func(other *segment) bool { return other == seg })
	s.stats.DiskBytes -= seg.bytes
	if err := os.Remove(seg.path); err != nil {
		s.o.Log.Error("a file of the spool cannot be deleted", zap.Error(err))
	}
}

// shrink deletes the oldest segments until there is room. What is taken of them is not lost yet.
func (s *Spool) shrink(size int64) {
	for len(s.segments) > 0 && s.stats.DiskBytes+size > s.o.MaxBytes {
		seg := s.segments[0]
		s.remove(seg)
		for i := range seg.slots {
			if seg.slots[i].state == waiting {
				s.lose(seg, i, Full)
			}
		}
	}
	s.full.say(s.o.Log, s.clock.now(), s.stats.DroppedFull)
}

// expire drops what has waited for longer than MaxAge. Entries of this run are as old as the monotonic clock says.
// Those of earlier runs have only the wall clock, and are looked at once that is to be trusted.
func (s *Spool) expire() {
	wall, settled := s.clock.settled()
	elapsed := s.clock.elapsed()
	for len(s.segments) > 0 {
		seg := s.segments[0]
		i := seg.first
		for ; i < len(seg.slots) && s.tooOld(&seg.slots[i], elapsed, wall, settled); i++ {
			if seg.slots[i].state == waiting {
				s.lose(seg, i, Age)
			}
		}
		if !seg.removed {
			break
		}
	}
	s.old.say(s.o.Log, s.clock.now(), s.stats.DroppedAge)
}

func (s *Spool) tooOld(at *slot, elapsed time.Duration, wall time.Time, settled bool) bool {
	if !at.earlier {
		return elapsed-at.put > s.o.MaxAge
	}
	put := time.UnixMilli(at.millis)
	if put.Before(noDateBefore) || put.After(wall) { // a clock that was wrong when the entry was put says nothing
		return elapsed > s.o.MaxAge
	}
	return settled && wall.Sub(put) > s.o.MaxAge
}

// notice logs what was dropped, once a minute at most.
type notice struct {
	what string
	said Count
	last time.Time
}

func (n *notice) say(log *zap.Logger, now time.Time, total Count) {
	if since := now.Sub(n.last); total == n.said || since >= 0 && since < time.Minute {
		return
	}
	log.Error(n.what, zap.Uint64("entries", total.Entries-n.said.Entries), zap.Uint64("rows", total.Rows-n.said.Rows))
	n.said, n.last = total, now
}
