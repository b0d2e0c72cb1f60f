package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/route"
)

// asTrans is AS_TRANS, which stands for an AS number of more than 16 bits (RFC 6793).
const asTrans = 23456

// Open is an OPEN message.
type Open struct {
	AS       uint32 // from the 4-byte AS number capability if present
	HoldTime uint16 // seconds
	ID       uint32 // BGP identifier
	Capabilities
}

// Capabilities holds the capabilities that matter to a speaker that announces nothing. Arrays are indexed by
// route.Family.Index.
type Capabilities struct {
	MultiProtocol   bool                 // RFC 4760; a speaker without it sends IPv4 unicast routes only
	Families        [route.Families]bool // of MultiProtocol
	Receive         [route.Families]bool // ADD-PATH (RFC 7911): can receive path identifiers
	Send            [route.Families]bool // ADD-PATH: can send them
	FourByteAS      bool                 // RFC 6793
	Refresh         bool                 // route refresh (RFC 2918)
	Enhanced        bool                 // enhanced route refresh (RFC 7313)
	Extended        bool                 // extended messages (RFC 8654)
	ExtendedNextHop [route.Families]bool // IPv6 next hops of IPv4 routes (RFC 8950)
	Graceful        bool                 // graceful restart (RFC 4724)
	Restarting      bool                 // the restart state bit
	RestartTime     uint16               // seconds
	Notifications   bool                 // graceful restart after a NOTIFICATION too (RFC 8538)
}

// Capability codes.
const (
	capMultiProtocol   = 1
	capRefresh         = 2
	capExtendedNextHop = 5
	capExtended        = 6
	capGraceful        = 64
	capFourByteAS      = 65
	capAddPath         = 69
	capEnhanced        = 70
)

// FamilyOf returns the family with an address family identifier and a subsequent one. It returns false if this package
// does not read routes of that family.
func FamilyOf(afi uint16, safi uint8) (route.Family, bool) {
	if afi != 1 && afi != 2 {
		return route.Family{}, false
	}
	f := route.Family{V6: afi == 2}
	switch safi {
	case 1:
	case 4:
		f.Class = route.Labelled
	case 128:
		f.Class = route.VPN
	default:
		return f, false
	}
	return f, true
}

// Identifiers returns a family's address family identifier and subsequent one. It is the inverse of FamilyOf.
func Identifiers(f route.Family) (afi uint16, safi uint8) {
	afi = 1
	if f.V6 {
		afi = 2
	}
	return afi, [...]uint8{route.Unicast: 1, route.Labelled: 4, route.VPN: 128}[f.Class]
}

// ParseOpen reads and validates an OPEN's body. The error is a *Notification. It ignores the value of a capability that
// is malformed, because real speakers send such values; the lengths that enclose it must be right.
func ParseOpen(body []byte) (Open, error) {
	if len(body) < 10 {
		return Open{}, &Notification{Code: HeaderError, Subcode: 2}
	}
	if body[0] != 4 {
		return Open{}, &Notification{Code: OpenError, Subcode: 1, Data: []byte{0, 4}}
	}
	o, err := ReadOpen(body)
	switch {
	case o.HoldTime == 1 || o.HoldTime == 2:
		return o, &Notification{Code: OpenError, Subcode: 6}
	case o.ID == 0:
		return o, &Notification{Code: OpenError, Subcode: 3}
	case err != nil:
		return o, err
	case o.AS == 0:
		return o, &Notification{Code: OpenError, Subcode: 2}
	}
	return o, nil
}

// ReadOpen reads an OPEN's body without validating its values. It is for the OPENs in BMP messages, which a router may
// make up, as for its Loc-RIB. If it returns an error, which is a *Notification, Open has the fields before the fault.
func ReadOpen(body []byte) (Open, error) {
	if len(body) < 10 {
		return Open{}, &Notification{Code: HeaderError, Subcode: 2}
	}
	o := Open{AS: uint32(binary.BigEndian.Uint16(body[1:])), HoldTime: binary.BigEndian.Uint16(body[3:]),
		ID: binary.BigEndian.Uint32(body[5:])}
	parameters, wide := body[10:], 1
	length := int(body[9])
	if length == 255 && len(parameters) >= 3 && parameters[0] == 255 { // RFC 9072
		length, parameters, wide = int(binary.BigEndian.Uint16(parameters[1:])), parameters[3:], 2
	}
	if length != len(parameters) {
		return o, &Notification{Code: OpenError}
	}
	for len(parameters) > 0 {
		if len(parameters) < 1+wide {
			return o, &Notification{Code: OpenError}
		}
		n := int(parameters[1])
		if wide == 2 {
			n = int(binary.BigEndian.Uint16(parameters[1:]))
		}
		kind, value := parameters[0], parameters[1+wide:]
		if n > len(value) {
			return o, &Notification{Code: OpenError}
		}
		if kind != 2 {
			return o, &Notification{Code: OpenError, Subcode: 4}
		}
		if !o.parseCapabilities(value[:n]) {
			return o, &Notification{Code: OpenError}
		}
		parameters = value[n:]
	}
	return o, nil
}

