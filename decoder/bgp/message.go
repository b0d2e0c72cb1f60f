// Package bgp reads and writes BGP messages (RFC 4271) for a speaker that announces no routes: OPEN, UPDATE,
// NOTIFICATION, KEEPALIVE and ROUTE-REFRESH. A Walker turns UPDATEs into batches of route.Change and leaves the
// attributes encoded, as most attribute sets repeat; Decode decodes one.
//
// Every input is untrusted. A malformed attribute costs the routes of its UPDATE or only itself, as RFC 7606 says, and
// the session only where RFC 7606 demands it.
package bgp

import (
	"encoding/binary"
	"fmt"

	"github.com/metranova/flow-collector/decoder/route"
)

// Type is the type of a message.
type Type uint8

// The message types (RFC 4271 section 4.1, RFC 2918).
const (
	OpenType         Type = 1
	UpdateType       Type = 2
	NotificationType Type = 3
	KeepaliveType    Type = 4
	RefreshType      Type = 5
)

// Sizes in bytes. Those of messages include the header.
const (
	HeaderBytes = 19
	MaxMessage  = 4096
	MaxExtended = 65535 // with the extended message capability (RFC 8654), except for OPEN and KEEPALIVE
)

// Header reads and checks a message's header. The length includes the header. extended allows messages of up to
// MaxExtended bytes. The error is a *Notification.
func Header(b []byte, extended bool) (length int, t Type, err error) {
	if len(b) < HeaderBytes {
		return 0, 0, &Notification{Code: HeaderError, Subcode: 2}
	}
	for _, x := range b[:16] {
		if x != 0xff {
			return 0, 0, &Notification{Code: HeaderError, Subcode: 1} // connection not synchronized
		}
	}
	length, t = int(binary.BigEndian.Uint16(b[16:])), Type(b[18])
	least, most := HeaderBytes, MaxMessage
	switch t {
	case OpenType:
		least = HeaderBytes + 10
	case UpdateType:
		least = HeaderBytes + 4
	case NotificationType:
		least = HeaderBytes + 2
	case RefreshType:
		least = HeaderBytes + 4
	case KeepaliveType:
		most = HeaderBytes
	default:
		return 0, t, &Notification{Code: HeaderError, Subcode: 3, Data: b[18:19]}
	}
	if extended && t != OpenType && t != KeepaliveType {
		most = MaxExtended
	}
	if length < least || length > most {
		return 0, t, &Notification{Code: HeaderError, Subcode: 2, Data: b[16:18]}
	}
	return length, t, nil
}

// AppendHeader appends the header of a message whose body has that many bytes.
func AppendHeader(p []byte, t Type, body int) []byte {
	for range 16 {
		p = append(p, 0xff)
	}
	p = binary.BigEndian.AppendUint16(p, uint16(HeaderBytes+body))
	return append(p, byte(t))
}

// AppendKeepalive appends a KEEPALIVE message.
func AppendKeepalive(p []byte) []byte { return AppendHeader(p, KeepaliveType, 0) }

// AppendRefresh appends a ROUTE-REFRESH message (RFC 2918) for the routes of a family.
func AppendRefresh(p []byte, f route.Family) []byte {
	afi, safi := Identifiers(f)
	p = AppendHeader(p, RefreshType, 4)
	return append(binary.BigEndian.AppendUint16(p, afi), 0, safi)
}

// Error codes of a NOTIFICATION (RFC 4271 section 4.5, RFC 6608).
const (
	HeaderError = 1
	OpenError   = 2
	UpdateError = 3
	HoldExpired = 4
	StateError  = 5
	Cease       = 6
)

// Subcodes of Cease (RFC 4486, RFC 8538).
const (
	CeaseShutdown    = 2
	CeaseReset       = 4
	CeaseRejected    = 5
	CeaseCollision   = 7
	CeaseNoResources = 8
	CeaseHardReset   = 9
)

// Notification is a NOTIFICATION message, which ends a session. It is the error type of this package.
type Notification struct {
	Code, Subcode uint8
	Data          []byte
}

// ParseNotification reads a NOTIFICATION's body. Data refers to the body's memory. A body that is too short gives the
// zero value.
func ParseNotification(body []byte) *Notification {
	if len(body) < 2 {
		return &Notification{}
	}
	return &Notification{Code: body[0], Subcode: body[1], Data: body[2:]}
}

// Append appends the message with its header.
func (n *Notification) Append(p []byte) []byte {
	data := n.Data[:min(len(n.Data), MaxMessage-HeaderBytes-2)]
	p = AppendHeader(p, NotificationType, 2+len(data))
	return append(append(p, n.Code, n.Subcode), data...)
}

// Error returns the names that the RFCs give to the code and subcode.
func (n *Notification) Error() string {
	codes := [...]string{1: "message header error", 2: "OPEN message error", 3: "UPDATE message error",
		4: "hold timer expired", 5: "finite state machine error", 6: "cease", 7: "ROUTE-REFRESH message error"}
	name := fmt.Sprintf("code %d", n.Code)
	if int(n.Code) < len(codes) && codes[n.Code] != "" {
		name = codes[n.Code]
	}
	if sub := subcodes[[2]uint8{n.Code, n.Subcode}]; sub != "" {
		return name + ": " + sub
	}
	if n.Subcode != 0 {
		return fmt.Sprintf("%s: subcode %d", name, n.Subcode)
	}
	return name
}

// HardReset reports whether the message ends graceful restart too, so that routes must be removed at once (RFC 8538
// section 3.1).
func (n *Notification) HardReset() bool { return n.Code == Cease && n.Subcode == CeaseHardReset }

var subcodes = map[[2]uint8]string{
	{1, 1}: "connection not synchronized", {1, 2}: "bad message length", {1, 3}: "bad message type",
	{2, 1}: "unsupported version number", {2, 2}: "bad peer AS", {2, 3}: "bad BGP identifier",
	{2, 4}: "unsupported optional parameter", {2, 6}: "unacceptable hold time", {2, 7}: "unsupported capability",
	{3, 1}: "malformed attribute list", {3, 9}: "optional attribute error", {3, 10}: "invalid network field",
	{6, 1}: "maximum number of prefixes reached", {6, 2}: "administrative shutdown", {6, 3}: "peer de-configured",
	{6, 4}: "administrative reset", {6, 5}: "connection rejected", {6, 6}: "other configuration change",
	{6, 7}: "connection collision resolution", {6, 8}: "out of resources", {6, 9}: "hard reset",
}
