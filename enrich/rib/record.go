package rib

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// record holds a set of attributes in one piece of memory. This fixed part is followed by the extended communities (8
// bytes each), path (4), communities (4), large communities (12), segments (4) and run lengths (2).
type record struct {
	header
	hops        uint16 // length of path and run lengths: AS numbers without repetitions and confederations
	communities uint16
	extended    uint16
	large       uint16
	segments    uint16 // words of the original path if it is not one sequence; else 0
	length      uint16 // path length for route selection (RFC 4271 section 9.1.2.2)
	med         uint32
	originAS    uint32
	firstAS     uint32
	nextHop     flow.Addr
}

const (
	recordBytes = int(unsafe.Sizeof(record{}))
	largeBytes  = int(unsafe.Sizeof(route.Large{}))
)

// pathAt is where the path begins, in bytes from the beginning of the record.
func (x *record) pathAt() int { return recordBytes + 8*int(x.extended) }

// Flags of a record.
const (
	hasLocalPref = 1 << iota
	hasMED
	internal
)

func (r *RIB) record(n uint32) *record { return (*record)(r.arena.at(n)) }

// parts holds the slices that follow the fixed part of a record.
type parts struct {
	extended    []uint64
	path        []uint32
	communities []uint32
	large       []route.Large
	segments    []uint32
	runs        []uint16
}

func take[T any](at *unsafe.Pointer, n int) []T {
	var zero T
	s := unsafe.Slice((*T)(*at), n)
	*at = unsafe.Add(*at, n*int(unsafe.Sizeof(zero)))
	return s
}

func (x *record) parts() (p parts) {
	at := unsafe.Add(unsafe.Pointer(x), recordBytes)
	p.extended = take[uint64](&at, int(x.extended))
	p.path = take[uint32](&at, int(x.hops))
	p.communities = take[uint32](&at, int(x.communities))
	p.large = take[route.Large](&at, int(x.large))
	p.segments = take[uint32](&at, int(x.segments))
	p.runs = take[uint16](&at, int(x.hops))
	return p
}

// shape holds the sizes of a path in a record.
type shape struct{ hops, segments, length int }

func shapeOf(path []route.Segment) (s shape) {
	last, first := uint32(0), true
	for i := range path {
		g := &path[i]
		s.segments += 1 + len(g.AS)
		switch g.Kind {
		case route.Sequence:
			s.length += len(g.AS)
		case route.Set:
			s.length++
		default:
			continue
		}
		for _, as := range g.AS {
			if first || as != last {
				s.hops++
			}
			last, first = as, false
		}
	}
	if len(path) == 0 || len(path) == 1 && path[0].Kind == route.Sequence {
		s.segments = 0
	}
	return s
}

// newRecord adds a record with one reference, which the caller owns.
func (r *RIB) newRecord(hash route.Hash, a *route.Attributes) (uint32, error) {
	s := shapeOf(a.Path)
	if max(s.hops, s.segments, len(a.Communities), len(a.Extended), len(a.Large)) > math.MaxUint16 {
		return 0, fmt.Errorf("attributes too long: %w", errMemory)
	}
	size := recordBytes + 8*len(a.Extended) + 4*s.hops + 4*len(a.Communities) + largeBytes*len(a.Large) +
		4*s.segments + 2*s.hops
	n, err := r.arena.take(size)
	if err != nil {
		return 0, err
	}
	x := r.record(n)
	x.hash, x.refs, x.origin = hash, 1, uint8(a.Origin)
	if a.HasLocalPref {
		x.flags |= hasLocalPref
	}
	if a.HasMED {
		x.flags |= hasMED
	}
	if a.Internal {
		x.flags |= internal
	}
	x.hops, x.segments, x.length = uint16(s.hops), uint16(s.segments), uint16(min(s.length, math.MaxUint16))
	x.communities, x.extended, x.large = uint16(len(a.Communities)), uint16(len(a.Extended)), uint16(len(a.Large))
	x.value, x.med, x.nextHop = a.LocalPref, a.MED, a.NextHop
	x.originAS, x.firstAS = 0, 0
	p := x.parts()
	copy(p.extended, a.Extended)
	copy(p.communities, a.Communities)
	copy(p.large, a.Large)
	x.fillPath(a.Path, &p)
	r.arena.records++
	return n, nil
}

