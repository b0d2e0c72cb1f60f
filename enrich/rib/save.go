package rib

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/metranova/flow-collector/decoder/route"
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

// ErrNotSaved says that a file is none of a RIB of this version.
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

// Loaded is what Load has read.
type Loaded struct {
	Saved  time.Time
	Routes int64
	// LeftOut are routes that did not fit in this RIB.
	LeftOut int64
	sources []*Source
}

// Sources are those that have been made.
func (l *Loaded) Sources() []*Source { return l.sources }

// Load reads saved routes. source makes the source of a description; nil: its routes are left out. begin is called when
// all sources are made: look-ups can find routes from then on. After an error all routes that were read are removed.
func (r *RIB) Load(in io.Reader, source func(text []byte) *Source, begin func()) (l Loaded, err error) {
	// The decoder's checksum fails at the end, when routes are in the table already.
	decoder, err := zstd.NewReader(io.LimitReader(in, maxSavedFile), zstd.WithDecoderConcurrency(2),
		zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(16<<20))
	if err != nil {
		return l, err
	}
	defer decoder.Close()
	return r.read(decoder, source, begin)
}

// read reads what Write has compressed.
func (r *RIB) read(in io.Reader, source func(text []byte) *Source, begin func()) (l Loaded, err error) {
	x := &loader{rib: r, in: bufio.NewReaderSize(in, 1<<18), l: &l}
	if err = x.load(source, begin); err != nil {
		for _, s := range l.sources {
			if s != nil {
				s.Remove()
			}
		}
	}
	for _, n := range x.records { // each has its routes' references now
		r.unref(n)
	}
	r.Publish()
	return l, err
}

type loader struct {
	rib      *RIB
	in       *bufio.Reader
	l        *Loaded
	prefixes [2][]uint32
	records  []uint32
	last     [2]uint64
	tree     *tree // that the next entries are of; nil: nobody wants them
	v6       bool
	owner    *Source
	attrs    route.Attributes
	scratch  []byte
	err      error
}

// number reads a number of at most most.
func (x *loader) number(most uint64) uint64 {
	if x.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(x.in)
	switch {
	case err != nil:
		x.err = err
	case n > most:
		x.err = fmt.Errorf("%w: a number of %d, at most %d", ErrNotSaved, n, most)
		return 0
	}
	return n
}

func (x *loader) bytes(b []byte) {
	if x.err == nil {
		_, x.err = io.ReadFull(x.in, b)
	}
}

const any32 = 1<<32 - 1

func (x *loader) load(source func([]byte) *Source, begin func()) error {
	magic := make([]byte, len(saveMagic))
	if x.bytes(magic); x.err != nil || string(magic) != saveMagic {
		return errors.Join(ErrNotSaved, x.err)
	}
	x.l.Saved = time.Unix(int64(x.number(1<<40)), 0)
	for n := x.number(maxSavedSources); n > 0 && x.err == nil; n-- {
		text := make([]byte, x.number(maxDescription))
		x.bytes(text)
		if x.err != nil {
			break
		}
		x.l.sources = append(x.l.sources, source(text))
	}
	if x.err == nil {
		begin()
	}
	for entries := 0; x.err == nil; entries++ {
		kind := x.number(saveSet)
		switch {
		case x.err != nil:
		case kind == saveEnd:
			if _, err := x.in.ReadByte(); !errors.Is(err, io.EOF) { // the checksum too
				return fmt.Errorf("behind the end: %w", cmp.Or(err, ErrNotSaved))
			}
			x.ready()
			return nil
		case kind == saveTree:
			x.newTree()
		case kind == savePrefix:
			x.newPrefix()
		case kind == saveRecord:
			x.newRecord()
		default:
			x.routes(kind)
		}
		if entries%(1<<17) == 0 && kind >= savePlain { // not between a prefix and its first route
			x.rib.Publish() // the trie of IPv6
		}
	}
	return fmt.Errorf("a file of routes ends early or is damaged: %w", x.err)
}

