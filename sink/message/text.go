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

// plain reports whether s stands in a JSON string as it is. Texts of metadata nearly always do, so all of it is looked at
// without a branch for each byte.
func plain(s string) bool {
	var special bool
	for i := range len(s) {
		c := s[i]
		special = special || c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return !special
}

func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for _, r := range s { // yields U+FFFD for what is not UTF-8
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

// appendAddr appends an address, IPv4 and mapped ones as IPv4, "::" for one that is not set.
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
