package rib

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// saveMagic starts the file of a saved RIB, which is a zstd frame with a checksum. The last byte is the format's
// version. It is followed by the time in Unix seconds, and by the sources: their number, and for each the length and
// bytes of its description. Then come entries, up to saveEnd. Each is its kind and these fields; numbers are unsigned
// varints (encoding/binary), and prefixes and records are numbered from 0 in the order in which they appear:
//
//	saveTree     source, owner+1 (0: none), class, route distinguisher, 1 for IPv6: the table of the next entries
//	savePrefix   length in bits, bytes of the address: a new prefix
//	saveRecord   attributes, as appendAttributes writes them: a new record
//	savePlain    prefix minus the prefix of the previous route (signed), record: a route of the owner
//	saveSet      prefix minus the prefix of the previous route (signed), count, and source, path identifier and record
//	             of each route
//
// A file of another version is not read: routers send their routes again.
const saveMagic = "flowrib\x01"

const (
	saveEnd = iota
	saveTree
	savePrefix
	saveRecord
	savePlain
	saveSet
)

// Limits of Load.
const (
	maxSavedSources = 1 << 17
	maxDescription  = 1 << 12  // bytes
	maxSavedList    = 1 << 16  // values of all lists of a record
	maxSavedFile    = 4 << 30  // bytes, compressed
	maxSavedBytes   = 16 << 30 // bytes, decompressed
)

// ErrNotSaved is the error of a file that is not a RIB saved in this format version.
var ErrNotSaved = errors.New("not a file of routes of this version")

// ErrStopped is the error of Write after its stop function returned true.
var ErrStopped = errors.New("routes change too fast to be saved")

// Description describes a source in the file, so that Load's caller can add the source again. Its format is the
// caller's.
type Description struct {
	Source *Source
	Text   []byte
}

// Saving writes the routes of a RIB to a file. Write can run while the writer changes the RIB.
type Saving struct {
	rib     *RIB
	sources []Description
	numbers map[uint32]uint64 // index in sources, by Source.id
	trees   []savedTree
}

type savedTree struct {
	tree   *tree
	source uint64 // index in sources of any source of the tree
	owner  uint64 // index in sources of the tree's owner plus 1; 0: none
}

// Saving prepares to save the routes of the described sources. Only the writer calls it.
func (r *RIB) Saving(sources []Description) *Saving {
	x := &Saving{rib: r, sources: sources, numbers: map[uint32]uint64{}}
	for i, d := range sources {
		x.numbers[d.Source.id] = uint64(i)
	}
	seen := map[*tree]bool{}
	for i, d := range sources {
		for t := range d.Source.trees {
			if seen[t] {
				continue
			}
			seen[t] = true
			s := savedTree{tree: t, source: uint64(i)}
			if owner := t.owner.Load(); owner != nil {
				if n, saved := x.numbers[owner.id]; saved {
					s.owner = n + 1
				}
			}
			x.trees = append(x.trees, s)
		}
	}
	return x
}

// saver writes entries.
type saver struct {
	*Saving
	out      *bufio.Writer
	buffer   []byte
	prefixes [2]map[uint32]uint64
	records  map[uint32]uint64
	last     [2]uint64
	routes   int64
}

// Write saves the routes and returns their number. While it runs, the memory of removed routes cannot be reused, so it
// calls stop now and then, and returns ErrStopped if that returns true.
func (x *Saving) Write(w io.Writer, stop func() bool) (int64, error) {
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	s := &saver{Saving: x, out: bufio.NewWriterSize(compressed, 1<<16), records: map[uint32]uint64{},
		prefixes: [2]map[uint32]uint64{{}, {}}}
	rd := x.rib.NewReader()
	defer rd.Close()
	rd.Enter()
	defer rd.Leave()
	s.buffer = append(s.buffer, saveMagic...)
	s.number(uint64(time.Now().Unix()))
	s.number(uint64(len(x.sources)))
	for _, d := range x.sources {
		s.number(uint64(len(d.Text)))
		s.buffer = append(s.buffer, d.Text...)
		s.flush()
	}
	for _, t := range x.trees {
		if !s.tree(&t, stop) {
			return s.routes, errors.Join(ErrStopped, compressed.Close())
		}
	}
	s.number(saveEnd)
	s.flush()
	return s.routes, errors.Join(s.out.Flush(), compressed.Close())
}

func (s *saver) number(n uint64) { s.buffer = binary.AppendUvarint(s.buffer, n) }

