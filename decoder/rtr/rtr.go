// Package rtr reads and writes the messages of the RPKI-to-Router protocol, versions 0 (RFC 6810) and 1 (RFC 8210). It
// serves the router's side; the cache's side is for tests. Messages are untrusted: every length is checked.
package rtr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Type is the type of a message. The RFCs call a message a PDU.
type Type uint8

// The message types (RFC 8210 section 5).
const (
	SerialNotify  Type = 0
	SerialQuery   Type = 1
	ResetQuery    Type = 2
	CacheResponse Type = 3
	IPv4Prefix    Type = 4
	IPv6Prefix    Type = 6
	EndOfData     Type = 7
	CacheReset    Type = 8
	RouterKey     Type = 9
	ErrorReport   Type = 10
)

// ErrorCode is the code of an Error Report (RFC 8210 section 12).
type ErrorCode uint16

// The error codes (RFC 8210 section 12).
const (
	CorruptData          ErrorCode = 0
	InternalError        ErrorCode = 1
	NoDataAvailable      ErrorCode = 2
	InvalidRequest       ErrorCode = 3
	UnsupportedVersion   ErrorCode = 4
	UnsupportedType      ErrorCode = 5
	WithdrawalOfUnknown  ErrorCode = 6
	DuplicateAnnounced   ErrorCode = 7
	UnexpectedVersion    ErrorCode = 8
	headerBytes                    = 8
	maxBytes                       = 1 << 16
	maxErrorText                   = 512 // that is kept
	prefix4Bytes                   = 20
	prefix6Bytes                   = 32
	endBytes0, endBytes1           = 12, 24
)

var codeTexts = [...]string{"corrupt data", "internal error", "no data available", "invalid request",
	"unsupported protocol version", "unsupported message type", "withdrawal of an unknown record",
	"duplicate announcement", "unexpected protocol version"}

// String returns the code's name.
func (c ErrorCode) String() string {
	if int(c) < len(codeTexts) {
		return codeTexts[c]
	}
	return fmt.Sprintf("error %d", uint16(c))
}

// Error is the error of a message that is malformed or unexpected. Code is for the Error Report to the other side.
type Error struct {
	Code ErrorCode
	Why  string
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Why }

func corrupt(format string, a ...any) error { return &Error{CorruptData, fmt.Sprintf(format, a...)} }

// Message is one message. Type decides which fields are set.
type Message struct {
	Version uint8
	Type    Type
	Session uint16 // SerialNotify, SerialQuery, CacheResponse, EndOfData
	Serial  uint32 // SerialNotify, SerialQuery, EndOfData

	// IPv4Prefix and IPv6Prefix.
	Announce  bool // false: withdraw
	Prefix    netip.Prefix
	MaxLength uint8
	AS        uint32

	// EndOfData of version 1; 0 in version 0.
	Refresh, Retry, Expire time.Duration

	// ErrorReport.
	Code ErrorCode
	Text string
}

// Reader reads messages from a connection. Create it with NewReader. It is not safe for concurrent use. Its buffer
// grows to 64 KiB at most, the longest message that it accepts.
type Reader struct {
	from   io.Reader
	buffer []byte
}

// NewReader returns a reader of from, which should be buffered.
func NewReader(from io.Reader) *Reader { return &Reader{from: from, buffer: make([]byte, 64)} }

// Raw returns the bytes of the last message, for an Error Report. They are valid until the next Read.
func (r *Reader) Raw() []byte { return r.buffer }

// Read reads one message. An *Error is a fault of the message; any other error is the connection's.
func (r *Reader) Read() (Message, error) {
	r.buffer = r.buffer[:headerBytes]
	if _, err := io.ReadFull(r.from, r.buffer); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			r.buffer = r.buffer[:0]
		}
		return Message{}, err
	}
	length := binary.BigEndian.Uint32(r.buffer[4:])
	if length < headerBytes || length > maxBytes {
		return Message{}, corrupt("message length %d", length)
	}
	if n := int(length); n > cap(r.buffer) {
		r.buffer = append(make([]byte, 0, n), r.buffer...)[:n]
	} else {
		r.buffer = r.buffer[:n]
	}
	if _, err := io.ReadFull(r.from, r.buffer[headerBytes:]); err != nil {
		return Message{}, err
	}
	return Parse(r.buffer)
}

// Parse reads one complete message. It returns an *Error for versions above 1 and unknown types. Of a RouterKey, which
// BGPsec uses, it checks the length only.
func Parse(p []byte) (m Message, err error) {
	if len(p) < headerBytes || int64(binary.BigEndian.Uint32(p[4:])) != int64(len(p)) {
		return m, corrupt("the length field does not match the %d bytes", len(p))
	}
	m.Version, m.Type = p[0], Type(p[1])
	word := binary.BigEndian.Uint16(p[2:])
	if m.Version > 1 && m.Type != ErrorReport {
		return m, &Error{UnsupportedVersion, fmt.Sprintf("version %d", m.Version)}
	}
	need := func(n int) error {
		if len(p) != n {
			return corrupt("message of type %d has %d bytes instead of %d", m.Type, len(p), n)
		}
		return nil
	}
	switch m.Type {
	case SerialNotify, SerialQuery:
		if err = need(12); err == nil {
			m.Session, m.Serial = word, binary.BigEndian.Uint32(p[8:])
		}
	case CacheResponse:
		m.Session, err = word, need(headerBytes)
	case ResetQuery, CacheReset:
		err = need(headerBytes)
	case IPv4Prefix:
		if err = need(prefix4Bytes); err == nil {
			err = m.prefix(p, netip.AddrFrom4([4]byte(p[12:])), p[16:])
		}
	case IPv6Prefix:
		if err = need(prefix6Bytes); err == nil {
			err = m.prefix(p, netip.AddrFrom16([16]byte(p[12:])), p[28:])
		}
	case EndOfData:
		err = m.end(p, word)
	case RouterKey:
		if m.Version == 0 {
			err = &Error{UnsupportedType, "Router Key in version 0"}
		} else if len(p) < 32 {
			err = corrupt("Router Key of %d bytes", len(p))
		}
	case ErrorReport:
		m.Code = ErrorCode(word)
		err = m.report(p)
	default:
		err = &Error{UnsupportedType, fmt.Sprintf("message type %d", m.Type)}
	}
	return m, err
}

