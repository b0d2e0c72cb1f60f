package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/route"
)

// asTrans is the AS in place of one that has more than 16 bits (RFC 6793).
const asTrans = 23456

// Open is an OPEN message.
type Open struct {
	AS       uint32 // of the capability for 4-byte AS numbers, if there is one
	HoldTime uint16 // seconds
	ID       uint32
	Capabilities
}

// Capabilities are those that matter to a listener.
type Capabilities struct {
	MultiProtocol bool                 // the capability is there at all; without, it is IPv4 unicast
	Families      [route.Families]bool // by route.Family.Index
	Receive       [route.Families]bool // ADD-PATH (RFC 7911)
	Send          [route.Families]bool
	FourByteAS    bool
	Refresh       bool
	Enhanced      bool // RFC 7313
	Extended      bool // RFC 8654
	// ExtendedNextHop: IPv6 next hops of IPv4 routes (RFC 8950), by family.
	ExtendedNextHop [route.Families]bool
	Graceful        bool // RFC 4724
	Restarting      bool
	RestartTime     uint16 // seconds
	Notifications   bool   // RFC 8538
}

// Codes of capabilities.
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

// FamilyOf is the family of address family and subsequent address family identifiers; false: one that is not read.
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

// Identifiers are the reverse of FamilyOf.
func Identifiers(f route.Family) (afi uint16, safi uint8) {
	afi = 1
	if f.V6 {
		afi = 2
	}
	return afi, [...]uint8{route.Unicast: 1, route.Labelled: 4, route.VPN: 128}[f.Class]
}

// ParseOpen reads an OPEN's body. The error is a *Notification. Capabilities that are malformed are passed over, as
// real speakers send them; what encloses them must be right.
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

// ReadOpen reads an OPEN's body as far as it can be read, whatever its values are: of an OPEN that a BMP router quotes,
// or makes up for its Loc-RIB. With the error, a *Notification, Open has what stands before the fault.
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

// Append appends the message. RestartTime goes out without families: we keep no forwarding state, and only help.
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

// appendTuples appends a capability with a tuple for each family of a set.
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

// Answer is our OPEN to a neighbour's: what it offers and we understand. as is our AS; 0: the neighbour's. With hold
// below the neighbour's hold time that is proposed.
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
