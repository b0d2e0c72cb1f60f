// Package bmp reads the messages of the BGP Monitoring Protocol, version 3: RFC 7854, RFC 8671 (Adj-RIB-Out) and RFC
// 9069 (Loc-RIB). A router reports with it the routes that its BGP peers sent, and those that it uses itself.
//
// Every input is untrusted, and routers send many messages that do not follow the RFCs. A malformed message costs only
// itself. A session ends only if a header does not say where the next message starts.
package bmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Type is the type of a message.
type Type uint8

// The message types (RFC 7854 section 4.1).
const (
	RouteMonitoring Type = iota
	StatisticsReport
	PeerDown
	PeerUp
	Initiation
	Termination
	RouteMirroring
	Types // number of types
)

// String returns the type's name in metrics.
func (t Type) String() string {
	if t >= Types {
		return "unknown"
	}
	return [...]string{"route_monitoring", "statistics_report", "peer_down", "peer_up", "initiation", "termination",
		"route_mirroring"}[t]
}

// Sizes in bytes.
const (
	HeaderBytes = 6
	PeerBytes   = 42
	// MaxMessage is the maximum length that Header accepts. The longest messages are a Peer Up with two OPENs of 64 KiB
	// and a Route Mirroring.
	MaxMessage = 256 << 10
)

// ErrHeader is the error of an invalid header. The start of the next message is then unknown.
var ErrHeader = errors.New("not a BMP message")

// Header reads a message's header. The length includes the header. Unknown types are not an error: skip the message.
func Header(b []byte) (length int, t Type, err error) {
	if len(b) < HeaderBytes {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrHeader, len(b))
	}
	if b[0] != 3 {
		return 0, 0, fmt.Errorf("%w: version %d instead of 3", ErrHeader, b[0])
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n < HeaderBytes || n > MaxMessage {
		return 0, 0, fmt.Errorf("%w: length of %d bytes", ErrHeader, n)
	}
	return int(n), Type(b[5]), nil
}

// Peer types (RFC 7854 section 4.2, RFC 9069 section 4.1).
const (
	GlobalPeer = 0
	RDPeer     = 1
	LocalPeer  = 2
	LocRIBPeer = 3
)

// Flags of the per-peer header.
const (
	flagIPv6     = 0x80
	flagPost     = 0x40 // Adj-RIB after the policy
	flagTwoByte  = 0x20 // AS_PATH has 2-byte AS numbers
	flagAdjOut   = 0x10 // Adj-RIB-Out (RFC 8671)
	flagFiltered = 0x80 // of a Loc-RIB (RFC 9069)
)

// Peer is the per-peer header (RFC 7854 section 4.2).
type Peer struct {
	Type         uint8
	Flags        uint8
	RD           route.RD  // the VRF's route distinguisher; for LocalPeer a number that the router chose
	Address      flow.Addr // unset for a Loc-RIB
	AS           uint32
	ID           uint32 // BGP identifier; for a Loc-RIB the router's own
	Seconds      uint32 // Unix time at which the routes were received; 0: unknown
	Microseconds uint32
}

// PeerKey identifies a peer of a router. It leaves out the BGP identifier, which some routers do not send in every
// message.
type PeerKey struct {
	Type    uint8
	RD      route.RD
	Address flow.Addr
}

// Key returns the peer's key.
func (p *Peer) Key() PeerKey { return PeerKey{p.Type, p.RD, p.Address} }

// ReadPeer reads the per-peer header at the start of a message's body and returns the rest of the body.
func ReadPeer(body []byte) (p Peer, rest []byte, ok bool) {
	if len(body) < PeerBytes {
		return Peer{}, nil, false
	}
	p = Peer{Type: body[0], Flags: body[1], RD: route.RD(binary.BigEndian.Uint64(body[2:])),
		AS: binary.BigEndian.Uint32(body[26:]), ID: binary.BigEndian.Uint32(body[30:]),
		Seconds: binary.BigEndian.Uint32(body[34:]), Microseconds: binary.BigEndian.Uint32(body[38:])}
	if p.Type != LocRIBPeer {
		p.Address = address(body[10:26])
	}
	return p, body[PeerBytes:], true
}

// address reads an address of 16 bytes. It is IPv4 if the first 12 bytes are 0. Some routers set the V flag wrongly, so
// the flag is not used.
func address(b []byte) flow.Addr {
	for _, x := range b[:12] {
		if x != 0 {
			return flow.Addr(b)
		}
	}
	return flow.AddrFrom4([4]byte(b[12:16]))
}

// View is a RIB view: the table of a router that a route is in.
type View uint8

