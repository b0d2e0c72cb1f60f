package block

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
	"unsafe"

	"github.com/metranova/flow-collector/sink/native"
)

// The format of a LowCardinality column (ClickHouse, SerializationLowCardinality): a version; then, for each block with
// values, the flags, the keys of the block's own dictionary, and for each row an index into it.
const (
	lcVersion        = 1      // shared dictionaries with additional keys
	lcAdditionalKeys = 1 << 9 // the block has keys of its own
	lcUpdate         = 1 << 10
	lcUint8          = 0 // indexes of 1, 2 or 4 bytes
	lcUint16         = 1
	lcUint32         = 2
)

// lowCardinality is a LowCardinality(String) column, or LowCardinality(Nullable(String)) if nullable is set. A column
// is filled by addSame, or by the other methods, but not by both.
type lowCardinality struct {
	nullable bool
	indexes  []uint32
	same     int // rows after indexes that have the string of keys.last: see addSame
	keys     dictionary
}

func (c *lowCardinality) add(s string) {
	c.indexes = append(c.indexes, c.keys.index(s))
}

// addSame is add, optimized for strings that mostly equal the previous row's: these are counted. It is inlined.
func (c *lowCardinality) addSame(s string) {
	if last := &c.keys.last; unsafe.StringData(s) == last.text && uint32(len(s)) == last.length {
		c.same++
		return
	}
	c.addOther(s)
}

// addOther is addSame for another string than the previous row's.
func (c *lowCardinality) addOther(s string) {
	c.endSame()
	c.keys.last = seenKey{unsafe.StringData(s), uint32(len(s)), c.keys.index(s)}
	c.same = 1
}

// endSame adds the rows that were counted.
func (c *lowCardinality) endSame() {
	from := len(c.indexes)
	c.indexes = slices.Grow(c.indexes, c.same)[:from+c.same]
	for i := range c.indexes[from:] {
		c.indexes[from+i] = c.keys.last.index
	}
	c.same = 0
}

// setNullable is set for a string that may be empty, which is NULL. It is inlined, because without metadata there is
// nothing to set.
func (c *lowCardinality) setNullable(row int, s string) {
	if s != "" {
		c.set(row, s)
	}
}

// set adds row. Earlier rows without a value are NULL, which is the first key of a nullable column.
func (c *lowCardinality) set(row int, s string) { c.setIndex(row, c.keys.index(s)) }

// setIndex is set for the index of a key.
func (c *lowCardinality) setIndex(row int, i uint32) {
	for len(c.indexes) < row {
		c.indexes = append(c.indexes, 0)
	}
	c.indexes = append(c.indexes, i)
}

func (c *lowCardinality) prefix(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, lcVersion)
}

func (c *lowCardinality) encode(out *output, rows int) {
	if c.keys.n > 1 {
		c.endSame()
	}
	c.keys.encode(out, c.indexes, rows)
}

