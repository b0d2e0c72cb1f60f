// Package spool keeps encoded blocks on disk while they cannot be delivered. It does not know what they contain or
// where they go, and imports nothing of this project.
//
// Entries are in segment files, which are only appended to. Those that are Apart have files of their own, so that a
// full spool can drop them and keep the others: see shrink. Each entry is synced to disk before Put returns. A
// delivered entry is marked with one byte, and a file is deleted when all its entries are done. The mark is not
// synced: after a crash a delivered entry may come back. It has the same token, by which the receiver must recognize
// it.
//
// A crash can only damage the last entry, whose Put has not returned. Open removes it. Any other damage is a loss,
// which is reported to Options.Dropped. A file of a later version of this program is left alone.
package spool

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Options configure a Spool. Only Dir has no usable zero value.
type Options struct {
	// Dir is created if it is missing. It can be open in one Spool at a time.
	Dir string
	// MaxBytes limits the files together. If a new entry does not fit, the oldest file is deleted: of entries that are
	// Apart if these take more than half of MaxBytes, else of the others if they do. 0: 10 GiB.
	MaxBytes int64
	// MaxAge is how long an entry may wait. 0: 7 days. Entries of an earlier run are dropped for their age only after
	// the wall clock has been steady for 10 minutes.
	MaxAge time.Duration
	// SegmentBytes is the approximate size of a file: how much MaxBytes drops at a time, and how much stays on disk
	// until all of it is done. 0: a sixteenth of MaxBytes, at most 64 MiB.
	SegmentBytes int64
	// Found is called for every entry that an earlier run left, with its note. readable is false if the note, and
	// perhaps the exact number of rows, was damaged. Its result becomes the entry's Ref. Dropped is called for every
	// entry that will not be delivered, with the cause. Both are called from within the Spool's methods and must not
	// call these. nil: not called.
	Found   func(rows int, note []byte, readable bool) (ref any)
	Dropped func(ref any, why Cause)
	// Log receives lines about damage and dropped entries. nil: none.
	Log *zap.Logger
}

// Cause is why an entry was dropped.
type Cause int

// The causes: it was the oldest when the spool was full; it was older than MaxAge; its payload had changed.
const (
	Full Cause = iota
	Age
	Damage
)

// Entry is one block. Query, Token, Note and Data are read back unchanged.
type Entry struct {
	Query, Token string
	Rows         int
	Data         []byte
	// From, if not nil, opens the data in place of Data, so that it need not be in memory as a whole: Size bytes, the
	// same each time. Put reads it twice.
	From func() (io.ReadCloser, error)
	Size int // of the data in bytes; Put sets it if From is nil
	// Note is for data that the caller needs later. Ref stays in memory, for Options.Dropped.
	Note []byte
	Ref  any
	// Priority makes Next return the entry before all entries without it. Put persists it; Return keeps it in memory
	// until Close.
	Priority bool
	// Apart keeps the entry in files of their own kind, of which each has half of MaxBytes for certain.
	Apart bool
	// Tries is how often the entry was taken and returned since Open. Put ignores it.
	Tries int

	segment *segment
	slot    int
	at      int64 // of the data in the segment's file
}

// Open reads an entry's data: in memory, by From, or on disk, where it is as long as the entry is not dropped.
func (e *Entry) Open() (io.ReadCloser, error) {
	switch {
	case e.Data != nil:
		return io.NopCloser(bytes.NewReader(e.Data)), nil
	case e.From != nil:
		return e.From()
	case e.segment != nil:
		return e.segment.open(e.at, e.Size)
	}
	return io.NopCloser(bytes.NewReader(nil)), nil
}

var (
	// ErrTooLarge is the error for entries larger than MaxBytes.
	ErrTooLarge = errors.New("larger than the spool")
	// ErrClosed is the error after Close.
	ErrClosed = errors.New("the spool is closed")
)

// Spool is a queue on disk. It is safe for concurrent use.
type Spool struct {
	o     Options
	lock  *os.File
	clock clock // guarded by mu after Open
	disk  disk

	putting sync.Mutex // serializes writing of entries; locked before mu

	mu         sync.Mutex
	segments   []*segment  // oldest first
	active     [2]*segment // the last segment of either kind while it is appended to, else nil
	busy       *segment    // the one that is being written to, and must not be deleted
	closed     bool
	priorities int // waiting entries with priority
	lastName   int64
	stats      Stats
	full       notice
	old        notice

	ready atomic.Int64 // waiting entries that are not taken
	used  atomic.Int64 // stats.DiskBytes
}

// Open reads what earlier runs left in the directory. It fails if another process has the directory open.
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
		full: notice{what: "the spool is full, its oldest rows are dropped"},
		old:  notice{what: "rows were in the spool for too long, they are dropped"},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	s.shrink(0, false)
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

