package rib

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/metranova/flow-collector/decoder/route"
)

// Loaded is the result of Load.
type Loaded struct {
	Saved   time.Time // when the routes were saved
	Routes  int64     // number of routes loaded
	LeftOut int64     // routes left out because of a limit, or because their source was not wanted
	sources []*Source
}

// Sources returns what the calls of source returned, in the order of the file.
func (l *Loaded) Sources() []*Source { return l.sources }

// Load reads saved routes. It calls source for each description, which adds the source of routes, or returns nil to
// leave its routes out. Then it calls begin: from there on look-ups find routes. After an error no route that was read
// is left.
func (r *RIB) Load(in io.Reader, source func(text []byte) *Source, begin func()) (l Loaded, err error) {
	// zstd verifies its checksum at the end only, when routes are in the table already. So the caller's sources are
	// removed after an error.
	decoder, err := zstd.NewReader(io.LimitReader(in, maxSavedFile), zstd.WithDecoderConcurrency(2),
		zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(16<<20))
	if err != nil {
		return l, err
	}
	defer decoder.Close()
	return r.read(io.LimitReader(decoder, maxSavedBytes), source, begin)
}

// read is Load of decompressed data.
func (r *RIB) read(in io.Reader, source func(text []byte) *Source, begin func()) (l Loaded, err error) {
	x := &loader{rib: r, in: in, buffer: make([]byte, 1<<18), l: &l}
	err = x.load(source, begin)
	x.endTree()
	if err != nil {
		for _, s := range l.sources {
			if s != nil {
				s.Remove()
			}
		}
	}
	for _, n := range x.records { // drop the loader's references; routes have their own
		r.unref(n)
	}
	for f, p := range [...]*prefixes{r.v4, r.v6} {
		for _, n := range x.prefixes[f] {
			if n != 0 {
				p.unref(n)
			}
		}
	}
	r.Publish()
	return l, err
}

// loader reads the entries of a file, see saveMagic.
type loader struct {
	rib      *RIB
	in       io.Reader
	buffer   []byte
	at, end  int   // of what is in the buffer and not used yet
	failed   error // of in
	l        *Loaded
	prefixes [2][]uint32 // numbers in this RIB by number in the file; 0: no memory for it
	records  []uint32    // numbers in this RIB by number in the file
	last     [2]uint64   // the prefix of the latest entry
	source   *Source     // whose router has the table of the next entries; nil: they are left out
	key      tableKey    // of that table
	tree     *tree       // of that table; nil: it has no route yet
	v6       bool
	owner    *Source
	leaf     uint32 // page of the slots from leafOf on; 0: not known
	leafOf   uint32
	counted  int    // plain routes of owner in tree that are not in its counts yet
	left     uint64 // elements that the lists of a record may still have
	attrs    route.Attributes
	scratch  []byte
	err      error
}

// number reads a number. One above most is an error.
func (x *loader) number(most uint64) uint64 {
	if x.err != nil {
		return 0
	}
	if x.end-x.at < binary.MaxVarintLen64 {
		x.fill(binary.MaxVarintLen64)
	}
	n, size := binary.Uvarint(x.buffer[x.at:x.end])
	if size <= 0 {
		x.err = cmp.Or(x.failed, ErrNotSaved)
		return 0
	}
	x.at += size
	if n > most {
		x.err = fmt.Errorf("%w: number %d above %d", ErrNotSaved, n, most)
		return 0
	}
	return n
}

// signed reads a signed number.
func (x *loader) signed() int64 {
	n := x.number(math.MaxUint64)
	return int64(n>>1) ^ -int64(n&1) // as binary.Varint has it
}

// fill reads until n bytes are in the buffer, or no more come.
func (x *loader) fill(n int) {
	x.end = copy(x.buffer, x.buffer[x.at:x.end])
	x.at = 0
	for x.end < n && x.failed == nil {
		var got int
		got, x.failed = x.in.Read(x.buffer[x.end:])
		x.end += got
	}
}

