package message

import (
	"strconv"
	"unicode/utf8"

	"github.com/metranova/flow-collector/decoder/flow"
)

// appendString appends s as a JSON string (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if plain(s) {
		return append(append(dst, s...), '"')
	}
	return append(appendEscaped(dst, s), '"')
}

// The same byte eight times.
const (
	ones   = 0x0101010101010101
	high   = 0x80 * ones
	spaces = ' ' * ones
	quotes = '"' * ones
	slants = '\\' * ones
)

// plain reports whether s needs no escaping in a JSON string: ASCII only, no quotes, backslashes or control characters.
// Nearly all texts of metadata are like that. So eight bytes are checked at a time; the last check covers the last
// eight bytes, even if some were checked before.
func plain(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	special := escaped(word(s[len(s)-8:]))
	for ; len(s) > 8; s = s[8:] {
		special |= escaped(word(s))
	}
	return special == 0
}

// escaped has bits set if any byte of w needs escaping or is not ASCII. If no byte is less than what is subtracted from
// it, nothing is borrowed and the highest bit of each byte stays 0.
func escaped(w uint64) uint64 {
	return (w | (w - spaces) | ((w ^ quotes) - ones) | ((w ^ slants) - ones)) & high
}

// ascii reports whether s is ASCII only.
func ascii(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	all := word(s[len(s)-8:])
	for ; len(s) > 8; s = s[8:] {
		all |= word(s)
	}
	return all&high == 0
}

// word returns the first eight bytes of s. The compiler makes it one load.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for _, r := range s { // invalid UTF-8 yields U+FFFD
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendAddr appends an address: IPv4 and IPv4-mapped ones as IPv4, an unset one as "::".
func appendAddr(dst []byte, a *flow.Addr) []byte {
	if a.Is4() {
		return appendAddr4(dst, a)
	}
	return a.Netip().AppendTo(dst)
}

func appendAddr4(dst []byte, a *flow.Addr) []byte {
	dst = append(appendUint8(dst, a[12]), '.')
	dst = append(appendUint8(dst, a[13]), '.')
	dst = append(appendUint8(dst, a[14]), '.')
	return appendUint8(dst, a[15])
}

func appendUint8(dst []byte, n uint8) []byte {
	switch {
	case n >= 100:
		return append(dst, '0'+n/100, '0'+n/10%10, '0'+n%10)
	case n >= 10:
		return append(dst, '0'+n/10, '0'+n%10)
	}
	return append(dst, '0'+n)
}

func appendUint[T uint8 | uint16 | uint32 | uint64](dst []byte, n T) []byte {
	return strconv.AppendUint(dst, uint64(n), 10)
}
