package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Flags of attributes.
const (
	flagOptional   = 0x80
	flagTransitive = 0x40
	flagLong       = 0x10 // the length has two bytes
)

// attributes are where those of an UPDATE are. The bundle has those that matter to a route.
type attributes struct {
	seen           [4]uint64 // by type
	withdraw       bool      // treat-as-withdraw
	nextHop        flow.Addr
	reach, unreach []byte
	twoByteAS      bool
}

func (a *attributes) has(t uint8) bool { return a.seen[t/64]&(1<<(t%64)) != 0 }

// attributes walks the list of attributes.
func (w *Walker) attributes(list []byte) error {
	w.at = attributes{twoByteAS: !w.FourByteAS}
	w.bundle = append(w.bundle[:0], make([]byte, bundleHead)...)
	for len(list) > 0 {
		if len(list) < 3 {
			w.fail(BadAttributes)
			return nil
		}
		flags, t, n, head := list[0], list[1], int(list[2]), 3
		if flags&flagLong != 0 {
			if len(list) < 4 {
				w.fail(BadAttributes)
				return nil
			}
			n, head = int(binary.BigEndian.Uint16(list[2:])), 4
		}
		if n > len(list)-head {
			w.fail(BadAttributes)
			return nil
		}
		value := list[head : head+n]
		list = list[head+n:]
		if w.at.has(t) {
			if (t == attrReach || t == attrUnreach) && !w.Lenient {
				return &Notification{Code: UpdateError, Subcode: 1} // RFC 7606 section 3 g
			}
			w.Counts[Duplicate]++
			continue
		}
		w.at.seen[t/64] |= 1 << (t % 64)
		if !flagsFit(flags, t) {
			w.fail(BadFlags)
		}
		w.attribute(t, value)
	}
	return nil
}

// flagsFit reports whether an attribute has the flags that its type must have (RFC 7606 section 3 c).
func flagsFit(flags, t uint8) bool {
	kind := flags & (flagOptional | flagTransitive)
	switch t {
	case attrOrigin, attrPath, attrNextHop, attrLocalPref:
		return kind == flagTransitive
	case attrMED, attrReach, attrUnreach:
		return kind == flagOptional
	case attrCommunities, attrExtended, attrLarge, attrAS4Path:
		return kind == flagOptional|flagTransitive
	}
	return true
}

// attribute checks an attribute, and puts it into the bundle if it matters to a route.
func (w *Walker) attribute(t uint8, v []byte) {
	switch t {
	case attrOrigin:
		if len(v) != 1 || v[0] > 2 {
			w.fail(BadOrigin)
			return
		}
	case attrPath:
		if !w.path(v) {
			return
		}
	case attrNextHop:
		if len(v) != 4 {
			w.fail(BadNextHop)
			return
		}
		w.at.nextHop = flow.AddrFrom4([4]byte(v))
		return // in the bundle's head
	case attrMED:
		if len(v) != 4 {
			w.fail(BadMED)
			return
		}
	case attrLocalPref:
		if len(v) != 4 {
			w.fail(BadLocalPref)
			return
		}
	case attrCommunities, attrExtended, attrLarge:
		size := communityBytes(t)
		if len(v)%size != 0 || len(v) == 0 {
			w.fail(BadCommunities)
			if v = v[:len(v)/size*size]; len(v) == 0 {
				return
			}
		}
	case attrAS4Path:
		if w.FourByteAS {
			return // RFC 6793 section 4.1
		}
		if !pathFits(v, 4) {
			w.Counts[BadAS4Path]++ // discarded: RFC 6793 section 6
			return
		}
	case attrReach:
		w.at.reach = v
		return
	case attrUnreach:
		w.at.unreach = v
		return
	default:
		return
	}
	w.bundle = append(w.bundle, t, byte(len(v)>>8), byte(len(v)))
	w.bundle = append(w.bundle, v...)
}

// communityBytes is the size of a community of an attribute.
func communityBytes(t uint8) int {
	switch t {
	case attrExtended:
		return 8
	case attrLarge:
		return 12
	}
	return 4
}

// path checks the AS_PATH.
func (w *Walker) path(v []byte) bool {
	size := 4
	if !w.FourByteAS {
		size = 2
	}
	if pathFits(v, size) {
		return true
	}
	if w.Lenient && pathFits(v, 6-size) {
		w.Counts[TwoByteAS]++
		w.at.twoByteAS = size == 4
		return true
	}
	w.fail(BadPath)
	return false
}

// pathFits reports whether a path is well-formed with AS numbers of that size (RFC 7606 section 7.2).
func pathFits(v []byte, size int) bool {
	for len(v) > 0 {
		if len(v) < 2 || v[0] < 1 || v[0] > 4 || v[1] == 0 {
			return false
		}
		n := 2 + int(v[1])*size
		if n > len(v) {
			return false
		}
		v = v[n:]
	}
	return true
}
