package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// segment is one file of entries. Everything but file is guarded by the Spool's mu.
type segment struct {
	path    string
	id      uint64
	apart   bool
	bytes   int64 // the file's size
	slots   []slot
	first   int  // all slots before it are gone
	left    int  // how many slots are not gone
	removed bool // the file has been deleted
	file    file // while it is appended to
}

// slot is the memory of one entry.
type slot struct {
	offset, size int64
	millis       int64         // when it was put, Unix milliseconds of the clock at that time
	put          time.Duration // when it was put, since Open; 0 for entries of earlier runs
	earlier      bool          // it is from an earlier run
	notBefore    time.Duration // since Open; Next skips it until then
	rows         uint32
	ref          any
	tries        uint16
	state        state
	priority     bool
}

// state is the state of a slot.
type state uint8

const (
	waiting state = iota
	taken         // by Next
	gone          // done or dropped
)

func newSlot(offset int64, h *header) slot {
	s := slot{offset: offset, size: h.size(), millis: h.millis, rows: h.rows, priority: h.priority}
	if h.done {
		s.state = gone
	}
	return s
}

func (s *slot) count() Count { return Count{Entries: 1, Rows: uint64(s.rows), Bytes: uint64(s.size)} }

// oldest returns the first slot that is not gone; -1 if all are.
func (seg *segment) oldest() int {
	for seg.first < len(seg.slots) && seg.slots[seg.first].state == gone {
		seg.first++
	}
	if seg.first == len(seg.slots) {
		return -1
	}
	return seg.first
}

// write appends an entry at an offset and syncs it. After an error the file is as before. If even that failed, a tail
// remains, which the next Open removes or, if it is complete, delivers: its token makes a second delivery harmless.
func (seg *segment) write(offset int64, head []byte, e *Entry) error {
	_, err := seg.file.WriteAt(head, offset)
	if err == nil {
		err = e.inParts(func(part []byte, at int64) error {
			_, err := seg.file.WriteAt(part, offset+int64(len(head))+at)
			return err
		})
	}
	if err == nil {
		err = seg.file.Sync()
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, seg.file.Truncate(offset))
}

// errUnreadable is the error for entries whose content has changed.
var errUnreadable = errors.New("the checksum is wrong")

// read returns the entry in a slot of the file, without its data, which is checked.
func (seg *segment) read(at slot) (*Entry, error) {
	f, err := os.Open(seg.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], at.offset); err != nil {
		return nil, unreadable(err)
	}
	h, ok := parseHeader(b[:], seg.id)
	if !ok || h.size() != at.size {
		return nil, errUnreadable
	}
	text := make([]byte, h.text())
	if _, err := f.ReadAt(text, at.offset+headerSize); err != nil {
		return nil, unreadable(err)
	}
	token, note := text[h.query:][:h.token], text[int64(h.query)+int64(h.token):]
	e := &Entry{
		Query: string(text[:h.query]), Token: string(token), Note: note, Ref: at.ref, Rows: int(h.rows),
		Tries: int(at.tries), Priority: at.priority, Apart: seg.apart,
		Size: int(h.data), segment: seg, at: at.offset + headerSize + int64(len(text)),
	}
	switch sum, err := e.checksum(text); {
	case errors.Is(err, errSize):
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	case err != nil:
		return nil, err
	case sum != h.checksum:
		return nil, errUnreadable
	}
	return e, nil
}

// onDisk reads a part of a file. A file that has become shorter is an error, not the end of the data.
type onDisk struct {
	file *os.File
	rest *io.SectionReader
	left int64
}

// Read implements io.Reader.
func (d *onDisk) Read(p []byte) (int, error) {
	n, err := d.rest.Read(p)
	if d.left -= int64(n); err == io.EOF && d.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements io.Closer.
func (d *onDisk) Close() error { return d.file.Close() }

// open reads a part of the file.
func (seg *segment) open(at int64, size int) (io.ReadCloser, error) {
	f, err := os.Open(seg.path)
	if err != nil {
		return nil, err
	}
	return &onDisk{f, io.NewSectionReader(f, at, int64(size)), int64(size)}, nil
}

// readNote returns the note of the entry in a slot; nil if it cannot be read, in which case read reports the reason.
func (seg *segment) readNote(f io.ReaderAt, at *slot) []byte {
	h, ok, err := readHeader(f, at.offset, at.offset+at.size, seg.id)
	if err != nil || !ok {
		return nil
	}
	note := make([]byte, h.note)
	if _, err := f.ReadAt(note, at.offset+headerSize+int64(h.query)+int64(h.token)); err != nil {
		return nil
	}
	return note
}

// unreadable distinguishes a file that is too short, which is permanent, from a temporary error.
func unreadable(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return err
}

// mark writes the state of the entry at an offset. It is not synced: an entry that is delivered again has its token.
func (seg *segment) mark(offset int64) error {
	f, err := os.OpenFile(seg.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{stateDone}, offset+stateOffset)
	return errors.Join(err, f.Close())
}
