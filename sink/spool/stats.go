package spool

import "time"

// Count is a number of entries, with their rows and their bytes on disk.
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

// Stats are a Spool's counters since Open. At any time Found + Put = Done + DroppedFull + DroppedAge + Unreadable +
// Waiting.
type Stats struct {
	// Found are the entries of earlier runs.
	Found Count
	Put   Count
	// Failed were refused by Put: the disk was full, or the entry larger than the spool may be.
	Failed Count
	Done   Count
	// DroppedFull were the oldest when MaxBytes was reached; DroppedAge were older than MaxAge.
	DroppedFull, DroppedAge Count
	// DroppedApart is the part of DroppedFull that was Apart.
	DroppedApart Count
	// Unreadable were damaged: their payload had changed, or their header cannot be read (Damaged).
	Unreadable Count
	// Torn were incomplete entries at the end of a file, removed at Open: their Put had not returned. Their rows are 0
	// if the header was incomplete too.
	Torn Count
	// Damaged are stretches of files in which no entry could be read at Open. If the header is lost, Rows is an
	// estimate by size, at least 1. They are in Found and Unreadable too.
	Damaged Count
	// Foreign are files of another version of this program. They are left alone: their Rows are unknown, their Bytes
	// are not in DiskBytes.
	Foreign Count
	// Waiting are neither done nor dropped.
	Waiting Count
	// DiskBytes is the size of all files. A file is deleted when all its entries are done.
	DiskBytes int64
	// ApartBytes is the part of DiskBytes that entries take that are Apart.
	ApartBytes int64
	// Oldest is when the oldest waiting entry was put; zero if none waits.
	Oldest time.Time
}

// Prior returns how many entries with Priority are neither done nor dropped.
func (s *Spool) Prior() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, seg := range s.segments {
		for i := range seg.slots {
			if seg.slots[i].priority && seg.slots[i].state != gone {
				n++
			}
		}
	}
	return n
}

// Stats returns the counters.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	for _, seg := range s.segments {
		if i := seg.oldest(); i >= 0 {
			stats.Oldest = time.UnixMilli(seg.slots[i].millis) // by the machine's clock at that time
			break
		}
	}
	return stats
}
