package packet

import "encoding/binary"

// EtherTypes of tags other than VLAN tags, and of headers that carry a frame.
const (
	typeQinQ9200   = 0x9200 // QinQ of older switches, like 0x9100
	typeQinQ9300   = 0x9300
	typeCMD        = 0x8909 // Cisco metadata (TrustSec): version, length, options
	typeVNTag      = 0x8926 // Cisco VN-Tag
	typeETag       = 0x893f // IEEE 802.1BR
	typeRTag       = 0xf1c1 // IEEE 802.1CB, redundancy
	typeHSR        = 0x892f // IEC 62439-3
	typeMACsec     = 0x88e5 // IEEE 802.1AE; read where the frame is not encrypted
	typePBB        = 0x88e7 // IEEE 802.1ah: service tag, then a frame
	typeFabricPath = 0x8903 // Cisco FabricPath: tree and TTL, then a frame
	typeNSH        = 0x894f // RFC 8300: service chains
	typeTRILL      = 0x22f3 // RFC 6325: header, then a frame
)

// isVLAN reports whether an EtherType is that of a VLAN tag.
func isVLAN(kind uint16) bool {
	switch kind {
	case typeVLAN, typeQinQ, typeQinQOld, typeQinQ9200, typeQinQ9300:
		return true
	}
	return false
}

// otherTag returns the length of a tag that is not a VLAN tag, without its own EtherType and with the next one. 0: kind
// is not such a tag, or what follows cannot be read. If b is too short to tell, the result is more than len(b).
func otherTag(kind uint16, b []byte) int {
	const next = 2 // the EtherType after the tag
	switch kind {
	case typeVNTag, typeRTag, typeHSR:
		return 4 + next
	case typeETag:
		return 6 + next
	case typeCMD:
		if len(b) < 2 {
			return 2 + next
		}
		return 2 + 4*int(b[1]) + next // version, length in words of 4 bytes, options
	case typeMACsec:
		const channel, encrypted, changed = 0x20, 0x08, 0x04
		if len(b) < 1 {
			return 6 + next
		}
		switch {
		case b[0]&(encrypted|changed) != 0:
			return 0
		case b[0]&channel != 0: // control, short length, packet number of 4 bytes, channel of 8
			return 14 + next
		}
		return 6 + next
	}
	return 0
}

// carried returns the length of a header that carries an Ethernet frame; 0 if kind is not such a header.
func carried(kind uint16, b []byte) int {
	switch kind {
	case typePBB:
		return 4
	case typeFabricPath:
		return 2
	case typeTRILL:
		if len(b) < 2 {
			return 6
		}
		return 6 + 4*int(binary.BigEndian.Uint16(b)>>6&0x1f) // options in words of 4 bytes (RFC 6325 §3.5)
	}
	return 0
}
