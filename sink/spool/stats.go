package spool

import "time"

// Count is a number of entries and what they hold. Bytes are those on disk.
type Count struct {
	Entries, Rows, Bytes uint64
}

func (c *Count) add(d Count) {
	c.Entries += d.Entries
	c.Rows += d.Rows
	c.Bytes += d.Bytes
}

func (c *Count) sub(d Count) {
	c.Entries -= d.Entries
	c.Rows -= d.Rows
	c.Bytes -= d.Bytes
}

// Stats are a Spool's counters at one moment, since Open. At any time
// Found + Put = Done + DroppedFull + DroppedAge + Unreadable + Waiting.
type Stats struct {
	// Found were left by earlier runs.
	Found Count
	Put   Count
	// Failed were refused by Put: the disk is full, or the entry is larger than the spool may be.
	Failed Count
	Done   Count
	// DroppedFull were the oldest when MaxBytes was reached, DroppedAge were older than MaxAge.
	DroppedFull, DroppedAge Count
	// Unreadable were damaged: their payload is not what was put, or their header cannot be read (Damaged).
	Unreadable Count
	// Torn tails were cut at Open: no Put of these had returned. Their rows are 0 where the header was torn too.
	Torn Count
	// Damaged are stretches of files in which no entry could be read at Open. Where the header is lost, Rows is an
	// estimate of at least 1 by the size. They are in Found and in Unreadable too.
	Damaged Count
	// Foreign are files of another version of this program. They are left as they are: their Rows are not known, their
	// Bytes are not in DiskBytes.
	Foreign Count
	// Waiting are neither done nor dropped.
	Waiting Count
	// DiskBytes is the size of the files, which go when all in them is done.
	DiskBytes int64
	// Oldest is when the oldest that waits was put; zero when none does.
	Oldest time.Time
}

// Stats returns the counters.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	for _, seg := range s.segments {
		if i := seg.oldest(); i >= 0 {
			stats.Oldest = time.UnixMilli(seg.slots[i].millis) // by the clock that the machine had then
			break
		}
	}
	return stats
}
