package rib

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A saved RIB is a zstd frame with a checksum. It begins with magic, whose last byte is the version, the time in Unix
// seconds, and the sources: their number, and the length and bytes of each one's description. Then come entries until
// the one of saveEnd. Numbers are unsigned varints (encoding/binary).
//
//	saveTree     source, owner+1 (0: none), class, route distinguisher, 1 for IPv6: what follows is in that table
//	savePrefix   length in bits, bytes of the address: the next number of a prefix
//	saveRecord   attributes, as appendAttributes writes them: the next number of a record
//	savePlain    prefix - prefix of the entry before (signed), record: the owner's route
//	saveSet      prefix - prefix of the entry before (signed), count; source, path identifier and record of each
//
// Another version has another magic, and is not read: routes come again from their routers.
const saveMagic = "flowrib\x01"

const (
	saveEnd = iota
	saveTree
	savePrefix
	saveRecord
	savePlain
	saveSet
)

// Bounds of what is read.
const (
	maxSavedSources = 1 << 17
	maxDescription  = 1 << 12
	maxSavedList    = 1 << 16 // of a path or of communities
	maxSavedFile    = 4 << 30
)

// ErrNotSaved says that a file is not a RIB saved by this version.
var ErrNotSaved = errors.New("not a file of routes of this version")

// ErrStopped says that a RIB was not saved because it changes too fast.
var ErrStopped = errors.New("routes change too fast to be saved")

// Description is what the caller wants to find again with a source.
type Description struct {
	Source *Source
	Text   []byte
}

// Saving is a RIB that is being saved. Write may run beside the writer.
type Saving struct {
	rib     *RIB
	sources []Description
	numbers map[uint32]uint64 // of sources, by their id
	trees   []savedTree
}

type savedTree struct {
	tree   *tree
	source uint64
	owner  uint64 // +1
}

// Saving prepares to save the routes of some sources.
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
			if t.owner != nil {
				if n, saved := x.numbers[t.owner.id]; saved {
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

// Write saves the routes, and returns how many. Meanwhile no memory of removed routes is used again, so that stop is
// asked now and then whether to give up.
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

// flush writes the buffer. Errors stay with the writer until its end.
func (s *saver) flush() {
	_, _ = s.out.Write(s.buffer)
	s.buffer = s.buffer[:0]
}

// tree writes the routes of a tree; false: stopped.
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

// prefix writes the beginning of an entry of a prefix, before it the prefix if it is new.
func (s *saver) prefix(family int, n uint32, kind uint64) {
	number, known := s.prefixes[family][n]
	if !known {
		number = uint64(len(s.prefixes[family]))
		s.prefixes[family][n] = number
		p := s.rib.v4.at
		if family == 1 {
			p = s.rib.v6.at
		}
		prefix := p(n).Netip()
		s.number(savePrefix)
		s.number(uint64(prefix.Bits()))
		s.buffer = append(s.buffer, prefix.Addr().AsSlice()[:(prefix.Bits()+7)/8]...)
	}
	s.number(kind)
	s.buffer = binary.AppendVarint(s.buffer, int64(number-s.last[family]))
	s.last[family] = number
}

// record is the number of a record, which is written if it is new.
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

// appendAttributes appends a route's attributes: flags, origin, local preference and MED if there, the length and bytes
// of the next hop, segments of the path, communities.
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
