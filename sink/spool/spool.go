// Package spool keeps encoded blocks on disk while nobody takes them. It knows nothing of what they hold nor who takes
// them, and imports nothing of this project.
//
// Entries lie in segment files that are only appended to; each entry is synced to the disk before Put returns. A
// delivered entry gets a mark of one byte, and the file is deleted when all in it is done. The mark is not synced:
// after a crash an entry may come back that was delivered. It comes with the same token, which the receiver must know
// it by.
//
// A crash can tear only the last entry, whose Put has not returned. It is cut off at Open. Any other damage is a loss:
// the rows are told to Options.Dropped. A file of a later version of this program is left alone.
package spool

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Options bound a Spool. Only Dir has no useful zero value.
type Options struct {
	// Dir is made where it is missing. It belongs to one Spool at a time.
	Dir string
	// MaxBytes bounds the files together; the oldest file goes for a new entry that has no room. 0: 10 GiB.
	MaxBytes int64
	// MaxAge is how long an entry may wait. 0: 7 days. Entries of an earlier run are dropped for their age only after
	// the wall clock has been steady for 10 minutes.
	MaxAge time.Duration
	// SegmentBytes is about how large a file gets: what MaxBytes drops at a time, and what stays on disk until all in
	// it is done. 0: a sixteenth of MaxBytes, 64 MiB at most.
	SegmentBytes int64
	// Found is told of every entry that an earlier run left, and its note; readable is false where damage has taken the
	// note and, maybe, the exact number of rows. What it returns is the entry's Ref. Dropped is told of every entry
	// that nobody will get, and why. Both are called within the Spool's methods and must not call these. nil: nobody.
	Found   func(rows int, note []byte, readable bool) (ref any)
	Dropped func(ref any, why Cause)
	// Log gets what is found damaged or is dropped. nil: nobody.
	Log *zap.Logger
}

// Cause says why an entry was dropped.
type Cause int

// The causes: the oldest of a spool that was full, older than MaxAge, or with a payload that is not what was put.
const (
	Full Cause = iota
	Age
	Damage
)

// Entry is one block. Query, Token, Note and Data come back from the disk as they were put.
type Entry struct {
	Query, Token string
	Rows         int
	Data         []byte
	// Note is what else the caller wants to know of the entry later. Ref stays in memory, for Options.Dropped.
	Note []byte
	Ref  any
	// First has Next give it out before all that are not. With Return it is only remembered until Close.
	First bool
	// Tries is how often the entry was taken and returned since Open. Put does not look at it.
	Tries int

	segment *segment
	slot    int
}

var (
	// ErrTooLarge is for entries larger than MaxBytes.
	ErrTooLarge = errors.New("larger than the spool")
	// ErrClosed is for entries that come after Close.
	ErrClosed = errors.New("the spool is closed")
)

// Spool is a queue on disk. Its methods may be called by several goroutines.
type Spool struct {
	o     Options
	lock  *os.File
	clock clock // guarded by mu once the Spool is open
	disk  disk

	putting sync.Mutex // one entry is written at a time; before mu

	mu       sync.Mutex
	segments []*segment // oldest first
	active   *segment   // the last one while it is appended to, else nil
	busy     bool       // active is being written to, and must not be deleted
	closed   bool
	firsts   int // entries that wait and go first
	lastName int64
	stats    Stats
	full     notice
	old      notice

	ready atomic.Int64 // entries that wait and are not taken
}

// Open reads what earlier runs left in the directory. Another process that has it open is an error.
func Open(o Options) (*Spool, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 10 << 30
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = min(o.MaxBytes/16, 64<<20)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		o: o, lock: lock, clock: newClock(), disk: osDisk,
		full: notice{what: "the spool is full, the oldest of it is dropped"},
		old:  notice{what: "the spool held rows for too long, they are dropped"},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	s.shrink(0)
	return s, nil
}

// lockDir keeps other processes out until the file is closed, however this process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}

// Close lets go of the directory. What was taken and is not done waits for the next Open.
func (s *Spool) Close() error {
	s.putting.Lock()
	defer s.putting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.seal()
	return s.lock.Close()
}

// Put appends an entry; it is on the disk when Put returns. Where the spool is full the oldest entries are dropped for
// it. After an error, such as a full disk, nothing of the entry is kept.
func (s *Spool) Put(e Entry) error { return s.add(&e, waiting) }

