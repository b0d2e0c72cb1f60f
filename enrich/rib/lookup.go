package rib

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Reader looks routes up. Create it with RIB.NewReader. It is not safe for concurrent use, but several readers and the
// writer can work at the same time. Call Enter before a batch of look-ups and Leave after it; results are valid until
// Leave.
type Reader struct {
	epoch atomic.Uint64
	_     [56]byte // the writer reads epoch: keep it in a cache line of its own
	rib   *RIB
	tree6 []found6

	read uint32
}

// found6 caches the longest prefix of an IPv6 address for one version of the trie.
type found6 struct {
	addr    flow.Addr
	version uint32
	number  uint32
}

const slots6 = 1 << 12

// Route is one route to an address. Its methods must not be called on the zero value, nor after Reader.Leave.
type Route struct {
	record *record
	rib    *RIB
	number uint32
	tree   *tree
}

// find returns the number of the longest prefix that contains an address, of any router. 0: only the prefix of length 0
// does, or none.
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

// Lookup returns a table's route to an address: that of the longest matching prefix. If the router has several routes
// to the prefix, it returns the best one with next hop next, or the best one if none has it. next can be nil or unset.
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

// choose returns the record of the best route with next hop next, or of the best route if none has it.
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

// LookupAll looks up the routes of a table to IPv4 addresses. It goes through the addresses once a level, so that their
// cache misses overlap. Of the addresses with odd indexes, whose routes fill rows, it reads the complete route. Routes
// that need more work are left out, and Found reports false: those of addresses that only a shorter prefix of the
// router or 0.0.0.0/0 contains, and those of prefixes with several routes. The others are those that Lookup returns.
func (rd *Reader) LookupAll(t *Table, addrs []*flow.Addr, routes *[MaxAddresses]Route) {
	var numbers, slots, v4 [MaxAddresses]uint32
	r, tree := rd.rib, t.answering(false)
	n := 0
	for i, a := range addrs {
		routes[i].record = nil
		if a.Is4() {
			numbers[n], v4[n] = binary.BigEndian.Uint32(a[12:]), uint32(i)
			n++
		}
	}
	if tree == nil {
		return
	}
	r.direct.findAll(numbers[:n])
	r.slots(tree, numbers[:n], slots[:n])
	if !checked {
		rd.read = r.arena.touch(slots[:n], v4[:n])
	}
	for i, slot := range slots[:n] {
		if slot == 0 || slot&isSet != 0 {
			continue
		}
		if checked {
			rd.checkRecord(r.arena.header(slot & slotNumber))
		}
		routes[v4[i]] = Route{r.record(slot & slotNumber), r, numbers[i], tree}
	}
}

// MaxAddresses is the maximum number of addresses of LookupAll.
const MaxAddresses = 128

// Found reports whether x is a route.
func (x *Route) Found() bool { return x.record != nil }

// All calls f for each route of a table to the longest prefix that contains an address, the best first.
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

// Prefix returns the route's prefix.
func (x *Route) Prefix() route.Prefix {
	return x.rib.family(x.tree).at(x.number)
}

// Bits returns the length of the route's prefix in bits.
func (x *Route) Bits() uint8 {
	return x.rib.family(x.tree).length(x.number)
}

// Table returns the table that the route is in.
func (x *Route) Table() *Table { return x.tree.table }

// Rank returns the rank of the route's source.
func (x *Route) Rank() uint8 { return x.tree.rank }

// IsDefault reports whether the prefix is 0.0.0.0/0 or ::/0.
func (x *Route) IsDefault() bool { return x.number == x.rib.family(x.tree).zero.Load() }

// Path returns the AS path, nearest AS first, and for each AS the number of times that it repeats in a row. Sets are
// flattened and confederation segments left out. The slices must not be changed.
func (x *Route) Path() (as []uint32, runs []uint16) {
	r := x.record
	at := unsafe.Add(unsafe.Pointer(r), r.pathAt())
	runsAt := int(r.hops)*4 + int(r.communities)*4 + int(r.large)*largeBytes + int(r.segments)*4
	return unsafe.Slice((*uint32)(at), r.hops), unsafe.Slice((*uint16)(unsafe.Add(at, runsAt)), r.hops)
}

// Hops returns the length of Path.
func (x *Route) Hops() int { return int(x.record.hops) }

// Standard returns the standard communities (RFC 1997). The slice must not be changed.
func (x *Route) Standard() []uint32 {
	r := x.record
	return unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(r), r.pathAt()+4*int(r.hops))), r.communities)
}

// Communities returns the communities: standard (RFC 1997), extended (RFC 4360) and large ones (RFC 8092). The slices
// must not be changed.
func (x *Route) Communities() (standard []uint32, extended []uint64, large []route.Large) {
	standard = x.Standard()
	if x.record.extended|x.record.large == 0 {
		return standard, nil, nil
	}
	p := x.record.parts()
	return standard, p.extended, p.large
}

// Segments appends the complete path with all its segments.
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

// NextHop returns the next hop. It is unset if the route has none.
func (x *Route) NextHop() flow.Addr { return x.record.nextHop }

// OriginAS returns the last AS of the path outside confederations, or 0 if there is none.
func (x *Route) OriginAS() uint32 { return x.record.originAS }

// FirstAS returns the first AS of the path, confederations included, or 0 if the path is empty.
func (x *Route) FirstAS() uint32 { return x.record.firstAS }

// NeighborAS returns the first AS of the path outside confederations. A path within a confederation has none: it is the
// first member then, as with pmacct's bgp_peer_as_skip_subas. 0: the path is empty.
func (x *Route) NeighborAS() uint32 {
	if x.record.hops == 0 {
		return x.record.firstAS
	}
	return *(*uint32)(unsafe.Add(unsafe.Pointer(x.record), x.record.pathAt()))
}

// Origin returns the ORIGIN attribute.
func (x *Route) Origin() route.Origin { return route.Origin(x.record.origin) }

// LocalPref returns the local preference, and whether the route has one.
func (x *Route) LocalPref() (uint32, bool) {
	return x.record.value, x.record.flags&hasLocalPref != 0
}

// MED returns the multi-exit discriminator, and whether the route has one.
func (x *Route) MED() (uint32, bool) { return x.record.med, x.record.flags&hasMED != 0 }

// Internal reports whether the route came over iBGP.
func (x *Route) Internal() bool { return x.record.flags&internal != 0 }
