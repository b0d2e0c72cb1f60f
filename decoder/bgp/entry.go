package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/route"
)

// Entry reads the attributes of a RIB entry of an MRT dump. It adds them to the batch as a bundle and returns the
// bundle's number. In a dump MP_REACH_NLRI has the next hop only (RFC 6396 section 4.3.4), but some programs write the
// whole attribute, so both forms are read. It returns false if the attributes cannot be read.
func (w *Walker) Entry(list []byte, v6 bool, b *route.Batch) (bundle int32, ok bool) {
	if err := w.attributes(list); err != nil {
		return 0, false
	}
	next := w.attrs.nextHop
	if v := w.attrs.reach; len(v) > 0 {
		switch {
		case int(v[0]) == len(v)-1:
			v = v[1:]
		case len(v) >= 5 && int(v[3]) <= len(v)-4 && v[0] == 0:
			v = v[4 : 4+v[3]]
		}
		var good bool
		if next, good = nextHop(v, len(v) == 12 || len(v) == 24 || len(v) == 48); !good {
			w.Counts[BadNextHop]++
		}
	}
	return w.addBundle(b, next), true
}

// ReadPrefix reads one prefix of NLRI into c, with its route distinguisher in a VPN family. It returns the bytes that
// follow.
func ReadPrefix(b []byte, f route.Family, c *route.Change) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	return readNLRI(b, f, false, c)
}

// AppendPrefix appends a prefix as NLRI. The routing table does not keep labels, so labelled and VPN routes get label 3
// (implicit null, RFC 3032).
func AppendPrefix(b []byte, class route.Class, rd route.RD, p route.Prefix) []byte {
	bits := p.Bits
	extra := 0
	switch class {
	case route.Labelled:
		extra = 24
	case route.VPN:
		extra = 24 + 64
	}
	b = append(b, byte(int(bits)+extra))
	if class != route.Unicast {
		b = append(b, 0, 0, 0x31) // label 3, bottom of stack
	}
	if class == route.VPN {
		b = binary.BigEndian.AppendUint64(b, uint64(rd))
	}
	return append(b, p.Netip().Addr().AsSlice()[:(bits+7)/8]...)
}

// AppendAttributes appends attributes as a RIB entry of an MRT dump has them: AS numbers have 4 bytes. An IPv4 next hop
// of an IPv4 unicast route is in NEXT_HOP, another one in the short form of MP_REACH_NLRI (RFC 6396 section 4.3.4).
func AppendAttributes(b []byte, a *route.Attributes, class route.Class, v6 bool) []byte {
	b = append(b, flagTransitive, attrOrigin, 1, byte(a.Origin))
	var path []byte
	for _, s := range a.Path {
		for as := s.AS; len(as) > 0; { // the wire format allows 255 AS numbers in a segment
			n := min(len(as), 255)
			path = append(path, byte(s.Kind), byte(n))
			for _, x := range as[:n] {
				path = binary.BigEndian.AppendUint32(path, x)
			}
			as = as[n:]
		}
	}
	b = appendAttribute(b, flagTransitive, attrPath, path)
	switch next := a.NextHop; {
	case next.IsUnspecified():
	case next.Is4() && class == route.Unicast && !v6:
		b = appendAttribute(b, flagTransitive, attrNextHop, next[12:])
	default:
		var hop []byte
		if class == route.VPN {
			hop = make([]byte, 8)
		}
		if next.Is4() {
			hop = append(hop, next[12:]...)
		} else {
			hop = append(hop, next[:]...)
		}
		b = appendAttribute(b, flagOptional, attrReach, append([]byte{byte(len(hop))}, hop...))
	}
	if a.HasMED {
		b = appendAttribute(b, flagOptional, attrMED, binary.BigEndian.AppendUint32(nil, a.MED))
	}
	if a.HasLocalPref {
		b = appendAttribute(b, flagTransitive, attrLocalPref, binary.BigEndian.AppendUint32(nil, a.LocalPref))
	}
	var lists [3][]byte
	for _, c := range a.Communities {
		lists[0] = binary.BigEndian.AppendUint32(lists[0], c)
	}
	for _, c := range a.Extended {
		lists[1] = binary.BigEndian.AppendUint64(lists[1], c)
	}
	for _, c := range a.Large {
		for _, x := range [...]uint32{c.Global, c.Data1, c.Data2} {
			lists[2] = binary.BigEndian.AppendUint32(lists[2], x)
		}
	}
	for i, t := range [...]uint8{attrCommunities, attrExtended, attrLarge} {
		if len(lists[i]) > 0 {
			b = appendAttribute(b, flagOptional|flagTransitive, t, lists[i])
		}
	}
	return b
}

func appendAttribute(b []byte, flags, t uint8, v []byte) []byte {
	if len(v) > 255 {
		b = append(b, flags|flagLong, t, byte(len(v)>>8), byte(len(v)))
	} else {
		b = append(b, flags, t, byte(len(v)))
	}
	return append(b, v...)
}
