package rib

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Reader looks routes up. It belongs to one goroutine; any number of readers work beside each other and the writer.
// What it returns is valid until Leave.
type Reader struct {
	epoch atomic.Uint64
	_     [56]byte // a cache line of its own: the writer reads it
	rib   *RIB
	tree6 []found6
}

// found6 remembers an IPv6 address's prefix, as long as the trie is the same.
type found6 struct {
	addr    flow.Addr
	version uint32
	number  uint32
}

const slots6 = 1 << 12

// Route is one route to an address. The zero value is none.
type Route struct {
	record *record
	rib    *RIB
	number uint32
	tree   *tree
}

// find is the number of the longest prefix that holds an address, of whatever router.
func (rd *Reader) find(a *flow.Addr) (n uint32, v6 bool) {
	if a.Is4() {
		return rd.rib.direct.find(binary.BigEndian.Uint32(a[12:])), false
	}
	if rd.tree6 == nil {
		rd.tree6 = make([]found6, slots6)
	}
	t := rd.rib.tree
	version := t.version.Load()
	at := &rd.tree6[mix(0, binary.LittleEndian.Uint64(a[:]), binary.LittleEndian.Uint64(a[8:]))%slots6]
	if at.version != version || at.addr != *a || version == 0 {
		n, _ := t.sides[t.current.Load()].Lookup(a.Netip())
		*at = found6{*a, version, n}
	}
	return at.number, true
}

// Lookup returns the route of a table to an address: that of the longest prefix for which the table has one. Where the
// router has several routes to it, it is the best one with that next hop, else the best one. next may be unset.
func (rd *Reader) Lookup(t *Table, a, next *flow.Addr) (Route, bool) {
	n, v6 := rd.find(a)
	return rd.lookup(t, n, v6, next)
}

func (rd *Reader) lookup(t *Table, n uint32, v6 bool, next *flow.Addr) (Route, bool) {
	r, tree := rd.rib, t.answering(v6)
	if tree == nil {
		return Route{}, false
	}
	p := r.family(tree)
	slot := uint32(0)
	for ; n != 0; n = p.parentOf(n) {
		if slot = r.slot(tree, n); slot != 0 {
			break
		}
	}
	if n == 0 {
		if n = p.zero.Load(); n == 0 {
			return Route{}, false
		}
		if slot = r.slot(tree, n); slot == 0 {
			return Route{}, false
		}
	}
	if checked {
		rd.checkRecord(r.arena.header(slot & slotNumber))
	}
	if slot&isSet != 0 {
		slot = rd.choose(r.setPaths(slot&slotNumber), next)
	}
	if checked {
		rd.checkRecord(r.arena.header(slot & slotNumber))
	}
	return Route{r.record(slot & slotNumber), r, n, tree}, true
}

// choose is the record of the best route with that next hop, else of the best.
func (rd *Reader) choose(paths []setPath, next *flow.Addr) uint32 {
	if len(paths) > 1 && next != nil && !next.IsUnspecified() {
		for i := range paths {
			if rd.rib.record(paths[i].record).nextHop == *next {
				return paths[i].record
			}
		}
	}
	return paths[0].record
}

// Warm reads what look-ups of some addresses in a table will read, stage by stage: the addresses then wait for memory
// at the same time. It does nothing else. It returns a number that has no meaning, so that nothing is optimized away.
func (rd *Reader) Warm(t *Table, addrs []*flow.Addr) uint32 {
	const most = 128
	var at [most]uint32
	r, n, sum := rd.rib, 0, uint32(0)
	tree := t.answering(false)
	if tree == nil {
		return 0
	}
	for _, a := range addrs {
		if n < most && a.Is4() {
			at[n] = rd.rib.direct.find(binary.BigEndian.Uint32(a[12:]))
			n++
		}
	}
	for i := range n {
		if at[i] != 0 {
			sum += r.v4.parentOf(at[i])
			at[i] = r.slot(tree, at[i])
		}
	}
	for i := range n {
		if at[i] != 0 {
			sum += uint32(r.record(at[i] & slotNumber).hops)
		}
	}
	return sum
}

// All calls f for all routes of a table to the longest prefix that holds an address, the best first.
func (rd *Reader) All(t *Table, a *flow.Addr, f func(Route)) {
	best, found := rd.Lookup(t, a, nil)
	if !found {
		return
	}
	slot := rd.rib.slot(best.tree, best.number)
	if slot&isSet == 0 {
		f(best)
		return
	}
	for _, p := range rd.rib.setPaths(slot & slotNumber) {
		x := best
		x.record = rd.rib.record(p.record)
		f(x)
	}
}

// Prefix is the route's prefix.
func (x *Route) Prefix() route.Prefix {
	if x.tree.v6 {
		return x.rib.v6.at(x.number)
	}
	return x.rib.v4.at(x.number)
}

// Bits is the length of the route's prefix.
func (x *Route) Bits() uint8 {
	if x.tree.v6 {
		return x.rib.v6.length(x.number)
	}
	return x.rib.v4.length(x.number)
}

// Table is the table that the route is in.
func (x *Route) Table() *Table { return x.tree.table }

// Rank is that of the route's sources.
func (x *Route) Rank() uint8 { return x.tree.rank }

// Path is the AS path without repetitions, nearest first, and how often each AS stands in a row. Sets are flattened,
// confederations left out.
func (x *Route) Path() (as []uint32, runs []uint16) {
	p := x.record.parts()
	return p.path, p.runs
}

// Communities are the communities of RFC 1997, extended ones (RFC 4360) and large ones (RFC 8092).
func (x *Route) Communities() (standard []uint32, extended []uint64, large []route.Large) {
	p := x.record.parts()
	return p.communities, p.extended, p.large
}

// Segments appends the whole path, which is one sequence mostly.
func (x *Route) Segments(path []route.Segment) []route.Segment {
	p := x.record.parts()
	if len(p.segments) == 0 {
		if len(p.path) == 0 {
			return path
		}
		sequence := route.Segment{Kind: route.Sequence}
		for i, as := range p.path {
			for range p.runs[i] {
				sequence.AS = append(sequence.AS, as)
			}
		}
		return append(path, sequence)
	}
	for w := p.segments; len(w) > 0; {
		n := 1 + w[0]&0xffff
		path = append(path, route.Segment{Kind: route.SegmentKind(w[0] >> 16), AS: w[1:n:n]})
		w = w[n:]
	}
	return path
}

// NextHop is unset if the route has none.
func (x *Route) NextHop() flow.Addr { return x.record.nextHop }

// OriginAS is the last AS of the path, without confederations; 0: the path is empty.
func (x *Route) OriginAS() uint32 { return x.record.originAS }

// FirstAS is the first AS of the path; 0: the path is empty.
func (x *Route) FirstAS() uint32 { return x.record.firstAS }

// Origin is the ORIGIN attribute.
func (x *Route) Origin() route.Origin { return route.Origin(x.record.origin) }

// LocalPref is the local preference, if the route has one.
func (x *Route) LocalPref() (uint32, bool) {
	return x.record.localPref, x.record.flags&hasLocalPref != 0
}

// MED is the multi-exit discriminator, if the route has one.
func (x *Route) MED() (uint32, bool) { return x.record.med, x.record.flags&hasMED != 0 }

// Internal reports whether the route came over iBGP.
func (x *Route) Internal() bool { return x.record.flags&internal != 0 }