func (x *record) fillPath(path []route.Segment, p *parts) {
	hop, word := 0, 0
	for i := range path {
		g := &path[i]
		if i == 0 && len(g.AS) > 0 {
			x.firstAS = g.AS[0]
		}
		if len(p.segments) > 0 {
			p.segments[word] = uint32(g.Kind)<<16 | uint32(len(g.AS))
			word += 1 + copy(p.segments[word+1:], g.AS)
		}
		if g.Kind.Confederation() {
			continue
		}
		for _, as := range g.AS {
			if hop > 0 && p.path[hop-1] == as {
				if p.runs[hop-1] < math.MaxUint16 {
					p.runs[hop-1]++
				}
			} else {
				p.path[hop], p.runs[hop] = as, 1
				hop++
			}
			x.originAS = as
		}
	}
}

// setPath is one route of a set.
type setPath struct {
	source     uint32 // Source.id
	pathID     uint32
	record     uint32
	generation uint32 // Source.generation when the route was announced
}

// set holds the routes of one router to a prefix if there are several, or if one has a path identifier. The best route
// is first. Equal sets share memory. The routes follow this fixed part.
type set struct{ header }

const (
	setBytes     = int(unsafe.Sizeof(set{}))
	setPathBytes = int(unsafe.Sizeof(setPath{}))
)

func (r *RIB) setPaths(n uint32) []setPath {
	s := (*set)(r.arena.at(n))
	return unsafe.Slice((*setPath)(unsafe.Add(unsafe.Pointer(s), setBytes)), s.value)
}

// newSet adds a set of paths with one reference, which the caller owns. The set has a reference to each record.
func (r *RIB) newSet(hash route.Hash, paths []setPath) (uint32, error) {
	n, err := r.arena.take(setBytes + len(paths)*setPathBytes)
	if err != nil {
		return 0, err
	}
	s := (*set)(r.arena.at(n))
	s.hash, s.refs, s.set, s.value = hash, 1, true, uint32(len(paths))
	copy(r.setPaths(n), paths)
	for i := range paths {
		r.arena.header(paths[i].record).refs++
	}
	r.arena.sets++
	return n, nil
}

// intern returns the record or set with a hash and adds a reference, which the caller owns. It returns 0 if there is
// none.
func (r *RIB) intern(hash route.Hash) uint32 {
	n := r.bundles.find(uint32(hash[0]), func(n uint32) bool { return r.arena.header(n).hash == hash })
	if n != 0 {
		r.arena.header(n).refs++
	}
	return n
}

// bundle returns the record of a bundle and adds a reference, which the caller owns.
func (r *RIB) bundle(b *route.Bundle, decode func([]byte, *route.Attributes) error) (uint32, error) {
	if n := r.intern(b.Hash); n != 0 {
		return n, nil
	}
	r.attrs.Reset()
	if err := decode(b.Data, &r.attrs); err != nil {
		return 0, err
	}
	if r.keep != nil {
		r.keep(&r.attrs)
	}
	if err := r.bundles.reserve(); err != nil {
		return 0, err
	}
	n, err := r.newRecord(b.Hash, &r.attrs)
	if err != nil {
		return 0, err
	}
	r.bundles.add(uint32(b.Hash[0]), n)
	return n, nil
}

// unref drops a reference. It retires a record or set without references.
func (r *RIB) unref(n uint32) {
	h := r.arena.header(n)
	if h.refs--; h.refs > 0 {
		return
	}
	r.bundles.remove(uint32(h.hash[0]), n)
	if h.set {
		r.arena.sets--
		for _, p := range r.setPaths(n) {
			r.unref(p.record)
		}
	} else {
		r.arena.records--
	}
	if checked {
		atomic.StoreUint32(&h.tag, uint32(r.epoch.Load()))
	}
	r.retire(limboRecord, n)
}

// checkRecord panics if a reader has found a record or set that is free, or was retired before its batch began. It is
// called in builds with the race detector or the tag ribdebug only.
func (rd *Reader) checkRecord(h *header) {
	epoch := rd.epoch.Load()
	switch tag := atomic.LoadUint32(&h.tag); {
	case epoch == 0:
		panic("rib: look-up outside Enter and Leave")
	case tag == freed:
		panic("rib: look-up found a free record")
	case tag != 0 && uint32(epoch) > tag:
		panic(fmt.Sprintf("rib: look-up of epoch %d found a record retired in epoch %d", epoch, tag))
	}
}
