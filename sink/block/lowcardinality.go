package block

import "encoding/binary"

// The format of a LowCardinality column (ClickHouse, SerializationLowCardinality): a version, then for each block
// that has values the flags, the keys of the block's own dictionary, and an index into it for each row.
const (
	lcVersion        = 1      // shared dictionaries with additional keys
	lcAdditionalKeys = 1 << 9 // the block brings its own keys
	lcUpdate         = 1 << 10
	lcUint8          = 0 // indexes of 1, 2 or 4 bytes
	lcUint16         = 1
	lcUint32         = 2
)

// recentBits is the binary logarithm of how many strings a column finds without its map.
const recentBits = 9

// lowCardinality is a LowCardinality(String) column, or LowCardinality(Nullable(String)) where nullable is set.
type lowCardinality struct {
	nullable bool
	indexes  []uint32
	keys     dictionary
}

func (c *lowCardinality) add(s string) {
	c.indexes = append(c.indexes, c.keys.index(s))
}

// addNull adds a NULL: the first key of a nullable column stands for it.
func (c *lowCardinality) addNull() {
	c.indexes = append(c.indexes, 0)
}

// set adds row; the rows before it that were not set are NULL.
func (c *lowCardinality) set(row int, s string) {
	for len(c.indexes) < row {
		c.addNull()
	}
	c.add(s)
}

func (c *lowCardinality) prefix(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, lcVersion)
}

func (c *lowCardinality) encode(dst []byte, rows int) []byte {
	return c.keys.encode(dst, c.indexes, rows)
}

func (c *lowCardinality) reset() {
	c.indexes = c.indexes[:0]
	c.keys.reset()
	if c.nullable {
		c.keys.append(nil)
	}
}

// constant is a LowCardinality(String) column with the same value in every row.
type constant string

func (c constant) prefix(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, lcVersion)
}

func (c constant) encode(dst []byte, rows int) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, lcUint8|lcAdditionalKeys|lcUpdate)
	dst = binary.LittleEndian.AppendUint64(dst, 1)
	dst = appendString(dst, string(c))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(rows))
	return repeat(dst, rows, 0)
}

func (c constant) reset() {}

// dictionary are the different strings of a column.
type dictionary struct {
	n      uint32
	data   []byte // the keys, as the format wants them
	byText map[string]uint32
	recent [1 << recentBits]recentKey
}

// recentKey is a string that was looked up, and its index plus one; 0 is an empty slot.
type recentKey struct {
	text   string
	index1 uint32
}

// index returns the index of s, adding it if it is new. Strings mostly repeat, and then share their memory, so a
// comparison is a comparison of pointers.
func (d *dictionary) index(s string) uint32 {
	r := &d.recent[slot(s)]
	if r.index1 != 0 && r.text == s {
		return r.index1 - 1
	}
	i, ok := d.byText[s]
	if !ok {
		i = d.n
		d.data = appendString(d.data, s)
		d.n++
		d.byText[s] = i
	}
	*r = recentKey{s, i + 1}
	return i
}

// slot is where a string is kept in the recent keys. Names of interfaces, devices and AS differ at their end.
func slot(s string) uint {
	var end uint64
	if n := len(s); n >= 8 {
		end = uint64(s[n-8]) | uint64(s[n-7])<<8 | uint64(s[n-6])<<16 | uint64(s[n-5])<<24 |
			uint64(s[n-4])<<32 | uint64(s[n-3])<<40 | uint64(s[n-2])<<48 | uint64(s[n-1])<<56
	} else {
		for i := range n {
			end = end<<8 | uint64(s[i])
		}
	}
	return uint(end * 0x9e3779b97f4a7c15 >> (64 - recentBits)) // Fibonacci hashing
}

// append adds a key that is not looked up again.
func (d *dictionary) append(s []byte) uint32 {
	d.data = appendString(d.data, s)
	d.n++
	return d.n - 1
}

// encode appends the keys and the indexes; indexes that are missing to the number of rows are 0.
func (d *dictionary) encode(dst []byte, indexes []uint32, rows int) []byte {
	width := uint64(lcUint8)
	switch {
	case d.n > 1<<16:
		width = lcUint32
	case d.n > 1<<8:
		width = lcUint16
	}
	dst = binary.LittleEndian.AppendUint64(dst, width|lcAdditionalKeys|lcUpdate)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.n))
	dst = append(dst, d.data...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(rows))
	at := len(dst)
	dst = repeat(dst, rows<<width, 0)
	out := dst[at:]
	switch width {
	case lcUint8:
		for i, v := range indexes {
			out[i] = byte(v)
		}
	case lcUint16:
		for i, v := range indexes {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(v))
		}
	default:
		for i, v := range indexes {
			binary.LittleEndian.PutUint32(out[4*i:], v)
		}
	}
	return dst
}

func (d *dictionary) reset() {
	d.n = 0
	d.data = d.data[:0]
	if d.byText == nil {
		d.byText = map[string]uint32{}
	}
	clear(d.byText)
	clear(d.recent[:])
}
