package record

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"
)

// AppendRowBinary appends the row in ClickHouse's RowBinary format, in the order of ColumnNames. ext is sent as text
// (the insert needs input_format_binary_read_json_as_string). ref and hash are for versioned tables only.
func (t *Table) AppendRowBinary(b []byte, row Row, ref string, hash Hash) []byte {
	if t.Versioned {
		b = AppendText(b, ref)
		b = binary.AppendUvarint(b, 2*uint64(len(hash)))
		b = hex.AppendEncode(b, hash[:])
	}
	for i := range t.Columns {
		b = t.Columns[i].appendRowBinary(b, row[i])
	}
	return b
}

// AppendText appends a RowBinary String.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (c *Column) appendRowBinary(b []byte, v any) []byte {
	switch c.Kind {
	case Text, JSON:
		return AppendText(b, v.(string))
	case NullText, Reference:
		return appendNullText(b, v)
	case Float:
		if v == nil {
			return append(b, 1)
		}
		return binary.LittleEndian.AppendUint64(append(b, 0), math.Float64bits(v.(float64)))
	case Uint16:
		return binary.LittleEndian.AppendUint16(b, uint16(v.(uint64)))
	case Uint32:
		return binary.LittleEndian.AppendUint32(b, uint32(v.(uint64)))
	case NullUint32:
		if v == nil {
			return append(b, 1)
		}
		return binary.LittleEndian.AppendUint32(append(b, 0), uint32(v.(uint64)))
	case NullUint64:
		if v == nil {
			return append(b, 1)
		}
		return binary.LittleEndian.AppendUint64(append(b, 0), v.(uint64))
	case Bool:
		if v.(bool) {
			return append(b, 1)
		}
		return append(b, 0)
	case Texts:
		return appendTexts(binary.AppendUvarint(b, uint64(len(v.([]string)))), v.([]string))
	case NullTexts:
		texts := v.([]string)
		b = binary.AppendUvarint(b, uint64(len(texts)))
		for _, s := range texts {
			b = AppendText(append(b, 0), s)
		}
		return b
	case Pair:
		return appendTexts(b, v.([]string))
	case Addresses:
		addresses := v.([]string)
		b = binary.AppendUvarint(b, uint64(len(addresses)))
		for _, a := range addresses {
			b = appendIPv6(b, a)
		}
		return b
	case NullIPv4:
		if v == nil {
			return append(b, 1)
		}
		return appendIPv4(append(b, 0), v.(string))
	case NullIPv6:
		if v == nil {
			return append(b, 1)
		}
		return appendIPv6(append(b, 0), v.(string))
	case Subnets:
		subnets := v.([]Subnet)
		b = binary.AppendUvarint(b, uint64(len(subnets)))
		for _, s := range subnets {
			b = append(appendIPv6(b, s.Address), s.Bits)
		}
		return b
	case Date:
		day, _ := time.Parse(time.DateOnly, v.(string)) // valid, as Coerce made it
		return binary.LittleEndian.AppendUint16(b, uint16(day.Unix()/86400))
	case ReferenceList:
		refs, _ := v.([]any)
		b = binary.AppendUvarint(b, uint64(len(refs)))
		for _, ref := range refs {
			b = appendNullText(b, ref)
		}
		return b
	}
	panic("column kind without a RowBinary form")
}

func appendNullText(b []byte, v any) []byte {
	if v == nil {
		return append(b, 1)
	}
	return AppendText(append(b, 0), v.(string))
}

func appendTexts(b []byte, texts []string) []byte {
	for _, s := range texts {
		b = AppendText(b, s)
	}
	return b
}

// appendIPv6 appends an address that Coerce has checked; IPv4 is mapped.
func appendIPv6(b []byte, address string) []byte {
	a, err := parseAddress(address)
	if err != nil {
		return append(b, make([]byte, 16)...)
	}
	a16 := a.As16()
	return append(b, a16[:]...)
}

// appendIPv4 appends an address that Coerce has checked; in RowBinary it is a little-endian number.
func appendIPv4(b []byte, address string) []byte {
	a, err := parseAddress(address)
	if err != nil {
		return append(b, 0, 0, 0, 0)
	}
	a4 := a.Unmap().As4()
	return append(b, a4[3], a4[2], a4[1], a4[0])
}
