package enrich

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

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

// String formats the key.
func (k rdKey) String() string {
	if k.vrf != 0 {
		return fmt.Sprintf("vrfid:%d", k.vrf)
	}
	return RDText(k.rd)
}

// RDText returns a route distinguisher as text: type:administrator:number.
func RDText(rd [8]byte) string {
	kind := binary.BigEndian.Uint16(rd[:])
	switch kind {
	case 1: // an IPv4 address and a 16-bit number
		return fmt.Sprintf("1:%s:%d", netip.AddrFrom4([4]byte(rd[2:6])), binary.BigEndian.Uint16(rd[6:]))
	case 2: // a 32-bit AS and a 16-bit number
		return fmt.Sprintf("2:%d:%d", binary.BigEndian.Uint32(rd[2:]), binary.BigEndian.Uint16(rd[6:]))
	}
	// Type 0: a 16-bit AS and a 32-bit number. Unknown types are printed in the same way.
	return fmt.Sprintf("%d:%d:%d", kind, binary.BigEndian.Uint16(rd[2:]), binary.BigEndian.Uint32(rd[4:]))
}
