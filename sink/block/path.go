package block

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// path is the name of a path of ext and whether the table declares its type.
type path struct {
	name  string
	typed bool
}

func (p *path) declare(name, typ string) { *p = path{name, typ != ""} }

// numberPath is a path of type Nullable(UInt8), Nullable(UInt32) or Nullable(Int64).
type numberPath[T uint8 | uint32 | uint64] struct {
	path
	nullable[T]
}

func (p *numberPath[T]) set(x *ext, row int, v T) {
	if !p.typed {
		x.shared.number(p.name, uint64(v))
		return
	}
	p.nullable.set(row, v)
}

// arrayPath is a path of an Array of integers.
type arrayPath[T uint8 | uint16 | uint32] struct {
	path
	numberArray[T]
}

// set sets row to values. An empty array is the same as an absent path.
func (p *arrayPath[T]) set(x *ext, row int, values []T) {
	if len(values) == 0 {
		return
	}
	if !p.typed {
		x.shared.beginArray(typeInt64, len(values))
		for _, v := range values {
			x.shared.addNumber(uint64(v))
		}
		x.shared.endArray(p.name)
		return
	}
	p.numberArray.set(row, values)
	x.noteElements(p.offsets.n)
}

// textPath is a path of type LowCardinality(Nullable(String)).
type textPath struct {
	path
	lowCardinality
}

func (p *textPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.nullable = true
}

func (p *textPath) set(x *ext, row int, s string) {
	if !p.typed {
		x.shared.text(p.name, s)
		return
	}
	if i := p.keys.index(s); i != refused {
		p.setIndex(row, i)
	}
}

// refPath is a path of type Nullable(String).
type refPath struct {
	path
	nullableString
}

func (p *refPath) set(x *ext, row int, ref string) {
	if !p.typed {
		x.shared.text(p.name, ref)
		return
	}
	p.nullableString.set(row, ref)
}

// addrPath is a path of type Nullable(IPv6).
type addrPath struct {
	path
	nullable[flow.Addr]
}

func (p *addrPath) set(x *ext, row int, a flow.Addr) {
	if !p.typed {
		var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
		x.shared.bytes(p.name, a.Netip().AppendTo(text[:0]))
		return
	}
	p.nullable.set(row, a)
}

// stringsPath is a path of type Array(String) or Array(LowCardinality(String)).
type stringsPath struct {
	path
	stringArray
}

func (p *stringsPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.plain = typ == "Array(String)"
}

// textsPath has values written as text. A value is formatted once for each block.
type textsPath[T comparable] struct {
	stringsPath
	byValue map[T]uint32 // value: index of its key in the dictionary
	text    []byte       // buffer for one value
}

func (p *textsPath[T]) set(x *ext, row int, values []T, appendTo func([]byte, T) []byte) {
	if len(values) == 0 {
		return
	}
	if !p.typed {
		x.shared.beginArray(typeString, len(values))
		for _, v := range values {
			p.text = appendTo(p.text[:0], v)
			x.shared.addText(p.text)
		}
		x.shared.endArray(p.name)
		return
	}
	for _, v := range values {
		i, ok := p.byValue[v]
		if !ok {
			p.text = appendTo(p.text[:0], v)
			i = p.elements.keys.append(p.text)
			p.byValue[v] = i
		}
		p.elements.indexes = append(p.elements.indexes, i)
	}
	p.stringArray.set(row)
	x.noteElements(p.size())
	if len(p.byValue) >= fullKeys {
		x.full = true
	}
}

func (p *textsPath[T]) reset() {
	p.stringArray.reset()
	if p.byValue == nil || len(p.byValue) > keptKeys {
		p.byValue = map[T]uint32{}
	}
	clear(p.byValue)
}

// communityPath has communities (RFC 1997) as "AS:value", or well-known ones by their names. A route has about ten of
// them, and the look-up of their keys is most of the cost of a row.
type communityPath struct {
	stringsPath
	keys numberKeys
	ours bool   // all are of the routing table, so that none counts for Texts
	text []byte // buffer for one community
}

