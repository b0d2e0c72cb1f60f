package route

import (
	"net/netip"
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Origin is the ORIGIN attribute (RFC 4271 section 5.1.1).
type Origin uint8

// The values of Origin.
const (
	IGP Origin = iota
	EGP
	Incomplete
)

// SegmentKind is the type of a path segment (RFC 4271 section 4.3, RFC 5065 section 3).
type SegmentKind uint8

// The kinds of path segments.
const (
	Set            SegmentKind = 1
	Sequence       SegmentKind = 2
	ConfedSequence SegmentKind = 3
	ConfedSet      SegmentKind = 4
)

// Confederation reports whether the segment lists AS numbers within a confederation (RFC 5065).
func (k SegmentKind) Confederation() bool { return k == ConfedSequence || k == ConfedSet }

// Segment is a segment of an AS path.
type Segment struct {
	Kind SegmentKind
	AS   []uint32 // AS numbers in wire order: the nearest first
}

// Large is a large community (RFC 8092).
type Large struct{ Global, Data1, Data2 uint32 }

// Attributes holds the path attributes of a route. The zero value has none. A copy shares the slices. Reset empties it
// for reuse. It is not safe for concurrent changes.
type Attributes struct {
	Origin       Origin
	Path         []Segment
	NextHop      flow.Addr // unset if the route has none
	HasLocalPref bool
	HasMED       bool
	LocalPref    uint32
	MED          uint32
	Communities  []uint32 // RFC 1997: AS<<16 | value
	Extended     []uint64 // RFC 4360, as on the wire, in host byte order
	Large        []Large
	Internal     bool // the session was iBGP: the neighbour has our AS number
}

// Reset empties a and keeps its memory.
func (a *Attributes) Reset() {
	*a = Attributes{Path: a.Path[:0], Communities: a.Communities[:0], Extended: a.Extended[:0], Large: a.Large[:0]}
}

// AppendCommunity appends a community as AS:value.
func AppendCommunity(p []byte, c uint32) []byte {
	p = append(strconv.AppendUint(p, uint64(c>>16), 10), ':')
	return strconv.AppendUint(p, uint64(c&0xffff), 10)
}

// FirstWellKnown is the least well-known community (RFC 1997) besides 0 that has a name.
const FirstWellKnown = 0xffffff01

// WellKnown returns pmacct's name of a well-known community, or "".
func WellKnown(c uint32) string {
	switch c {
	case 0:
		return "internet"
	case 0xffffff01:
		return "no-export"
	case 0xffffff02:
		return "no-advertise"
	case 0xffffff03:
		return "local-AS"
	}
	return ""
}

// AppendLarge appends a large community as global:data1:data2.
func AppendLarge(p []byte, c Large) []byte {
	p = append(strconv.AppendUint(p, uint64(c.Global), 10), ':')
	p = append(strconv.AppendUint(p, uint64(c.Data1), 10), ':')
	return strconv.AppendUint(p, uint64(c.Data2), 10)
}

// NamedExtended reports whether an extended community is a route target or a route origin.
func NamedExtended(c uint64) bool {
	kind, sub := uint8(c>>56), uint8(c>>48)
	return kind <= 2 && (sub == 2 || sub == 3)
}

// AppendExtended appends an extended community: route targets and origins (RFC 4360 sections 4 and 5, RFC 5668) as
// RT:administrator:number and SoO:administrator:number, others as type:subtype:value in decimal numbers.
func AppendExtended(p []byte, c uint64) []byte {
	kind, sub := uint8(c>>56), uint8(c>>48)
	value := c & (1<<48 - 1)
	if !NamedExtended(c) {
		p = append(strconv.AppendUint(p, uint64(kind), 10), ':')
		p = append(strconv.AppendUint(p, uint64(sub), 10), ':')
		return strconv.AppendUint(p, value, 10)
	}
	if sub == 2 {
		p = append(p, "RT:"...)
	} else {
		p = append(p, "SoO:"...)
	}
	switch kind {
	case 0: // a 16-bit AS and a 32-bit number
		p = append(strconv.AppendUint(p, value>>32, 10), ':')
		return strconv.AppendUint(p, value&0xffffffff, 10)
	case 1: // an IPv4 address and a 16-bit number
		a := uint32(value >> 16)
		p = netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}).AppendTo(p)
	default: // a 32-bit AS and a 16-bit number
		p = strconv.AppendUint(p, value>>16, 10)
	}
	return strconv.AppendUint(append(p, ':'), value&0xffff, 10)
}

// AppendPath appends a path as pmacct writes it: numbers with separator between them, sets as {a,b}, confederation
// sequences as (a b) with the separator within, confederation sets as [a,b].
func AppendPath(p []byte, path []Segment, separator byte) []byte {
	for i, s := range path {
		if i > 0 {
			p = append(p, separator)
		}
		p = AppendSegment(p, s, separator)
	}
	return p
}

// AppendSegment appends one segment of a path as AppendPath does.
func AppendSegment(p []byte, s Segment, separator byte) []byte {
	between, closing := separator, byte(0)
	switch s.Kind {
	case Set:
		p, between, closing = append(p, '{'), ',', '}'
	case ConfedSequence:
		p, closing = append(p, '('), ')'
	case ConfedSet:
		p, between, closing = append(p, '['), ',', ']'
	}
	for j, as := range s.AS {
		if j > 0 {
			p = append(p, between)
		}
		p = strconv.AppendUint(p, uint64(as), 10)
	}
	if closing != 0 {
		p = append(p, closing)
	}
	return p
}

// AppendNamed appends a community as AppendCommunity does, or by its name if it is a well-known one.
func AppendNamed(p []byte, c uint32) []byte {
	if name := WellKnown(c); name != "" {
		return append(p, name...)
	}
	return AppendCommunity(p, c)
}