// The views, in the order in which they are preferred for the routes of a flow.
const (
	LocRIB  View = iota // Loc-RIB: the routes that the router uses
	InPost              // Adj-RIB-In after the policy
	InPre               // Adj-RIB-In before the policy
	OutPost             // Adj-RIB-Out after the policy
	OutPre              // Adj-RIB-Out before the policy
	Views               // number of views
)

// String returns the view's name in metrics.
func (v View) String() string {
	return [...]string{"loc_rib", "adj_rib_in_post", "adj_rib_in_pre", "adj_rib_out_post", "adj_rib_out_pre"}[v]
}

// View returns the view that the message belongs to.
func (p *Peer) View() View {
	switch post := p.Flags&flagPost != 0; {
	case p.Type == LocRIBPeer:
		return LocRIB
	case p.Flags&flagAdjOut != 0 && post:
		return OutPost
	case p.Flags&flagAdjOut != 0:
		return OutPre
	case post:
		return InPost
	}
	return InPre
}

// Information holds the TLVs of an Initiation, a Termination or a Peer Up.
type Information struct {
	SysName    string
	SysDescr   string
	Text       string // free text
	Table      string // name of the VRF or table (RFC 9069 section 5.3)
	AdminLabel string // RFC 8671 section 6.3
	Reason     uint16 // of a Termination, if HasReason
	HasReason  bool
	Unreadable bool // a TLV exceeds the message; those before it are read
}

// maxText is the number of bytes that are kept of a text.
const maxText = 256

// Text returns an untrusted text as valid UTF-8 of at most maxText bytes, for log lines, metrics and the terminal. RFC
// 7854 section 4.4 wants UTF-8, but nothing makes a router send it. White space becomes a blank; what cannot be printed
// becomes U+FFFD.
func Text(b []byte) string {
	text := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return utf8.RuneError
	}, string(b[:min(len(b), maxText)]))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

// ReadInformation reads the TLVs of a message of type t, which decides what the type of a TLV means.
func ReadInformation(b []byte, t Type) (x Information) {
	for len(b) > 0 {
		if len(b) < 4 || int(binary.BigEndian.Uint16(b[2:])) > len(b)-4 {
			x.Unreadable = true
			return x
		}
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		v := b[4 : 4+n]
		b = b[4+n:]
		text := Text(v)
		switch {
		case kind == 0:
			x.Text = text
		case t == Termination && kind == 1 && n == 2:
			x.Reason, x.HasReason = binary.BigEndian.Uint16(v), true
		case t == PeerUp && kind == 3:
			x.Table = text
		case kind == 1:
			x.SysDescr = text
		case kind == 2:
			x.SysName = text
		case kind == 4:
			x.AdminLabel = text
		}
	}
	return x
}

// TerminationReason returns why a router ends its session (RFC 7854 section 4.5).
func (x *Information) TerminationReason() string {
	reasons := [...]string{"administratively closed", "unspecified reason", "out of resources", "redundant connection",
		"permanently administratively closed"}
	switch {
	case x.HasReason && int(x.Reason) < len(reasons):
		return reasons[x.Reason]
	case x.HasReason:
		return fmt.Sprintf("reason %d", x.Reason)
	}
	return x.Text
}

// AppendMessage appends a message whose body is the parts.
func AppendMessage(p []byte, t Type, parts ...[]byte) []byte {
	n := HeaderBytes
	for _, part := range parts {
		n += len(part)
	}
	p = binary.BigEndian.AppendUint32(append(p, 3), uint32(n))
	p = append(p, byte(t))
	for _, part := range parts {
		p = append(p, part...)
	}
	return p
}

// Append appends the per-peer header.
func (p *Peer) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, p.Type, p.Flags), uint64(p.RD))
	b = appendAddress(b, p.Address)
	for _, n := range [...]uint32{p.AS, p.ID, p.Seconds, p.Microseconds} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func appendAddress(b []byte, a flow.Addr) []byte {
	if a.Is4() {
		b = append(b, make([]byte, 12)...)
		return append(b, a[12:]...)
	}
	return append(b, a[:]...)
}

// AppendText appends a TLV of type kind.
func AppendText(b []byte, kind uint16, text string) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// AppendUp appends the body of a Peer Up after the per-peer header. sent and received are complete OPEN messages.
func AppendUp(b []byte, local flow.Addr, localPort, remotePort uint16, sent, received []byte) []byte {
	b = appendAddress(b, local)
	b = binary.BigEndian.AppendUint16(b, localPort)
	b = binary.BigEndian.AppendUint16(b, remotePort)
	return append(append(b, sent...), received...)
}
