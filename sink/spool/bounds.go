package spool

import (
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
)

// drop ends an entry and counts it. It deletes the file after its last entry.
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
	if seg.left == 0 && seg != s.busy {
		s.remove(seg)
		return
	}
	if err := seg.mark(slot.offset); err != nil {
		s.o.Log.Warn("a delivered entry of the spool could not be marked, and may be delivered again after a restart",
			zap.String("file", seg.path), zap.Error(err))
	}
}

// lose ends an entry that will not be delivered.
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
	s.seal(seg)
	seg.removed = true
	s.segments = slices.DeleteFunc(s.segments, func(other *segment) bool { return other == seg })
	s.occupy(seg, -seg.bytes)
	if err := os.Remove(seg.path); err != nil {
		s.o.Log.Error("a file of the spool cannot be deleted", zap.Error(err))
	}
}

// shrink deletes segments until an entry of size bytes fits. Their taken entries are not lost yet.
func (s *Spool) shrink(size int64, apart bool) {
	for len(s.segments) > 0 && s.stats.DiskBytes+size > s.o.MaxBytes {
		seg := s.victim(size, apart)
		s.remove(seg)
		for i := range seg.slots {
			if seg.slots[i].state == waiting {
				if seg.apart {
					s.stats.DroppedApart.add(seg.slots[i].count())
				}
				s.lose(seg, i, Full)
			}
		}
	}
	s.full.say(s.o.Log, s.clock.now(), s.stats.DroppedFull, s.stats.DroppedApart)
}

// victim returns the segment to delete for an entry: the oldest of the kind that takes more with the entry. So each
// kind has half of the spool for certain, and all of it while there is none of the other.
func (s *Spool) victim(size int64, apart bool) *segment {
	usual, others := s.stats.DiskBytes-s.stats.ApartBytes, s.stats.ApartBytes
	if apart {
		others += size
	} else {
		usual += size
	}
	for _, seg := range s.segments {
		if seg.apart == (others > usual) {
			return seg
		}
	}
	return s.segments[0]
}

// expire drops entries that have waited longer than MaxAge. The age of this run's entries is measured by the monotonic
// clock. Entries of earlier runs only have the wall clock, and are checked once that can be trusted.
func (s *Spool) expire() {
	wall, settled := s.clock.settled()
	elapsed := s.clock.elapsed()
	var young [2]bool // of each kind, whether a segment is left: those behind it are younger
	for n := 0; n < len(s.segments) && !(young[0] && young[1]); {
		seg := s.segments[n]
		if !young[kind(seg.apart)] {
			for i := seg.first; i < len(seg.slots) && s.tooOld(&seg.slots[i], elapsed, wall, settled); i++ {
				if seg.slots[i].state == waiting {
					s.lose(seg, i, Age)
				}
			}
		}
		if !seg.removed {
			young[kind(seg.apart)] = true
			n++
		}
	}
	s.old.say(s.o.Log, s.clock.now(), s.stats.DroppedAge, Count{})
}

func (s *Spool) tooOld(at *slot, elapsed time.Duration, wall time.Time, settled bool) bool {
	if !at.earlier {
		return elapsed-at.put > s.o.MaxAge
	}
	put := time.UnixMilli(at.millis)
	if put.Before(noDateBefore) || put.After(wall) { // the clock was wrong when the entry was put
		return elapsed > s.o.MaxAge
	}
	return settled && wall.Sub(put) > s.o.MaxAge
}

// notice logs what was dropped, at most once a minute.
type notice struct {
	what        string
	said, apart Count
	last        time.Time
}

func (n *notice) say(log *zap.Logger, now time.Time, total, apart Count) {
	if since := now.Sub(n.last); total == n.said || since >= 0 && since < time.Minute {
		return
	}
	fields := []zap.Field{
		zap.Uint64("entries", total.Entries-n.said.Entries), zap.Uint64("rows", total.Rows-n.said.Rows),
	}
	if apart != n.apart {
		fields = append(fields, zap.Uint64("of sources above their part", apart.Rows-n.apart.Rows))
	}
	log.Error(n.what, fields...)
	n.said, n.apart, n.last = total, apart, now
}
