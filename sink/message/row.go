package message

import (
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// rowEncoder encodes JSON objects for `INSERT INTO data_flow FORMAT JSONEachRow` that result in the same rows as
// sink/block: the columns by name and in their order, without those that are NULL, and ext with the keys that were
// sent. Times are Unix milliseconds, which the format accepts for any DateTime64(3); addresses are text, IPv4 without
// ::ffff:.
type rowEncoder struct {
	want           uint32    // the optional columns that the table has
	constants      constants // the columns that are equal in all rows of an origin
	srcExt, dstExt [][]byte  // keys of ext, for each IP reference extension
}

func newRowEncoder(l Layout) *rowEncoder {
	e := &rowEncoder{want: l.wanted(), constants: newConstants(l, appendJSONConstants)}
	for _, x := range l.IPRefExtensions {
		e.srcExt = append(e.srcExt, append(appendString(nil, "src_ip_"+x+"_ref"), ':'))
		e.dstExt = append(e.dstExt, append(appendString(nil, "dst_ip_"+x+"_ref"), ':'))
	}
	return e
}

// appendText appends a text, unless it is empty, which is NULL.
func appendText(p []byte, key, s string) []byte {
	if s == "" {
		return p
	}
	return appendString(append(p, key...), s)
}

func appendNumber[T uint8 | uint16 | uint32 | uint64](p []byte, key string, n T) []byte {
	return appendUint(append(p, key...), n)
}

// closing replaces the comma after the last element of a list, if there is one, by the closing bracket.
func closing(p []byte, bracket byte) []byte {
	if last := len(p) - 1; p[last] == ',' {
		p[last] = bracket
		return p
	}
	return append(p, bracket)
}

// appendScopes appends a row's scopes as a list of texts.
func appendScopes(p []byte, key string, s *enrich.Scopes) []byte {
	p = append(p, key...)
	for _, scope := range s.Listed {
		p = append(appendString(p, scope), ',')
	}
	for _, as := range s.ASNumbers() {
		p = append(enrich.AppendASScope(append(p, '"'), as), '"', ',')
	}
	if s.Community != "" {
		p = append(appendString(p, s.Community), ',')
	}
	return closing(p, ']')
}

func appendExtRefs(p []byte, keys [][]byte, refs []string) []byte {
	for i := range min(len(keys), len(refs)) {
		if refs[i] != "" {
			p = append(appendString(append(p, keys[i]...), refs[i]), ',')
		}
	}
	return p
}

// appendCommunities appends a list of communities (RFC 1997) and a comma, unless it is empty. names has well-known ones
// by their names.
func appendCommunities(p []byte, key string, communities []uint32, names bool) []byte {
	if names {
		return appendTextsOf(p, key, communities, route.AppendNamed)
	}
	return appendTextsOf(p, key, communities, route.AppendCommunity)
}

// appendPrefix appends a prefix in CIDR notation.
func appendPrefix(p []byte, prefix route.Prefix) []byte { return prefix.Netip().AppendTo(p) }

// appendTextsOf appends a list of values as texts that need no escapes, and a comma, unless it is empty.
func appendTextsOf[T any](p []byte, key string, values []T, appendTo func([]byte, T) []byte) []byte {
	if len(values) == 0 {
		return p
	}
	p = append(p, key...)
	for _, v := range values {
		p = append(appendTo(append(p, '"'), v), '"', ',')
	}
	return append(closing(p, ']'), ',')
}

// appendNumbers appends a list of numbers and a comma, unless it is empty.
func appendNumbers[T uint8 | uint16 | uint32](p []byte, key string, numbers []T) []byte {
	if len(numbers) == 0 {
		return p
	}
	p = append(p, key...)
	for _, n := range numbers {
		p = append(appendUint(p, n), ',')
	}
	return append(closing(p, ']'), ',')
}