// Replace puts others in the place of an entry that Next gave, such as its parts, and takes them like Next: each is to
// end with Done or Return. After an error the entry is as it was. A crash in between leaves the entry and some of the
// others.
func (s *Spool) Replace(e *Entry, others ...*Entry) error {
	for i, other := range others {
		if err := s.add(other, taken); err != nil {
			for _, added := range others[:i] {
				s.Done(added)
			}
			return err
		}
	}
	s.Done(e)
	s.mu.Lock()
	path := e.segment.path
	if e.segment.removed {
		path = s.o.Dir
	}
	s.mu.Unlock()
	if err := s.disk.sync(path); err != nil {
		s.o.Log.Warn("an entry of the spool that was replaced may come back after a crash", zap.Error(err))
	}
	return nil
}

// add appends an entry in that state, and notes in it where it is.
func (s *Spool) add(e *Entry, as state) error {
	s.putting.Lock()
	defer s.putting.Unlock()
	count, err := s.put(e, as)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failed.add(count)
		return fmt.Errorf("spool %d rows in %d bytes: %w", e.Rows, len(e.Data), err)
	}
	s.stats.Put.add(count)
	return nil
}

func (s *Spool) put(e *Entry, as state) (Count, error) {
	millis := s.clock.now().UnixMilli()
	h, err := newHeader(0, millis, e)
	count := Count{Entries: 1, Rows: uint64(max(e.Rows, 0)), Bytes: uint64(h.size())}
	if err == nil && h.size() > s.o.MaxBytes {
		err = ErrTooLarge
	}
	if err != nil {
		return count, err
	}
	text := slices.Concat([]byte(e.Query), []byte(e.Token), e.Note)
	h.checksum = checksum(text, e.Data)
	seg, err := s.reserve(h.size())
	if err != nil {
		return count, err
	}
	h.segment = seg.id
	offset := seg.bytes // nobody else appends
	err = seg.write(offset, append(h.appendTo(make([]byte, 0, headerSize+len(text))), text...), e.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if err != nil {
		s.seal() // a file that failed is not written to again
		if seg.left == 0 {
			s.remove(seg)
		}
		return count, err
	}
	seg.bytes += h.size()
	seg.slots = append(seg.slots, newSlot(offset, &h))
	seg.slots[len(seg.slots)-1].ref = e.Ref
	seg.left++
	s.stats.DiskBytes += h.size()
	s.stats.Waiting.add(count)
	e.segment, e.slot = seg, len(seg.slots)-1
	slot := &seg.slots[e.slot]
	slot.put = s.clock.elapsed()
	if slot.state = as; as == waiting {
		s.waits(slot, 1)
	}
	return count, nil
}

// waits counts an entry that begins (1) or ends (-1) to wait.
func (s *Spool) waits(slot *slot, change int) {
	s.ready.Add(int64(change))
	if slot.first {
		s.firsts += change
	}
}

// reserve makes room for an entry and returns the segment to append it to, which stays until busy is false.
func (s *Spool) reserve(size int64) (*segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.expire()
	s.shrink(size)
	if s.active != nil && s.active.bytes > 0 && s.active.bytes+size > s.o.SegmentBytes {
		s.seal()
	}
	if s.active == nil {
		if err := s.create(); err != nil {
			return nil, err
		}
	}
	s.busy = true
	return s.active, nil
}

// create begins a segment.
func (s *Spool) create() error {
	var random [8]byte
	crand.Read(random[:])
	seg := &segment{id: binary.LittleEndian.Uint64(random[:])}
	s.lastName = max(s.lastName+1, s.clock.now().UnixNano()) // sorted, though the clock be set back
	seg.path = filepath.Join(s.o.Dir, fileName(s.lastName, seg.id))
	var err error
	if seg.file, err = s.disk.create(seg.path); err != nil {
		return err
	}
	if err := s.disk.sync(s.o.Dir); err != nil {
		return errors.Join(err, seg.file.Close(), os.Remove(seg.path))
	}
	s.segments = append(s.segments, seg)
	s.active = seg
	return nil
}

// seal ends appending to the active segment.
func (s *Spool) seal() {
	if s.active == nil {
		return
	}
	_ = s.active.file.Close() // all in it is synced
	s.active.file = nil
	s.active = nil
}