func (x *loader) source(n uint64) *Source {
	if n >= uint64(len(x.l.sources)) {
		x.err = fmt.Errorf("%w: source %d of %d", ErrNotSaved, n, len(x.l.sources))
		return nil
	}
	return x.l.sources[n]
}

// newTree takes the table that the next entries are of.
func (x *loader) newTree() {
	s := x.source(x.number(maxSavedSources))
	var head [10]byte
	x.owner = nil
	if n := x.number(maxSavedSources + 1); n > 0 {
		x.owner = x.source(n - 1)
	}
	x.bytes(head[:])
	if x.err != nil {
		return
	}
	if head[0] > byte(route.VPN) || head[9] > 1 {
		x.err = ErrNotSaved
		return
	}
	x.v6 = head[9] == 1
	if x.tree = nil; s != nil {
		t := s.Router.table(tableKey{route.Class(head[0]), route.RD(binary.BigEndian.Uint64(head[1:]))})
		x.tree = t.tree(x.v6, s.Rank)
	}
	if x.owner != nil && (s == nil || x.owner.Router != s.Router || x.owner.Rank != s.Rank ||
		x.tree.owner != nil && x.tree.owner != x.owner) {
		x.err = ErrNotSaved
	}
}

func (x *loader) newPrefix() {
	most := uint64(32)
	if x.v6 {
		most = 128
	}
	bits := x.number(most)
	var a [16]byte
	x.bytes(a[:(bits+7)/8])
	if x.err != nil {
		return
	}
	p := route.Make(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), uint8(bits), x.v6)
	n, err := x.rib.prefix(p)
	if err != nil {
		n = 0 // routes to it are left out
	}
	f := familyIndex(x.v6)
	x.prefixes[f] = append(x.prefixes[f], n)
}

// list reads the length of a list.
func (x *loader) list() int { return int(x.number(maxSavedList)) }

func (x *loader) newRecord() {
	a := &x.attrs
	a.Reset()
	var head [2]byte
	x.bytes(head[:])
	a.Origin = route.Origin(min(head[1], byte(route.Incomplete)))
	a.Internal = head[0]&internal != 0
	if a.HasLocalPref = head[0]&hasLocalPref != 0; a.HasLocalPref {
		a.LocalPref = uint32(x.number(any32))
	}
	if a.HasMED = head[0]&hasMED != 0; a.HasMED {
		a.MED = uint32(x.number(any32))
	}
	if x.number(16) == 16 {
		x.bytes(a.NextHop[:])
	}
	for n := x.list(); n > 0 && x.err == nil; n-- {
		var kind [1]byte
		x.bytes(kind[:])
		g := route.Segment{Kind: route.SegmentKind(kind[0])}
		for m := x.list(); m > 0 && x.err == nil; m-- {
			g.AS = append(g.AS, uint32(x.number(any32)))
		}
		if x.err == nil && (g.Kind < route.Set || g.Kind > route.ConfedSet) {
			x.err = ErrNotSaved
		}
		a.Path = append(a.Path, g)
	}
	for n := x.list(); n > 0 && x.err == nil; n-- {
		a.Communities = append(a.Communities, uint32(x.number(any32)))
	}
	for n := x.list(); n > 0 && x.err == nil; n-- {
		var b [8]byte
		x.bytes(b[:])
		a.Extended = append(a.Extended, binary.BigEndian.Uint64(b[:]))
	}
	for n := x.list(); n > 0 && x.err == nil; n-- {
		a.Large = append(a.Large, route.Large{Global: uint32(x.number(any32)), Data1: uint32(x.number(any32)),
			Data2: uint32(x.number(any32))})
	}
	if x.err != nil {
		return
	}
	// The bundle that the record was made of is not known any more. The record is found by what it has.
	x.scratch = binary.BigEndian.AppendUint64(append(x.scratch[:0], "saved "...), uint64(len(x.records)))
	hash := x.rib.hasher.Sum(x.scratch)
	if err := x.rib.bundles.reserve(); err != nil {
		x.err = err
		return
	}
	n, err := x.rib.newRecord(hash, a)
	if err != nil {
		x.err = err
		return
	}
	x.rib.bundles.add(uint32(hash[0]), n)
	x.records = append(x.records, n)
}

