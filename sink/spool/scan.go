package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// scanned is what a segment's file holds.
type scanned struct {
	slots   []slot
	end     int64 // of the last good entry
	torn    Count // the tail from end on
	damaged Count // in the middle
}

// scan reads the headers of a segment's file. Payloads are checked when they are read, but for the last: an entry is
// synced before the next is begun, so only the last can be torn.
func scan(f io.ReaderAt, size int64, id uint64) (scanned, error) {
	var s scanned
	var last header
	for s.end < size {
		h, ok, err := readHeader(f, s.end, size, id)
		if err != nil {
			return s, err
		}
		if ok && s.end+h.size() <= size {
			s.slots = append(s.slots, newSlot(s.end, &h))
			s.end += h.size()
			last = h
			continue
		}
		next, err := resync(f, s.end+1, size, id)
		if err != nil {
			return s, err
		}
		if next < 0 {
			s.torn = Count{Entries: 1, Rows: uint64(h.rows), Bytes: uint64(size - s.end)}
			break
		}
		s.damaged.add(Count{Entries: 1, Bytes: uint64(next - s.end)})
		s.end = next
	}
	if s.torn.Entries > 0 || len(s.slots) == 0 || last.done {
		return s, nil
	}
	return s, s.checkLast(f, &last)
}

// checkLast takes the last entry for torn where its payload is not what its header says.
func (s *scanned) checkLast(f io.ReaderAt, h *header) error {
	at := s.slots[len(s.slots)-1].offset
	payload := make([]byte, h.size()-headerSize)
	if _, err := f.ReadAt(payload, at+headerSize); err != nil && err != io.EOF {
		return err
	}
	if checksum(payload) != h.checksum {
		s.slots = s.slots[:len(s.slots)-1]
		s.torn = Count{Entries: 1, Rows: uint64(h.rows), Bytes: uint64(h.size())}
		s.end = at
	}
	return nil
}

// readHeader reads the header at an offset; false where there is none. A header that is whole but for a state byte that
// says "done" is one.
func readHeader(f io.ReaderAt, at, size int64, id uint64) (h header, ok bool, err error) {
	if at+headerSize > size {
		return h, false, nil
	}
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil && err != io.EOF {
		return h, false, err
	}
	h, ok = parseHeader(b[:], id)
	if !ok {
		return header{}, false, nil
	}
	return h, true, nil
}

// resync finds the first header of the segment from at on; -1 where there is none.
func resync(f io.ReaderAt, at, size int64, id uint64) (int64, error) {
	pattern := binary.LittleEndian.AppendUint64(nil, id)
	window := make([]byte, 1<<20)
	for pos := at; pos+int64(len(pattern)) <= size; {
		n, err := f.ReadAt(window[:min(int64(len(window)), size-pos)], pos)
		if err != nil && err != io.EOF {
			return 0, err
		}
		chunk := window[:n]
		for base := 0; ; {
			i := bytes.Index(chunk[base:], pattern)
			if i < 0 {
				break
			}
			start := pos + int64(base+i) - idOffset
			if start >= at {
				_, ok, err := readHeader(f, start, size, id)
				if err != nil || ok {
					return start, err
				}
			}
			base += i + 1
		}
		if n < len(pattern) {
			break
		}
		pos += int64(n - len(pattern) + 1)
	}
	return -1, nil
}

const extension = ".spool"

// fileName of a segment sorts by time; nanos is unique.
func fileName(nanos int64, id uint64) string {
	return fmt.Sprintf("%019d-%016x%s", nanos, id, extension)
}

func parseFileName(name string) (nanos int64, id uint64, ok bool) {
	if len(name) != len(fileName(0, 0)) || !strings.HasSuffix(name, extension) || name[19] != '-' {
		return 0, 0, false
	}
	nanos, err := strconv.ParseInt(name[:19], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	id, err = strconv.ParseUint(name[20:36], 16, 64)
	return nanos, id, err == nil
}

// load reads what earlier runs left. Segments of those are never appended to.
func (s *Spool) load() error {
	files, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	for _, file := range files { // in the order of names
		nanos, id, ok := parseFileName(file.Name())
		if !ok {
			continue
		}
		s.lastName = max(s.lastName, nanos)
		if err := s.loadSegment(&segment{path: filepath.Join(s.o.Dir, file.Name()), id: id}); err != nil {
			return fmt.Errorf("open spool: segment %s: %w", file.Name(), err)
		}
	}
	for _, seg := range slices.Clone(s.segments) {
		if seg.left == 0 {
			s.remove(seg)
		}
	}
	s.stats.Found = s.stats.Waiting
	return nil
}

func (s *Spool) loadSegment(seg *segment) error {
	f, err := os.OpenFile(seg.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	found, err := scan(f, info.Size(), seg.id)
	if err != nil {
		return err
	}
	if found.torn.Entries > 0 {
		s.o.Log.Warn("an entry of the spool was not written whole and is cut off", zap.String("file", seg.path),
			zap.Uint64("bytes", found.torn.Bytes), zap.Uint64("rows", found.torn.Rows))
		if err := f.Truncate(found.end); err != nil {
			return err
		}
	}
	if found.damaged.Entries > 0 {
		s.o.Log.Error("a file of the spool is damaged; what is whole in it is delivered", zap.String("file", seg.path),
			zap.Uint64("damaged bytes", found.damaged.Bytes))
	}
	s.stats.Torn.add(found.torn)
	s.stats.Damaged.add(found.damaged)
	seg.slots, seg.bytes = found.slots, found.end
	for i := range seg.slots {
		if seg.slots[i].state == waiting {
			seg.left++
			s.stats.Waiting.add(seg.slots[i].count())
			s.waits(&seg.slots[i], 1)
			if s.o.Found != nil {
				seg.slots[i].ref = s.o.Found(int(seg.slots[i].rows), seg.readNote(f, &seg.slots[i]))
			}
		}
	}
	s.segments = append(s.segments, seg)
	s.stats.DiskBytes += seg.bytes
	return nil
}
