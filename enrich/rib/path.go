package rib

import (
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// EndsInSet reports whether the path ends in an AS_SET, so that it has no single origin (RFC 6811 section 2).
func (x *Route) EndsInSet() bool {
	last := route.Sequence
	for w := x.record.parts().segments; len(w) > 0; w = w[1+w[0]&0xffff:] {
		if kind := route.SegmentKind(w[0] >> 16); !kind.Confederation() {
			last = kind
		}
	}
	return last == route.Set
}

// ValidatedOrigin is the AS that the route is validated with (RFC 6811 section 2): the last one of the path, or that of
// the router where the path is empty; 0: there is none.
func (x *Route) ValidatedOrigin() uint32 {
	if x.EndsInSet() {
		return 0
	}
	if as := x.OriginAS(); as != 0 {
		return as
	}
	return x.Table().Router.AS.Load()
}

// AppendPath appends the AS numbers of all segments in order, including confederation segments.
func (x *Route) AppendPath(path []uint32) []uint32 {
	p := x.record.parts()
	for w := p.segments; len(w) > 0; {
		n := 1 + w[0]&0xffff
		path = append(path, w[1:n]...)
		w = w[n:]
	}
	if len(p.segments) > 0 {
		return path
	}
	for i, as := range p.path {
		for range p.runs[i] {
			path = append(path, as)
		}
	}
	return path
}

// HasSegments reports whether the path is anything but one sequence.
func (x *Route) HasSegments() bool { return x.record.segments > 0 }

// AppendPathText appends the path in pmacct's notation, as route.AppendPath does. It does not allocate.
func (x *Route) AppendPathText(text []byte, separator byte) []byte {
	p := x.record.parts()
	for i, w := 0, p.segments; len(w) > 0; i++ {
		n := 1 + w[0]&0xffff
		if i > 0 {
			text = append(text, separator)
		}
		text = route.AppendSegment(text, route.Segment{Kind: route.SegmentKind(w[0] >> 16), AS: w[1:n]}, separator)
		w = w[n:]
	}
	if len(p.segments) > 0 {
		return text
	}
	for i, as := range p.path {
		for j := range p.runs[i] {
			if i > 0 || j > 0 {
				text = append(text, separator)
			}
			text = strconv.AppendUint(text, uint64(as), 10)
		}
	}
	return text
}

// Shorter returns the route of the same table to the next shorter prefix that contains the route's prefix.
func (rd *Reader) Shorter(x *Route) (Route, bool) {
	if x.Bits() == 0 {
		return Route{}, false
	}
	t := x.tree
	return rd.lookup(t.table, rd.rib.family(t).parentOf(x.number), t.v6, nil)
}

// Addresses calls f for each address of SetAddresses, in no particular order. It is safe for concurrent use.
func (r *RIB) Addresses(f func(flow.Addr, *Router)) {
	if all := r.addresses.Load(); all != nil {
		for i := range all {
			for a, x := range all[i] {
				f(a, x)
			}
		}
	}
}
