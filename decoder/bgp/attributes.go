package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Attribute flags (RFC 4271 section 4.3).
const (
	flagOptional   = 0x80
	flagTransitive = 0x40
	flagLong       = 0x10 // the length has two bytes
)

// attributes is what a Walker keeps of the attributes of an UPDATE besides its bundle.
type attributes struct {
	seen           [4]uint64 // bit set of attribute types
	withdraw       bool      // treat-as-withdraw (RFC 7606 section 2)
	nextHop        flow.Addr // of NEXT_HOP
	reach, unreach []byte    // values of MP_REACH_NLRI and MP_UNREACH_NLRI; nil: not present
	twoByteAS      bool      // AS_PATH has 2-byte AS numbers
}

func (a *attributes) has(t uint8) bool { return a.seen[t/64]&(1<<(t%64)) != 0 }

// attributes reads the list of path attributes and builds the bundle. The error is a *Notification.
func (w *Walker) attributes(list []byte) error {
	w.attrs = attributes{twoByteAS: !w.FourByteAS}
	w.bundle = append(w.bundle[:0], make([]byte, bundleHead)...)
	for len(list) > 0 {
		if len(list) < 3 {
			w.treatAsWithdraw(BadAttributes)
			return nil
		}
		flags, t, n, head := list[0], list[1], int(list[2]), 3
		if flags&flagLong != 0 {
			if len(list) < 4 {
				w.treatAsWithdraw(BadAttributes)
				return nil
			}
			n, head = int(binary.BigEndian.Uint16(list[2:])), 4
		}
		if n > len(list)-head {
			w.treatAsWithdraw(BadAttributes)
			return nil
		}
		value := list[head : head+n]
		list = list[head+n:]
		if w.attrs.has(t) {
			if (t == attrReach || t == attrUnreach) && !w.Lenient {
				return &Notification{Code: UpdateError, Subcode: 1} // RFC 7606 section 3 g
			}
			w.Counts[Duplicate]++
			continue
		}
		w.attrs.seen[t/64] |= 1 << (t % 64)
		if !validFlags(flags, t) {
			w.treatAsWithdraw(BadFlags)
		}
		w.attribute(t, value)
	}
	return nil
}

// validFlags reports whether an attribute has the flags that its type must have (RFC 7606 section 3 c).
func validFlags(flags, t uint8) bool {
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

// attribute checks one attribute, and adds it to the bundle if Decode uses it.
func (w *Walker) attribute(t uint8, v []byte) {
	switch t {
	case attrOrigin:
		if len(v) != 1 || v[0] > 2 {
			w.treatAsWithdraw(BadOrigin)
			return
		}
	case attrPath:
		if !w.path(v) {
			return
		}
	case attrNextHop:
		if len(v) != 4 {
			w.treatAsWithdraw(BadNextHop)
			return
		}
		w.attrs.nextHop = flow.AddrFrom4([4]byte(v))
		return // addBundle puts it in front of the bundle
	case attrMED:
		if len(v) != 4 {
			w.treatAsWithdraw(BadMED)
			return
		}
	case attrLocalPref:
		if len(v) != 4 {
			w.treatAsWithdraw(BadLocalPref)
			return
		}
	case attrCommunities, attrExtended, attrLarge:
		size := communityBytes(t)
		if len(v)%size != 0 || len(v) == 0 {
			w.treatAsWithdraw(BadCommunities)
			if v = v[:len(v)/size*size]; len(v) == 0 {
				return
			}
		}
	case attrAS4Path:
		if w.FourByteAS {
			return // ignored between speakers with 4-byte AS numbers (RFC 6793 section 4.1)
		}
		if !validPath(v, 4) {
			w.Counts[BadAS4Path]++ // attribute discard (RFC 6793 section 6)
			return
		}
	case attrReach:
		w.attrs.reach = v
		return
	case attrUnreach:
		w.attrs.unreach = v
		return
	default:
		return
	}
	w.bundle = append(w.bundle, t, byte(len(v)>>8), byte(len(v)))
	w.bundle = append(w.bundle, v...)
}

// communityBytes returns the size of one community in an attribute of type t.
func communityBytes(t uint8) int {
	switch t {
	case attrExtended:
		return 8
	case attrLarge:
		return 12
	}
	return 4
}

// path checks the AS_PATH. It reports whether the path can be decoded.
func (w *Walker) path(v []byte) bool {
	size := 4
	if !w.FourByteAS {
		size = 2
	}
	if validPath(v, size) {
		return true
	}
	if w.Lenient && validPath(v, 6-size) {
		w.Counts[TwoByteAS]++
		w.attrs.twoByteAS = size == 4
		return true
	}
	w.treatAsWithdraw(BadPath)
	return false
}

// validPath reports whether a path is well-formed with AS numbers of size bytes (RFC 7606 section 7.2).
func validPath(v []byte, size int) bool {
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