// Close releases the directory. Entries that are taken but not done are waiting in the next Open.
func (s *Spool) Close() error {
	s.putting.Lock()
	defer s.putting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.sealAll()
	return s.lock.Close()
}

// Put appends an entry. When it returns, the entry is on disk. If the spool is full, the oldest entries are dropped.
// After an error, such as a full disk, nothing of the entry is kept.
func (s *Spool) Put(e Entry) error { return s.add(&e, waiting) }

// Replace replaces an entry from Next by others, such as its parts. These are taken, as if from Next: each must end
// with Done or Return. After an error the entry is unchanged. A crash in between leaves the entry and some of the
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
		s.o.Log.Warn("a replaced entry of the spool may come back after a crash", zap.Error(err))
	}
	return nil
}

// add appends an entry in a state, and notes in the entry where it is.
func (s *Spool) add(e *Entry, as state) error {
	s.putting.Lock()
	defer s.putting.Unlock()
	count, err := s.put(e, as)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failed.add(count)
		return fmt.Errorf("spool %d rows in %d bytes: %w", e.Rows, e.Size, err)
	}
	s.stats.Put.add(count)
	return nil
}

func (s *Spool) put(e *Entry, as state) (Count, error) {
	if e.From == nil {
		e.Size = len(e.Data)
	}
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
	if h.checksum, err = e.checksum(text); err != nil {
		return count, err
	}
	seg, err := s.reserve(h.size(), e.Apart)
	if err != nil {
		return count, err
	}
	h.segment = seg.id
	offset := seg.bytes // only one entry is written at a time
	err = seg.write(offset, append(h.appendTo(make([]byte, 0, headerSize+len(text))), text...), e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = nil
	if err != nil {
		s.seal(seg) // a file that failed is not written to again
		if seg.left == 0 {
			s.remove(seg)
		}
		return count, err
	}
	seg.bytes += h.size()
	seg.slots = append(seg.slots, newSlot(offset, &h))
	seg.slots[len(seg.slots)-1].ref = e.Ref
	seg.left++
	s.occupy(seg, h.size())
	s.stats.Waiting.add(count)
	e.segment, e.slot, e.at = seg, len(seg.slots)-1, offset+headerSize+int64(len(text))
	slot := &seg.slots[e.slot]
	slot.put = s.clock.elapsed()
	if slot.state = as; as == waiting {
		s.waits(slot, 1)
	}
	return count, nil
}

// waits counts an entry that starts (1) or stops (-1) waiting.
func (s *Spool) waits(slot *slot, change int) {
	s.ready.Add(int64(change))
	if slot.priority {
		s.priorities += change
	}
}

// reserve makes room for an entry and returns the segment to append to. It stays active while it is busy.
func (s *Spool) reserve(size int64, apart bool) (*segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.expire()
	s.shrink(size, apart)
	active := &s.active[kind(apart)]
	if *active != nil && (*active).bytes > 0 && (*active).bytes+size > s.o.SegmentBytes {
		s.seal(*active)
	}
	if *active == nil {
		var err error
		if *active, err = s.create(apart); err != nil {
			return nil, err
		}
	}
	s.busy = *active
	return s.busy, nil
}

// kind returns the index of a kind of segment in active.
func kind(apart bool) int {
	if apart {
		return 1
	}
	return 0
}

// create begins a segment.
func (s *Spool) create(apart bool) (*segment, error) {
	var random [8]byte
	crand.Read(random[:])
	seg := &segment{id: binary.LittleEndian.Uint64(random[:]), apart: apart}
	s.lastName = max(s.lastName+1, s.clock.now().UnixNano()) // names stay sorted even if the clock is set back
	seg.path = filepath.Join(s.o.Dir, fileName(s.lastName, seg.id, apart))
	var err error
	if seg.file, err = s.disk.create(seg.path); err != nil {
		return nil, err
	}
	if err := s.disk.sync(s.o.Dir); err != nil {
		return nil, errors.Join(err, seg.file.Close(), os.Remove(seg.path))
	}
	s.segments = append(s.segments, seg)
	return seg, nil
}

// seal stops appending to a segment.
func (s *Spool) seal(seg *segment) {
	if active := &s.active[kind(seg.apart)]; *active == seg {
		_ = seg.file.Close() // everything in it is synced
		seg.file = nil
		*active = nil
	}
}

func (s *Spool) sealAll() {
	for _, seg := range s.active {
		if seg != nil {
			s.seal(seg)
		}
	}
}

// occupy notes that a segment has so many more bytes.
func (s *Spool) occupy(seg *segment, bytes int64) {
	s.stats.DiskBytes += bytes
	if seg.apart {
		s.stats.ApartBytes += bytes
	}
	s.used.Store(s.stats.DiskBytes)
}

// Fullness returns how much of MaxBytes is in use, from 0 to 1. It does not wait for the disk.
func (s *Spool) Fullness() float64 { return float64(s.used.Load()) / float64(s.o.MaxBytes) }