func (x *loader) bytes(b []byte) {
	for x.err == nil && len(b) > 0 {
		if x.at == x.end {
			x.fill(1)
		}
		n := copy(b, x.buffer[x.at:x.end])
		if x.at, b = x.at+n, b[n:]; n == 0 {
			x.err = cmp.Or(x.failed, io.ErrUnexpectedEOF)
		}
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
		s := source(text)
		if s != nil {
			s.loaded.Store(true)
		}
		x.l.sources = append(x.l.sources, s)
	}
	if x.err == nil {
		begin()
	}
	for entries := 0; x.err == nil; entries++ {
		kind := x.number(saveSet)
		switch {
		case x.err != nil:
		case kind == saveEnd:
			if x.fill(1); x.end > 0 || !errors.Is(x.failed, io.EOF) { // also verifies the checksum
				return fmt.Errorf("after the last entry: %w", errors.Join(x.failed, ErrNotSaved))
			}
			x.complete()
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
		// Publish often enough that the changes of the IPv6 trie do not pile up, but not between a prefix and its first
		// route, because it removes prefixes without routes.
		if entries%(1<<17) == 0 && kind >= savePlain {
			x.flushCounts()
			x.rib.Publish()
			if x.tree != nil && x.source.Router.Table(x.key.class, x.key.rd) != x.tree.table {
				x.tree, x.leaf = nil, 0 // it was empty
			}
		}
	}
	return fmt.Errorf("the file is truncated or damaged: %w", x.err)
}

func (x *loader) sourceAt(n uint64) *Source {
	if n >= uint64(len(x.l.sources)) {
		x.err = fmt.Errorf("%w: source %d of %d", ErrNotSaved, n, len(x.l.sources))
		return nil
	}
	return x.l.sources[n]
}

// newTree reads the table of the next entries.
func (x *loader) newTree() {
	x.endTree()
	s := x.sourceAt(x.number(maxSavedSources))
	var head [10]byte
	x.owner = nil
	if n := x.number(maxSavedSources + 1); n > 0 {
		x.owner = x.sourceAt(n - 1)
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
	x.source, x.tree = s, nil
	x.key = tableKey{route.Class(head[0]), route.RD(binary.BigEndian.Uint64(head[1:]))}
	if s != nil {
		if t := s.Router.Table(x.key.class, x.key.rd); t != nil {
			x.tree = t.tree(x.v6, s.Rank)
		}
	}
	if x.owner != nil && (s == nil || x.owner.Router != s.Router || x.owner.Rank != s.Rank ||
		x.tree != nil && x.tree.owner.Load() != nil && x.tree.owner.Load() != x.owner) {
		x.err = ErrNotSaved
	}
}

// endTree has a table removed that got no route after all.
func (x *loader) endTree() {
	x.flushCounts()
	if x.tree != nil {
		x.rib.noteEmpty(x.tree.table)
	}
	x.source, x.tree, x.leaf = nil, nil, 0
}

// ready makes the table, and reports whether routes can be taken into it.
func (x *loader) ready() bool {
	if x.tree == nil && x.source != nil {
		if t, err := x.source.Router.table(x.key); err == nil {
			x.tree = t.tree(x.v6, x.source.Rank)
		}
	}
	return x.tree != nil
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
	f := familyIndex(x.v6)
	if len(x.prefixes[f]) >= maxNumbers {
		x.err = fmt.Errorf("%w: more than %d prefixes", ErrNotSaved, maxNumbers)
		return
	}
	n, err := x.rib.prefix(p)
	if err != nil {
		n = 0 // its routes are left out
	} else { // keep its number: nobody may want the first routes to it
		x.rib.prefixes(x.v6).ref(n)
	}
	x.prefixes[f] = append(x.prefixes[f], n)
}

// list reads the number of values of a list. All lists of a record together have at most maxSavedList.
func (x *loader) list() int {
	n := x.number(x.left)
	x.left -= n
	return int(n)
}

func (x *loader) newRecord() {
	a := &x.attrs
	a.Reset()
	x.left = maxSavedList
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
	// The bundle that the record was made of is not in the file, so its hash is unknown. Give the record a unique hash.
	// The first batch with the same attributes then makes a record of its own, and this one goes with its routes.
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
