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

// scanned is the content of a segment's file.
type scanned struct {
	slots   []slot
	end     int64 // end of the last good entry
	torn    Count // the tail after end: an entry whose Put did not return
	damaged []stretch
	fixed   map[int64][headerSize]byte // headers with one wrong byte, by offset
	foreign bool                       // it has an entry of a version that this program does not know
	version int                        // that version
}

// stretch is a part of a file in which no entry can be read.
type stretch struct {
	Count
	known bool // Rows is from the header; otherwise it is an estimate
}

// scan reads the headers of a segment's file. Payloads are checked when they are read. Only the newest file can have an
// incomplete entry at its end: an entry is synced before the next one is begun, and Open removes what a crash left.
func scan(f io.ReaderAt, size int64, id uint64, newest bool) (scanned, error) {
	s := scanned{fixed: map[int64][headerSize]byte{}}
	for s.end < size {
		b, err := headerAt(f, s.end, size)
		if err != nil {
			return s, err
		}
		h, ok := parseHeader(b[:], id)
		if !ok {
			if s.version, s.foreign = otherVersion(b[:], id); s.foreign {
				return s, nil
			}
			if fixed, found := repaired(b[:], id); found {
				if h, ok = parseHeader(fixed[:], id); ok && s.end+h.size() <= size {
					s.fixed[s.end] = fixed
				}
			}
		}
		if ok && s.end+h.size() <= size {
			s.slots = append(s.slots, newSlot(s.end, &h))
			s.end += h.size()
			continue
		}
		next, err := resync(f, s.end+1, size, id)
		if err != nil {
			return s, err
		}
		if next < 0 && newest && (ok || isTorn(b[:], size-s.end)) {
			s.torn = Count{Entries: 1, Rows: uint64(h.rows), Bytes: uint64(size - s.end)}
			break
		}
		if next < 0 {
			next = size
		}
		if !ok {
			h = fields(b[:])
		}
		s.damage(&h, ok, next)
	}
	s.estimate()
	return s, nil
}

// damage notes that no entry can be read before next. The header is believed if its checksum is right, or if its length
// is that of the stretch.
func (s *scanned) damage(h *header, ok bool, next int64) {
	d := stretch{Count: Count{Entries: 1, Bytes: uint64(next - s.end)}}
	if d.known = ok || h.size() == next-s.end; d.known {
		d.Rows = uint64(h.rows)
	}
	s.damaged = append(s.damaged, d)
	s.end = next
}

// estimate estimates the rows of stretches without a header from the rows per byte of the file's other entries. It is
// at least one, so that a loss is never reported as none.
func (s *scanned) estimate() {
	var all Count
	for i := range s.slots {
		all.add(s.slots[i].count())
	}
	for i := range s.damaged {
		if d := &s.damaged[i]; !d.known {
			d.Rows = max(1, uint64(float64(all.Rows)*float64(d.Bytes)/float64(max(all.Bytes, 1))))
		}
	}
}

// isTorn reports whether the rest of a file, which begins with b and has no header, was not written completely: it is
// shorter than a header, or its header ends in zeros, as after a power failure.
func isTorn(b []byte, rest int64) bool {
	return rest < headerSize || binary.LittleEndian.Uint32(b[sumOffset:]) == 0
}

// headerAt reads the bytes of a header; beyond the end of the file they are zero.
func headerAt(f io.ReaderAt, at, size int64) (b [headerSize]byte, err error) {
	n := min(headerSize, size-at)
	if _, err := f.ReadAt(b[:n], at); err != nil && err != io.EOF {
		return b, err
	}
	return b, nil
}

// readHeader reads the header at an offset; false if there is none. A header whose only damage is that the state byte
// says "done" is valid.
func readHeader(f io.ReaderAt, at, size int64, id uint64) (h header, ok bool, err error) {
	if at+headerSize > size {
		return h, false, nil
	}
	b, err := headerAt(f, at, size)
	if err != nil {
		return h, false, err
	}
	if h, ok = parseHeader(b[:], id); !ok {
		return header{}, false, nil
	}
	return h, true, nil
}

// resync finds the first header of the segment at or after at; -1 if there is none.
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

const extension, apartMark = ".spool", "-apart"

// fileName returns a segment's file name. Names sort by time; nanos is unique.
func fileName(nanos int64, id uint64, apart bool) string {
	mark := ""
	if apart {
		mark = apartMark
	}
	return fmt.Sprintf("%019d-%016x%s%s", nanos, id, mark, extension)
}

