package block

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// path is the name of a path of ext and whether the table declares its type.
type path struct {
	name  string
	typed bool
}

func (p *path) declare(name, typ string) { *p = path{name, typ != ""} }

// numberPath is a path of type Nullable(UInt8) or Nullable(UInt32).
type numberPath struct {
	path
	nullableFixed
}

func (p *numberPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.width = 4
	if typ == "Nullable(UInt8)" {
		p.width = 1
	}
}

func (p *numberPath) set(x *ext, row int, v uint32) {
	switch {
	case !p.typed:
		x.shared.number(p.name, uint64(v))
	case p.width == 1:
		p.uint8(row, uint8(v))
	default:
		p.uint32(row, v)
	}
}

// longPath is a path of type Nullable(Int64).
type longPath struct {
	path
	nullableFixed
}

func (p *longPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.width = 8
}

func (p *longPath) set(x *ext, row int, v int64) {
	if !p.typed {
		x.shared.number(p.name, uint64(v))
		return
	}
	p.uint64(row, uint64(v))
}

// arrayPath is a path of an Array of integers.
type arrayPath struct {
	path
	fixedArray
}

// setArray sets row of p to values. T must be the path's element type. An empty array is the same as an absent path.
func setArray[T uint8 | uint16 | uint32](x *ext, p *arrayPath, row int, values []T) {
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
	for _, v := range values {
		switch v := any(v).(type) {
		case uint8:
			p.elements.uint8(v)
		case uint16:
			p.elements.uint16(v)
		case uint32:
			p.elements.uint32(v)
		}
	}
	p.offsets.end(row, len(values))
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
	p.lowCardinality.set(row, s)
}

// addrPath is a path of type Nullable(IPv6).
type addrPath struct {
	path
	nullableFixed
}

func (p *addrPath) declare(name, typ string) {
	p.path.declare(name, typ)
	p.width = len(flow.Addr{})
}

func (p *addrPath) set(x *ext, row int, a flow.Addr) {
	if !p.typed {
		var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
		x.shared.bytes(p.name, a.Netip().AppendTo(text[:0]))
		return
	}
	p.addr(row, a)
}

// textsPath is a path of type Array(LowCardinality(String)) whose texts stand for values. The texts of values that are
// in the block already are not made again.
type textsPath[T comparable] struct {
	path
	stringArray
	byValue map[T]uint32 // value: index of the dictionary's key
	text    []byte       // of one value
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
}

func (p *textsPath[T]) reset() {
	p.stringArray.reset()
	if p.byValue == nil || len(p.byValue) > keptKeys {
		p.byValue = map[T]uint32{}
	}
	clear(p.byValue)
}

// full reports whether the block has so many values that it must be encoded.
func (p *textsPath[T]) full() bool { return len(p.byValue) >= fullKeys || p.offsets.n >= fullElements }

// communityPath has communities (RFC 1997) as "AS:value".
type communityPath struct{ textsPath[uint32] }

func (p *communityPath) set(x *ext, row int, values []uint32) {
	p.textsPath.set(x, row, values, route.AppendCommunity)
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
