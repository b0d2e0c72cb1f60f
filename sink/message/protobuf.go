package message

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// protobufEncoder encodes message Flow of flow.proto.
type protobufEncoder struct {
	want           uint32    // the optional columns that the table has
	constants      constants // the fields that are equal in all messages of an origin
	srcExt, dstExt [][]byte  // for each IP reference extension: the map entry's key, encoded
	ext, packed    []byte    // the Ext and the list that are being built, because their lengths precede them
}

func newProtobufEncoder(l Layout) *protobufEncoder {
	e := &protobufEncoder{want: l.wanted(), constants: newConstants(l, appendProtobufConstants)}
	for _, x := range l.IPRefExtensions {
		const key = 1
		e.srcExt = append(e.srcExt, appendTextField(nil, key, x))
		e.dstExt = append(e.dstExt, appendTextField(nil, key, x))
	}
	return e
}

// appendExtField appends a row's message Ext.
func (e *protobufEncoder) appendExtField(p []byte, field protowire.Number, r *enrich.Row) []byte {
	e.ext = e.appendExt(e.ext[:0], r)
	return append(appendHead(p, field, len(e.ext)), e.ext...)
}

// appendScopesField appends a row's scopes, including empty ones.
func appendScopesField(p []byte, field protowire.Number, s *enrich.Scopes) []byte {
	for _, scope := range s.Listed {
		scope = validText(scope)
		p = append(appendHead(p, field, len(scope)), scope...)
	}
	for _, as := range s.ASNumbers() {
		p = appendHead(p, field, 0)
		start := len(p)
		p = enrich.AppendASScope(p, as)
		p[start-1] = byte(len(p) - start)
	}
	return appendTextField(p, field, s.Community)
}

// appendPrefixField appends a prefix in CIDR notation.
func appendPrefixField(p []byte, field protowire.Number, prefix route.Prefix) []byte {
	p = appendHead(p, field, 0)
	start := len(p)
	p = appendPrefix(p, prefix)
	p[start-1] = byte(len(p) - start)
	return p
}

// appendTextsFieldOf appends a list of values as texts, which have less than 128 bytes each.
func appendTextsFieldOf[T any](p []byte, field protowire.Number, values []T, appendTo func([]byte, T) []byte) []byte {
	for _, v := range values {
		p = appendHead(p, field, 0)
		start := len(p)
		p = appendTo(p, v)
		p[start-1] = byte(len(p) - start)
	}
	return p
}

// appendFixed appends a list of 4-byte numbers, unless it is empty.
func appendFixed(p []byte, field protowire.Number, numbers []uint32) []byte {
	if len(numbers) == 0 {
		return p
	}
	p = appendHead(p, field, 4*len(numbers))
	for _, n := range numbers {
		p = binary.LittleEndian.AppendUint32(p, n)
	}
	return p
}

// appendField appends a number, unless it is 0, which is the default for readers.
func appendField(p []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return p
	}
	return protowire.AppendVarint(appendTag(p, field, protowire.VarintType), n)
}

// appendPresent appends a number of an optional field, even if it is 0.
func appendPresent[T uint32 | uint64](p []byte, field protowire.Number, n T) []byte {
	return protowire.AppendVarint(appendTag(p, field, protowire.VarintType), uint64(n))
}

// appendAddrField appends an address, even if it is unset.
func appendAddrField(p []byte, field protowire.Number, a *flow.Addr) []byte {
	return append(appendHead(p, field, len(a)), a[:]...)
}

// appendTextField appends a text, unless it is empty.
func appendTextField(p []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return p
	}
	s = validText(s)
	return append(appendHead(p, field, len(s)), s...)
}

// validText returns s as valid UTF-8, because readers refuse the whole message otherwise.
func validText(s string) string {
	if ascii(s) || utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// appendHead appends the tag and length of a field with n bytes: a text, an address, a list or a message.
func appendHead(p []byte, field protowire.Number, n int) []byte {
	p = appendTag(p, field, protowire.BytesType)
	if n < 0x80 {
		return append(p, byte(n))
	}
	return protowire.AppendVarint(p, uint64(n))
}

// appendTag appends a field's number and type. It is one byte for numbers below 16, else two.
func appendTag(p []byte, field protowire.Number, typ protowire.Type) []byte {
	tag := field<<3 | protowire.Number(typ)
	if tag < 0x80 {
		return append(p, byte(tag))
	}
	return append(p, byte(tag)|0x80, byte(tag>>7))
}

// appendPacked appends a list of numbers, unless it is empty.
func appendPacked[T uint8 | uint16 | uint32](e *protobufEncoder, p []byte, field protowire.Number, numbers []T) []byte {
	if len(numbers) == 0 {
		return p
	}
	e.packed = e.packed[:0]
	for _, n := range numbers {
		e.packed = protowire.AppendVarint(e.packed, uint64(n))
	}
	return append(appendHead(p, field, len(e.packed)), e.packed...)
}

// appendRefMap appends a map from extensions to refs. An entry is a message of a key, which is already encoded, and a
// value.
func appendRefMap(p []byte, field protowire.Number, keys [][]byte, refs []string) []byte {
	const value = 2
	for i := range min(len(keys), len(refs)) {
		if refs[i] == "" {
			continue
		}
		ref := validText(refs[i])
		p = appendHead(p, field, len(keys[i])+protowire.SizeTag(value)+protowire.SizeBytes(len(ref)))
		p = append(p, keys[i]...)
		p = append(appendHead(p, value, len(ref)), ref...)
	}
	return p
}
