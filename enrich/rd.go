package enrich

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxRDs bounds the route distinguishers that are cached as text.
const maxRDs = 1 << 14

// rdKey is a route distinguisher, or a VRF id if there is none.
type rdKey struct {
	rd  [8]byte
	vrf uint32
}

// rdCache caches route distinguishers as text.
type rdCache map[rdKey]string

// text returns the route distinguisher (RFC 4364 §4.2) as pmacct prints it: type:administrator:number. If the exporter
// sends a VRF id instead (IE 234, or 235 if that is 0), it is vrfid:<id>, which CommunityScopes can map too. Without
// either it is "".
func (c rdCache) text(r *flow.Record) string {
	key := rdKey{rd: r.MPLSRD}
	if key.rd == [8]byte{} {
		key.vrf = cmp.Or(r.IngressVRF, r.EgressVRF)
		if key.vrf == 0 {
			return ""
		}
	}
	text, found := c[key]
	if !found {
		if len(c) >= maxRDs {
			clear(c)
		}
		text = key.String()
		c[key] = text
	}
	return text
}

// longestRD is the length of the longest text of a key.
const longestRD = len("1:255.255.255.255:65535")

// String formats the key.
func (k rdKey) String() string {
	b := make([]byte, 0, longestRD)
	if k.vrf != 0 {
		return string(strconv.AppendUint(append(b, "vrfid:"...), uint64(k.vrf), 10))
	}
	return string(appendRD(b, k.rd))
}

// RDText returns a route distinguisher as text: type:administrator:number.
func RDText(rd [8]byte) string { return string(appendRD(make([]byte, 0, longestRD), rd)) }

func appendRD(b []byte, rd [8]byte) []byte {
	kind := binary.BigEndian.Uint16(rd[:])
	b = append(strconv.AppendUint(b, uint64(kind), 10), ':')
	number := uint64(binary.BigEndian.Uint16(rd[6:]))
	switch kind {
	case 1: // an IPv4 address and a 16-bit number
		b = netip.AddrFrom4([4]byte(rd[2:6])).AppendTo(b)
	case 2: // a 32-bit AS and a 16-bit number
		b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint32(rd[2:])), 10)
	default: // type 0: a 16-bit AS and a 32-bit number. Unknown types are printed in the same way.
		b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint16(rd[2:])), 10)
		number = uint64(binary.BigEndian.Uint32(rd[4:]))
	}
	return strconv.AppendUint(append(b, ':'), number, 10)
}
