package record

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// Hash is the md5 of a row's canonical text. It detects changes and has no security purpose.
type Hash [md5.Size]byte

// Hash hashes the row; buf is scratch space, returned for the next call.
func (t *Table) Hash(row Row, buf []byte) (Hash, []byte) {
	buf = t.AppendCanonical(buf[:0], row)
	return md5.Sum(buf), buf
}

// AppendCanonical appends the canonical text of a row: compact JSON in UTF-8 with the columns sorted by name; id and
// ext as text; with references, without ref and hash. Rows with equal texts are the same version of a record.
func (t *Table) AppendCanonical(b []byte, row Row) []byte {
	b = append(b, '{')
	for n, i := range t.sorted {
		if n > 0 {
			b = append(b, ',')
		}
		c := &t.Columns[i]
		b = append(b, '"')
		b = append(b, c.Name...)
		b = append(b, `":`...)
		if c.Name == "id" {
			b = appendString(b, text(row[i]))
			continue
		}
		b = appendJSON(b, row[i])
	}
	return append(b, '}')
}

// appendJSON appends any value that a row, or a record's ext, can hold.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case Word: // in ext
		if v.IsText {
			return appendString(b, v.Text)
		}
		return strconv.AppendBool(b, v.Value)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		return appendFloat(b, v)
	case json.Number:
		return append(b, v...)
	case time.Time:
		return appendString(b, v.Format(time.DateOnly))
	case []string:
		return appendList(b, v, appendString)
	case []any:
		return appendList(b, v, appendJSON)
	case []Subnet:
		return appendList(b, v, func(b []byte, s Subnet) []byte {
			b = append(appendString(append(b, '['), s.Address), ',')
			return append(strconv.AppendUint(b, uint64(s.Bits), 10), ']')
		})
	case map[string]any:
		b = append(b, '{')
		for n, k := range slices.Sorted(maps.Keys(v)) {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k), ':')
			b = appendJSON(b, v[k])
		}
		return append(b, '}')
	default:
		return appendString(b, fmt.Sprint(v))
	}
}

func appendList[T any](b []byte, l []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, e := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, e)
	}
	return append(b, ']')
}

// appendFloat writes the shortest text that parses to f, always with a point or an exponent: 47 is 47.0.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e16) {
		start := len(b)
		b = strconv.AppendFloat(b, f, 'e', -1, 64)
		return trimExponent(b, start)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !slices.Contains(b[start:], '.') {
		b = append(b, ".0"...)
	}
	return b
}

// trimExponent turns e+16 into e16 and e-07 into e-7.
func trimExponent(b []byte, start int) []byte {
	e := start + slices.Index(b[start:], 'e')
	sign, digits := b[e+1], b[e+2:]
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	out := b[:e+1]
	if sign == '-' {
		out = append(out, '-')
	}
	return append(out, digits...)
}

const hexDigits = "0123456789abcdef"

// appendString escapes only what JSON requires.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}