// parseFileName returns a segment without its content, and its time; nil for other names.
func parseFileName(name string) (seg *segment, nanos int64) {
	stem, isSegment := strings.CutSuffix(name, extension)
	stem, apart := strings.CutSuffix(stem, apartMark)
	if !isSegment || len(stem) != len("0000000000000000000-0000000000000000") || stem[19] != '-' {
		return nil, 0
	}
	nanos, err := strconv.ParseInt(stem[:19], 10, 64)
	if err != nil {
		return nil, 0
	}
	id, err := strconv.ParseUint(stem[20:], 16, 64)
	if err != nil {
		return nil, 0
	}
	return &segment{id: id, apart: apart}, nanos
}

// load reads the segments of earlier runs. They are never appended to.
func (s *Spool) load() error {
	files, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	var found []*segment // sorted by name
	for _, file := range files {
		if seg, nanos := parseFileName(file.Name()); seg != nil {
			s.lastName = max(s.lastName, nanos)
			seg.path = filepath.Join(s.o.Dir, file.Name())
			found = append(found, seg)
		}
	}
	var newest [2]*segment // of either kind: a crash may have interrupted a write to it
	for _, seg := range found {
		newest[kind(seg.apart)] = seg
	}
	for _, seg := range found {
		if err := s.loadSegment(seg, seg == newest[kind(seg.apart)]); err != nil {
			return fmt.Errorf("open spool: segment %s: %w", filepath.Base(seg.path), err)
		}
	}
	for _, seg := range slices.Clone(s.segments) {
		if seg.left == 0 {
			s.remove(seg)
		}
	}
	s.stats.Found.add(s.stats.Waiting)
	return nil
}

func (s *Spool) loadSegment(seg *segment, newest bool) error {
	f, err := os.OpenFile(seg.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	found, err := scan(f, info.Size(), seg.id, newest)
	if err != nil {
		return err
	}
	if found.foreign {
		s.stats.Foreign.add(Count{Entries: 1, Bytes: uint64(info.Size())})
		s.o.Log.Error("a file of the spool is of another version of this program and is left as it is: its rows are "+
			"delivered once that version runs again", zap.String("file", seg.path),
			zap.Int("format version", found.version),
			zap.Int("newest known here", version), zap.Int64("bytes", info.Size()))
		return nil
	}
	if err := s.repair(f, seg, &found); err != nil {
		return err
	}
	s.loseDamaged(seg, found.damaged)
	seg.slots, seg.bytes = found.slots, found.end
	for i := range seg.slots {
		slot := &seg.slots[i]
		slot.earlier = true
		if slot.state == waiting {
			seg.left++
			s.stats.Waiting.add(slot.count())
			s.waits(slot, 1)
			if s.o.Found != nil {
				slot.ref = s.o.Found(int(slot.rows), seg.readNote(f, slot), true)
			}
		}
	}
	s.segments = append(s.segments, seg)
	s.occupy(seg, seg.bytes)
	return nil
}

// repair cuts off an incomplete last entry and writes corrected headers.
func (s *Spool) repair(f *os.File, seg *segment, found *scanned) error {
	for at, b := range found.fixed {
		s.o.Log.Warn("an entry of the spool had one wrong byte in its header, which was corrected",
			zap.String("file", seg.path), zap.Int64("offset", at))
		if _, err := f.WriteAt(b[:], at); err != nil {
			return err
		}
	}
	if found.torn.Entries > 0 {
		s.stats.Torn.add(found.torn)
		s.o.Log.Warn("the last entry of the spool was not written completely and is removed",
			zap.String("file", seg.path),
			zap.Uint64("bytes", found.torn.Bytes), zap.Uint64("rows", found.torn.Rows))
		if err := f.Truncate(found.end); err != nil {
			return err
		}
	}
	if found.torn.Entries > 0 || len(found.fixed) > 0 {
		return f.Sync()
	}
	return nil
}

// loseDamaged counts the rows of unreadable stretches as found and lost.
func (s *Spool) loseDamaged(seg *segment, stretches []stretch) {
	for _, d := range stretches {
		s.o.Log.Error("a part of a file of the spool is damaged, its rows are lost; the other entries are delivered",
			zap.String("file", seg.path), zap.Uint64("bytes", d.Bytes), zap.Uint64("rows", d.Rows),
			zap.Bool("rows are an estimate", !d.known))
		s.stats.Damaged.add(d.Count)
		s.stats.Found.add(d.Count)
		s.stats.Unreadable.add(d.Count)
		if s.o.Found == nil || s.o.Dropped == nil {
			continue
		}
		s.o.Dropped(s.o.Found(int(d.Rows), nil, false), Damage)
	}
}
