package spool

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

// Ready returns how many entries are waiting and not taken. It does not wait for the disk.
func (s *Spool) Ready() int64 { return s.ready.Load() }

// Next takes the oldest waiting entry that may be tried now; false if there is none. The entry stays on disk until
// Done; Return gives it back.
func (s *Spool) Next() (*Entry, bool) { return s.next((*Entry).Load) }

// NextUnread is Next without the data, whose checksum is right. It stays on disk, where Open reads it in parts and Load
// as a whole.
func (s *Spool) NextUnread() (*Entry, bool) { return s.next(func(*Entry) error { return nil }) }

// Load reads the data of an entry from NextUnread into Data.
func (e *Entry) Load() error {
	if e.Data != nil {
		return nil
	}
	data := make([]byte, 0, e.Size)
	if err := e.inParts(func(part []byte, _ int64) error {
		data = append(data, part...)
		return nil
	}); err != nil {
		return err
	}
	e.Data = data
	return nil
}

func (s *Spool) next(load func(*Entry) error) (*Entry, bool) {
	for {
		seg, i, at := s.take()
		if seg == nil {
			return nil, false
		}
		e, err := seg.read(at)
		if err == nil {
			err = load(e)
		}
		if err == nil {
			e.slot = i
			return e, true
		}
		if !s.failed(seg, i, err) {
			return nil, false
		}
	}
}

// readAgain is the wait before an entry is tried again whose file could not be read.
const readAgain = 30 * time.Second

// failed sets aside an entry that could not be read, permanently if it is damaged or was dropped meanwhile. It reports
// whether another entry may be tried now.
func (s *Spool) failed(seg *segment, i int, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &seg.slots[i]
	switch {
	case seg.removed:
		s.lose(seg, i, Full)
	case errors.Is(err, errUnreadable):
		s.o.Log.Error("an entry of the spool is damaged and is dropped", zap.String("file", seg.path),
			zap.Int64("offset", slot.offset), zap.Uint32("rows", slot.rows), zap.Error(err))
		s.lose(seg, i, Damage)
	default:
		s.o.Log.Error("the spool cannot be read", zap.String("file", seg.path), zap.Error(err))
		slot.notBefore = s.clock.elapsed() + readAgain
		slot.state = waiting
		s.waits(slot, 1)
		return false
	}
	return true
}

// take marks the next entry as taken and returns its segment, index and slot; a nil segment if there is none.
func (s *Spool) take() (*segment, int, slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, slot{}
	}
	s.expire()
	if s.priorities > 0 {
		if seg, i := s.oldest(true); seg != nil {
			return s.takeSlot(seg, i)
		}
	}
	if seg, i := s.oldest(false); seg != nil {
		return s.takeSlot(seg, i)
	}
	return nil, 0, slot{}
}

// oldest finds the oldest entry that may be tried now, of all entries or of those with priority; a nil segment if there
// is none.
func (s *Spool) oldest(priority bool) (*segment, int) {
	now := s.clock.elapsed()
	for _, seg := range s.segments {
		begin := seg.oldest()
		if begin < 0 {
			continue
		}
		for i := begin; i < len(seg.slots); i++ {
			if at := &seg.slots[i]; at.state == waiting && at.notBefore <= now && (at.priority || !priority) {
				return seg, i
			}
		}
	}
	return nil, 0
}

func (s *Spool) takeSlot(seg *segment, i int) (*segment, int, slot) {
	at := &seg.slots[i]
	s.waits(at, -1)
	at.state = taken
	return seg, i, *at
}

// Done removes an entry from Next: it was delivered, or never will be.
func (s *Spool) Done(e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(e.segment, e.slot, &s.stats.Done)
}

// Return gives back an entry from Next. It becomes the oldest again, but Next skips it until wait is over.
func (s *Spool) Return(e *Entry, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg, slot := e.segment, &e.segment.slots[e.slot]
	if slot.state != taken {
		return
	}
	if seg.removed {
		s.lose(seg, e.slot, Full)
		return
	}
	slot.state = waiting
	slot.notBefore = 0
	if wait > 0 {
		slot.notBefore = s.clock.elapsed() + wait
	}
	slot.tries++
	slot.priority = slot.priority || e.Priority
	s.waits(slot, 1)
}