func (x *loader) record() uint32 {
	n := x.number(any32)
	if n >= uint64(len(x.records)) {
		if x.err == nil {
			x.err = fmt.Errorf("%w: record %d of %d", ErrNotSaved, n, len(x.records))
		}
		return 0
	}
	return x.records[n]
}

// routes reads the routes to a prefix.
func (x *loader) routes(kind uint64) {
	f := familyIndex(x.v6)
	delta, err := binary.ReadVarint(x.in)
	if err != nil {
		x.err = err
		return
	}
	at := x.last[f] + uint64(delta)
	if at >= uint64(len(x.prefixes[f])) {
		x.err = fmt.Errorf("%w: prefix %d of %d", ErrNotSaved, at, len(x.prefixes[f]))
		return
	}
	x.last[f] = at
	n, r := x.prefixes[f][at], x.rib
	defer func(before int64) {
		if x.l.LeftOut > before && n != 0 && x.tree != nil && r.family(x.tree).refs.all[n]&^listed == 0 {
			x.prefixes[f][at] = 0 // its number may become another's
		}
	}(x.l.LeftOut)
	if kind == savePlain {
		record := x.record()
		switch {
		case x.err != nil:
		case n == 0 || x.tree == nil || x.owner == nil:
			x.l.LeftOut++
		default:
			x.plain(n, record)
		}
		return
	}
	r.paths = r.paths[:0]
	sources := map[*Source]int{}
	for m := x.number(maxPaths); m > 0 && x.err == nil; m-- {
		s := x.source(x.number(maxSavedSources))
		id, record := uint32(x.number(any32)), x.record()
		switch {
		case x.err != nil:
		case s == nil || n == 0 || x.tree == nil:
			x.l.LeftOut++
		case s.Router != x.tree.table.Router || s.Rank != x.tree.rank ||
			slices.ContainsFunc(r.paths, func(p setPath) bool { return p.source == s.id && p.pathID == id }):
			x.err = ErrNotSaved
		default:
			r.paths = append(r.paths, setPath{s.id, id, record, s.generation})
			sources[s]++
		}
	}
	if x.err == nil && len(r.paths) > 0 {
		x.set(n, sources)
	}
}

func (x *loader) plain(n, record uint32) {
	r := x.rib
	was := r.slot(x.tree, n)
	if was != 0 {
		x.err = ErrNotSaved
		return
	}
	if _, err := r.leaf(x.tree, n); err == nil {
		if x.owner.setPlain(x.tree, n, 0, record) == nil {
			x.l.Routes++
			return
		}
	} else {
		r.pruneEmpty(x.tree, n)
	}
	x.l.LeftOut++
}

func (x *loader) set(n uint32, sources map[*Source]int) {
	r := x.rib
	if r.slot(x.tree, n) != 0 {
		x.err = ErrNotSaved
		return
	}
	count := len(r.paths)
	_, err := r.leaf(x.tree, n)
	if err == nil && r.routes+int64(count) > r.maxRoutes {
		err = ErrFull
	}
	if err == nil {
		err = r.setPathsOf(x.tree, n, 0)
	}
	if err != nil {
		r.pruneEmpty(x.tree, n)
		x.l.LeftOut += int64(count)
		return
	}
	for s, m := range sources {
		s.count(x.tree, m)
	}
	x.l.Routes += int64(count)
}

// ready has the tables answer look-ups as those of sources that have announced all.
func (x *loader) ready() {
	for _, s := range x.l.sources {
		if s == nil {
			continue
		}
		for t := range s.trees {
			t.ready = true
			t.table.choose(t.v6)
		}
	}
}