func (c *lowCardinality) reset() {
	c.indexes = c.indexes[:0]
	c.same = 0
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

func (c constant) encode(out *output, rows int) {
	out.data = binary.LittleEndian.AppendUint64(out.data, lcUint8|lcAdditionalKeys|lcUpdate)
	out.data = binary.LittleEndian.AppendUint64(out.data, 1)
	out.data = appendString(out.data, string(c))
	out.data = binary.LittleEndian.AppendUint64(out.data, uint64(rows))
	out.repeat(rows, 0)
}

func (c constant) reset() {}

// dictionary holds the different strings of a column. Equal strings mostly share their memory, as rows take them from
// the metadata. So a string is first looked up by its address, which needs neither its text nor a hash.
type dictionary struct {
	n      uint32
	data   []byte    // the keys, in the format's encoding
	texts  []textKey // by text: open addressing, at most half full
	found  int       // of texts
	seen   []seenKey // by address: the same
	filled int       // of seen
	last   seenKey   // of addSame
	empty  uint32    // one more than the index of the empty string; 0: there is none yet
	starts []uint32  // of the keys in data, for encodeTexts
	seed   maphash.Seed
	admit  func() bool // asked before a key is added; nil: all are
}

// textKey is a key that is looked up by its text. The zero value is an empty slot.
type textKey struct {
	hash       uint32
	index      uint32
	start, end uint32 // of the text in data; end is 0 in an empty slot only, as a length stands before each text
}

// seenKey is a string that was looked up: its address, its length and its index. It keeps the string's memory alive, so
// that the address is not reused. The zero value is an empty slot.
type seenKey struct {
	text   *byte
	length uint32
	index  uint32
}

// noString is a length that no string has: it is not the same as any other.
const noString = math.MaxUint32

// keptKeys is the number of keys up to which a dictionary's memory is kept for the next block. Clearing a larger one
// takes longer than making a new one, and memory must not stay allocated after a flood of different strings.
const keptKeys = 1 << 15

// minSeen is the initial size of both tables, a power of two.
const minSeen = 1 << 6

// index returns the index of s, adding it if it is new.
func (d *dictionary) index(s string) uint32 {
	text, length := unsafe.StringData(s), uint32(len(s))
	mask := uintptr(len(d.seen) - 1)
	for i := slotOf(text); ; i++ {
		k := &d.seen[i&mask]
		switch {
		case k.text == nil:
			return d.indexOfText(s)
		case k.text == text && k.length == length:
			return k.index
		}
	}
}

// slotOf returns where the search for a string starts. The constant is 2^64 divided by the golden ratio.
func slotOf(text *byte) uintptr {
	return uintptr(uint64(uintptr(unsafe.Pointer(text))) * 0x9e3779b97f4a7c15 >> 32)
}

// indexOfText returns the index of a string that was not seen at this address, and notes the address.
func (d *dictionary) indexOfText(s string) uint32 {
	if s == "" { // it has no address
		if d.empty == 0 {
			d.empty = d.intern(s) + 1
		}
		return d.empty - 1
	}
	i := d.intern(s)
	if i == refused {
		return i
	}
	if d.filled++; 2*d.filled > len(d.seen) {
		d.grow()
	}
	d.see(seenKey{unsafe.StringData(s), uint32(len(s)), i})
	return i
}

// refused is no index: the key was not admitted.
const refused = math.MaxUint32

// intern returns the index of a text, adding it if it is new and admitted.
func (d *dictionary) intern(s string) uint32 {
	hash := uint32(maphash.String(d.seed, s))
	mask := uint32(len(d.texts) - 1)
	i := hash & mask
	for ; d.texts[i].end != 0; i = (i + 1) & mask {
		if k := &d.texts[i]; k.hash == hash && string(d.data[k.start:k.end]) == s {
			return k.index
		}
	}
	if d.admit != nil && !d.admit() {
		return refused
	}
	d.data = appendString(d.data, s)
	d.texts[i] = textKey{hash, d.n, uint32(len(d.data) - len(s)), uint32(len(d.data))}
	d.n++
	if d.found++; 2*d.found > len(d.texts) {
		d.growTexts()
	}
	return d.n - 1
}

func (d *dictionary) growTexts() {
	old := d.texts
	d.texts = make([]textKey, 2*len(old))
	mask := uint32(len(d.texts) - 1)
	for _, key := range old {
		if key.end == 0 {
			continue
		}
		i := key.hash & mask
		for d.texts[i].end != 0 {
			i = (i + 1) & mask
		}
		d.texts[i] = key
	}
}

func (d *dictionary) see(key seenKey) {
	mask := uintptr(len(d.seen) - 1)
	i := slotOf(key.text) & mask
	for d.seen[i].text != nil {
		i = (i + 1) & mask
	}
	d.seen[i] = key
}

func (d *dictionary) grow() {
	old := d.seen
	d.seen = make([]seenKey, 2*len(old))
	for _, key := range old {
		if key.text != nil {
			d.see(key)
		}
	}
}

// append adds a key that will not be looked up.
func (d *dictionary) append(s []byte) uint32 {
	d.data = appendString(d.data, s)
	d.n++
	return d.n - 1
}

// encode writes the keys and the indexes. If there are fewer indexes than rows, the rest are 0.
func (d *dictionary) encode(out *output, indexes []uint32, rows int) {
	width := uint64(lcUint8)
	switch {
	case d.n > 1<<16:
		width = lcUint32
	case d.n > 1<<8:
		width = lcUint16
	}
	out.data = binary.LittleEndian.AppendUint64(out.data, width|lcAdditionalKeys|lcUpdate)
	out.data = binary.LittleEndian.AppendUint64(out.data, uint64(d.n))
	out.write(d.data)
	out.data = binary.LittleEndian.AppendUint64(out.data, uint64(rows))
	if d.n == 1 { // all indexes are 0
		out.repeat(rows, 0)
		return
	}
	at := len(out.data)
	out.data = native.Repeat(out.data, rows<<width, 0)
	to := out.data[at:]
	switch width {
	case lcUint8:
		for i, v := range indexes {
			to[i] = byte(v)
		}
	case lcUint16:
		for i, v := range indexes {
			binary.LittleEndian.PutUint16(to[2*i:], uint16(v))
		}
	default:
		for i, v := range indexes {
			binary.LittleEndian.PutUint32(to[4*i:], v)
		}
	}
}

// encodeTexts writes the key of each index as a String column has it.
func (d *dictionary) encodeTexts(out *output, indexes []uint32) {
	d.starts = d.starts[:0]
	for at := 0; at < len(d.data); {
		d.starts = append(d.starts, uint32(at))
		length, n := binary.Uvarint(d.data[at:])
		at += n + int(length)
	}
	d.starts = append(d.starts, uint32(len(d.data)))
	for _, i := range indexes {
		out.data = append(out.data, d.data[d.starts[i]:d.starts[i+1]]...)
	}
}

func (d *dictionary) reset() {
	d.n = 0
	d.data = d.data[:0]
	if d.texts == nil || len(d.texts) > 4*keptKeys {
		d.texts = make([]textKey, minSeen)
		d.seed = maphash.MakeSeed()
	}
	if d.seen == nil || len(d.seen) > 4*keptKeys {
		d.seen = make([]seenKey, minSeen)
	}
	clear(d.texts)
	clear(d.seen)
	d.filled, d.found, d.empty = 0, 0, 0
	d.last = seenKey{length: noString}
}