func (p *communityPath) set(x *ext, row int, communities []uint32, names bool) {
	if len(communities) == 0 {
		return
	}
	if !p.typed {
		x.shared.beginArray(typeString, len(communities))
		for _, c := range communities {
			p.text = appendCommunity(p.text[:0], namedCommunity(c, names))
			x.shared.addText(p.text)
		}
		x.shared.endArray(p.name)
		return
	}
	from := len(p.elements.indexes)
	p.elements.indexes = slices.Grow(p.elements.indexes, len(communities))[:from+len(communities)]
	to := p.elements.indexes[from:]
	admitted := p.ours
	for i, c := range communities {
		v := namedCommunity(c, names)
		key, known := p.keys.find(v)
		if !known {
			if !admitted && !x.admits() {
				p.elements.indexes = p.elements.indexes[:from]
				return
			}
			admitted = true
			key = p.add(x, v)
		}
		to[i] = key
	}
	p.offsets.end(row, len(communities))
	x.noteElements(p.size())
	if p.keys.n >= fullKeys {
		x.full = true
	}
}

// add adds a community that the block does not have.
func (p *communityPath) add(x *ext, v uint64) (key uint32) {
	if !p.ours {
		x.texts.take()
	}
	p.text = appendCommunity(p.text[:0], v)
	key = p.elements.keys.append(p.text)
	p.keys.add(v, key)
	return key
}

func (p *communityPath) reset() {
	p.stringArray.reset()
	p.keys.reset()
}

// byName marks a community that is written by its name. A block can have rows with names and rows without.
const byName = 1 << 32

// namedCommunity returns a community, with the mark byName if names is true.
func namedCommunity(c uint32, names bool) uint64 {
	if names && (c == 0 || c >= route.FirstWellKnown) && route.WellKnown(c) != "" {
		return uint64(c) | byName
	}
	return uint64(c)
}

func appendCommunity(text []byte, v uint64) []byte {
	if v&byName != 0 {
		return append(text, route.WellKnown(uint32(v))...)
	}
	return route.AppendCommunity(text, uint32(v))
}

// prefixPath is a path of type LowCardinality(Nullable(String)) that has prefixes. A prefix is formatted once for each
// block.
type prefixPath struct {
	path
	lowCardinality
	byValue map[route.Prefix]uint32 // prefix: index of its key in the dictionary
	text    []byte                  // buffer for one prefix
}

func (p *prefixPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.nullable = true
}

func (p *prefixPath) set(x *ext, row int, v route.Prefix) {
	if !p.typed {
		p.text = v.Netip().AppendTo(p.text[:0])
		x.shared.bytes(p.name, p.text)
		return
	}
	i, known := p.byValue[v]
	if !known {
		p.text = v.Netip().AppendTo(p.text[:0])
		i = p.keys.append(p.text)
		p.byValue[v] = i
		if len(p.byValue) >= fullKeys {
			x.full = true
		}
	}
	for len(p.indexes) < row {
		p.indexes = append(p.indexes, 0)
	}
	p.indexes = append(p.indexes, i)
}

func (p *prefixPath) reset() {
	p.lowCardinality.reset()
	if p.byValue == nil || len(p.byValue) > keptKeys {
		p.byValue = map[route.Prefix]uint32{}
	}
	clear(p.byValue)
}

// extendedPath has extended communities (RFC 4360) as "RT:AS:value", "SoO:AS:value" or "type:subtype:value".
type extendedPath struct{ textsPath[uint64] }

func (p *extendedPath) set(x *ext, row int, values []uint64) {
	p.textsPath.set(x, row, values, route.AppendExtended)
}

// largePath has large communities (RFC 8092) as "AS:value:value".
type largePath struct{ textsPath[route.Large] }

func (p *largePath) set(x *ext, row int, values []route.Large) {
	p.textsPath.set(x, row, values, route.AppendLarge)
}