// prefix reads an IPv4 or IPv6 Prefix (RFC 8210 sections 5.6 and 5.7).
func (m *Message) prefix(p []byte, a netip.Addr, as []byte) error {
	bits, most := int(p[9]), int(p[10])
	if bits > a.BitLen() || most > a.BitLen() || most < bits {
		return corrupt("prefix length %d with maximum length %d", bits, most)
	}
	m.Announce, m.MaxLength, m.AS = p[8]&1 != 0, p[10], binary.BigEndian.Uint32(as)
	m.Prefix, _ = a.Prefix(bits) // masks bits beyond the length, which should be 0
	return nil
}

// end reads an End of Data (RFC 8210 section 5.8).
func (m *Message) end(p []byte, session uint16) error {
	want := endBytes1
	if m.Version == 0 {
		want = endBytes0
	}
	if len(p) != want {
		return corrupt("End of Data of version %d has %d bytes instead of %d", m.Version, len(p), want)
	}
	m.Session, m.Serial = session, binary.BigEndian.Uint32(p[8:])
	if m.Version == 0 {
		return nil
	}
	seconds := func(at int) time.Duration { return time.Duration(binary.BigEndian.Uint32(p[at:])) * time.Second }
	m.Refresh, m.Retry, m.Expire = seconds(12), seconds(16), seconds(20)
	return nil
}

// report reads the text of an Error Report (RFC 8210 section 5.11). It follows a copy of the erroneous message.
func (m *Message) report(p []byte) error {
	rest := p[headerBytes:]
	for i := range 2 {
		if len(rest) < 4 {
			return corrupt("truncated Error Report")
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(n) > uint64(len(rest)) {
			return corrupt("Error Report with a length of %d in %d bytes", n, len(rest))
		}
		if i == 1 {
			m.Text = printable(rest[:min(n, maxErrorText)])
		}
		rest = rest[n:]
	}
	return nil
}

// printable returns an untrusted text for a log line: a dot replaces each byte that is not printable ASCII.
func printable(b []byte) string {
	text := make([]byte, 0, len(b))
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		text = append(text, c)
	}
	return string(text)
}

// header returns the header of a message, in a slice with capacity for all of it. word is the third field, whose
// meaning depends on the type. length is in bytes and includes the header.
func header(version uint8, t Type, word uint16, length int) []byte {
	p := append(make([]byte, 0, length), version, byte(t))
	p = binary.BigEndian.AppendUint16(p, word)
	return binary.BigEndian.AppendUint32(p, uint32(length))
}

// Query returns a Reset Query, which asks for all prefixes.
func Query(version uint8) []byte { return header(version, ResetQuery, 0, headerBytes) }

// QuerySince returns a Serial Query, which asks for the changes since a serial number.
func QuerySince(version uint8, session uint16, serial uint32) []byte {
	return binary.BigEndian.AppendUint32(header(version, SerialQuery, session, headerBytes+4), serial)
}

// Report returns an Error Report. about has the bytes of the erroneous message; at most 1024 of them are sent.
func Report(version uint8, code ErrorCode, about []byte, text string) []byte {
	about = about[:min(len(about), 1024)]
	p := header(version, ErrorReport, uint16(code), headerBytes+8+len(about)+len(text))
	p = append(binary.BigEndian.AppendUint32(p, uint32(len(about))), about...)
	return append(binary.BigEndian.AppendUint32(p, uint32(len(text))), text...)
}

// Append appends a message as a cache sends it. It is for tests. It appends nothing for other types.
func (m *Message) Append(p []byte) []byte {
	switch m.Type {
	case SerialNotify:
		return binary.BigEndian.AppendUint32(append(p, header(m.Version, m.Type, m.Session, 12)...), m.Serial)
	case CacheResponse, CacheReset:
		return append(p, header(m.Version, m.Type, m.Session, headerBytes)...)
	case IPv4Prefix, IPv6Prefix:
		a := m.Prefix.Addr().AsSlice()
		p = append(p, header(m.Version, m.Type, 0, 16+len(a))...)
		flags := byte(0)
		if m.Announce {
			flags = 1
		}
		p = append(append(p, flags, byte(m.Prefix.Bits()), m.MaxLength, 0), a...)
		return binary.BigEndian.AppendUint32(p, m.AS)
	case EndOfData:
		if m.Version == 0 {
			return binary.BigEndian.AppendUint32(append(p, header(0, m.Type, m.Session, endBytes0)...), m.Serial)
		}
		p = append(p, header(m.Version, m.Type, m.Session, endBytes1)...)
		p = binary.BigEndian.AppendUint32(p, m.Serial)
		for _, d := range []time.Duration{m.Refresh, m.Retry, m.Expire} {
			p = binary.BigEndian.AppendUint32(p, uint32(d/time.Second))
		}
		return p
	case ErrorReport:
		return append(p, Report(m.Version, m.Code, nil, m.Text)...)
	}
	return p
}