// flush writes the buffer. s.out keeps an error until its Flush.
func (s *saver) flush() {
	_, _ = s.out.Write(s.buffer)
	s.buffer = s.buffer[:0]
}

// tree writes the routes of a tree. It returns false if stop returned true.
func (s *saver) tree(x *savedTree, stop func() bool) bool {
	t, r := x.tree, s.rib
	s.number(saveTree)
	s.number(x.source)
	s.number(x.owner)
	s.buffer = append(s.buffer, byte(t.table.Class))
	s.buffer = binary.BigEndian.AppendUint64(s.buffer, uint64(t.table.RD))
	family := familyIndex(t.v6)
	s.buffer = append(s.buffer, byte(family))
	pages := 0
	for n, found := r.following(t, 0); found; n, found = r.following(t, (n>>8+1)<<8) {
		if pages++; pages%64 == 1 && stop() {
			return false
		}
		for i := n; i < n+pageSlots; i++ {
			slot := r.slot(t, i)
			switch {
			case slot == 0:
			case slot&isSet != 0:
				s.set(family, i, r.setPaths(slot&slotNumber))
			case x.owner > 0:
				record := s.record(slot & slotNumber)
				s.prefix(family, i, savePlain)
				s.number(record)
				s.routes++
			}
		}
		s.flush()
	}
	return true
}

func (s *saver) set(family int, n uint32, paths []setPath) {
	records := make([]uint64, 0, 8)
	kept := make([]setPath, 0, 8)
	for _, p := range paths {
		if _, saved := s.numbers[p.source]; saved {
			kept, records = append(kept, p), append(records, s.record(p.record))
		}
	}
	if len(kept) == 0 {
		return
	}
	s.prefix(family, n, saveSet)
	s.number(uint64(len(kept)))
	for i, p := range kept {
		s.number(s.numbers[p.source])
		s.number(uint64(p.pathID))
		s.number(records[i])
	}
	s.routes += int64(len(kept))
}

// prefix writes the start of a route entry. If the prefix is new, it writes the prefix first.
func (s *saver) prefix(family int, n uint32, kind uint64) {
	number, known := s.prefixes[family][n]
	if !known {
		number = uint64(len(s.prefixes[family]))
		s.prefixes[family][n] = number
		prefix := s.rib.prefixes(family == 1).at(n).Netip()
		s.number(savePrefix)
		s.number(uint64(prefix.Bits()))
		s.buffer = append(s.buffer, prefix.Addr().AsSlice()[:(prefix.Bits()+7)/8]...)
	}
	s.number(kind)
	s.buffer = binary.AppendVarint(s.buffer, int64(number-s.last[family]))
	s.last[family] = number
}

// record returns the number of a record in the file. If the record is new, it writes it first.
func (s *saver) record(n uint32) uint64 {
	number, known := s.records[n]
	if !known {
		number = uint64(len(s.records))
		s.records[n] = number
		s.number(saveRecord)
		s.buffer = appendAttributes(s.buffer, &Route{record: s.rib.record(n), rib: s.rib})
	}
	return number
}

// appendAttributes appends a route's attributes: flags, origin, local preference and MED if present, length and bytes
// of the next hop, segments of the path, and communities.
func appendAttributes(b []byte, x *Route) []byte {
	b = append(b, x.record.flags, x.record.origin)
	number := func(n uint64) { b = binary.AppendUvarint(b, n) }
	if n, has := x.LocalPref(); has {
		number(uint64(n))
	}
	if n, has := x.MED(); has {
		number(uint64(n))
	}
	if next := x.NextHop(); next.IsUnspecified() {
		b = append(b, 0)
	} else {
		b = append(append(b, 16), next[:]...)
	}
	path := x.Segments(nil)
	number(uint64(len(path)))
	for _, g := range path {
		b = append(b, byte(g.Kind))
		number(uint64(len(g.AS)))
		for _, as := range g.AS {
			number(uint64(as))
		}
	}
	standard, extended, large := x.Communities()
	number(uint64(len(standard)))
	for _, c := range standard {
		number(uint64(c))
	}
	number(uint64(len(extended)))
	for _, c := range extended {
		b = binary.BigEndian.AppendUint64(b, c)
	}
	number(uint64(len(large)))
	for _, c := range large {
		number(uint64(c.Global))
		number(uint64(c.Data1))
		number(uint64(c.Data2))
	}
	return b
}