func (o *Open) parseCapabilities(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || int(b[1]) > len(b)-2 {
			return false
		}
		o.capability(b[0], b[2:2+b[1]])
		b = b[2+b[1]:]
	}
	return true
}

func (o *Open) capability(code uint8, v []byte) {
	switch code {
	case capMultiProtocol:
		o.MultiProtocol = true
		if len(v) == 4 {
			o.family(&o.Families, binary.BigEndian.Uint16(v), v[3])
		}
	case capRefresh:
		o.Refresh = true
	case capEnhanced:
		o.Enhanced = true
	case capExtended:
		o.Extended = true
	case capFourByteAS:
		if len(v) == 4 {
			o.FourByteAS, o.AS = true, binary.BigEndian.Uint32(v)
		}
	case capExtendedNextHop:
		for ; len(v) >= 6; v = v[6:] {
			if binary.BigEndian.Uint16(v[4:]) == 2 {
				o.family(&o.ExtendedNextHop, binary.BigEndian.Uint16(v), v[3])
			}
		}
	case capGraceful:
		if len(v) >= 2 {
			o.Graceful, o.Restarting, o.Notifications = true, v[0]&0x80 != 0, v[0]&0x40 != 0
			o.RestartTime = binary.BigEndian.Uint16(v) & 0xfff
		}
	case capAddPath:
		for ; len(v) >= 4; v = v[4:] {
			if v[3]&1 != 0 {
				o.family(&o.Receive, binary.BigEndian.Uint16(v), v[2])
			}
			if v[3]&2 != 0 {
				o.family(&o.Send, binary.BigEndian.Uint16(v), v[2])
			}
		}
	}
}

func (o *Open) family(set *[route.Families]bool, afi uint16, safi uint8) {
	if f, known := FamilyOf(afi, safi); known {
		set[f.Index()] = true
	}
}

// Append appends the message with its header. The graceful restart capability names no families, which says that we
// keep no forwarding state but help a neighbour that restarts (RFC 4724 section 3).
func (o *Open) Append(p []byte) []byte {
	var c []byte
	for i, has := range o.Families {
		if has {
			afi, safi := Identifiers(route.FamilyAt(i))
			c = append(c, capMultiProtocol, 4, byte(afi>>8), byte(afi), 0, safi)
		}
	}
	c = append(c, capFourByteAS, 4)
	c = binary.BigEndian.AppendUint32(c, o.AS)
	for _, flag := range []struct {
		is   bool
		code uint8
	}{{o.Refresh, capRefresh}, {o.Enhanced, capEnhanced}, {o.Extended, capExtended}} {
		if flag.is {
			c = append(c, flag.code, 0)
		}
	}
	c = appendTuples(c, capExtendedNextHop, o.ExtendedNextHop, func(p []byte, afi uint16, safi uint8) []byte {
		return append(p, byte(afi>>8), byte(afi), 0, safi, 0, 2)
	})
	c = appendTuples(c, capAddPath, o.Receive, func(p []byte, afi uint16, safi uint8) []byte {
		return append(p, byte(afi>>8), byte(afi), safi, 1)
	})
	if o.Graceful {
		c = append(c, capGraceful, 2, byte(o.RestartTime>>8&0xf), byte(o.RestartTime))
	}
	p = AppendHeader(p, OpenType, 10+2+len(c))
	as := o.AS
	if as > 0xffff {
		as = asTrans
	}
	p = append(p, 4, byte(as>>8), byte(as), byte(o.HoldTime>>8), byte(o.HoldTime))
	p = binary.BigEndian.AppendUint32(p, o.ID)
	p = append(p, byte(2+len(c)), 2, byte(len(c)))
	return append(p, c...)
}

// appendTuples appends a capability whose value is one tuple for each family of the set. It appends nothing for an
// empty set.
func appendTuples(p []byte, code uint8, set [route.Families]bool, tuple func([]byte, uint16, uint8) []byte) []byte {
	var t []byte
	for i, has := range set {
		if has {
			afi, safi := Identifiers(route.FamilyAt(i))
			t = tuple(t, afi, safi)
		}
	}
	if len(t) == 0 {
		return p
	}
	return append(append(p, code, byte(len(t))), t...)
}

// Answer returns our OPEN in answer to the neighbour's: it has those of the neighbour's capabilities that this package
// supports. as is our AS number, where 0 stands for the neighbour's; hold and restart are our hold time and restart
// time in seconds.
func (o *Open) Answer(as, id uint32, hold, restart uint16) Open {
	a := Open{AS: as, HoldTime: hold, ID: id}
	if as == 0 {
		a.AS = o.AS
	}
	a.Families = o.Families
	if !o.MultiProtocol {
		a.Families[0] = true
	}
	a.MultiProtocol = a.Families != [route.Families]bool{}
	a.Receive = o.Send
	a.FourByteAS, a.Refresh, a.Enhanced, a.Extended = true, o.Refresh, o.Enhanced, o.Extended
	a.ExtendedNextHop = o.ExtendedNextHop
	if o.Graceful {
		a.Graceful, a.RestartTime = true, restart
	}
	return a
}
