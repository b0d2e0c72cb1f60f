package block

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/native"
)

// column is one column of a block. Columns that are empty in most rows are filled with NULL, or with empty arrays, only
// when a later row has a value or the block is encoded.
type column interface {
	// prefix appends what Native writes before a column's data; within a JSON column, before the data of all paths.
	prefix(dst []byte) []byte
	// encode writes the data of a number of rows.
	encode(out *output, rows int)
	reset()
}

// plain is embedded in columns whose type has no prefix.
type plain struct{}

func (plain) prefix(dst []byte) []byte { return dst }

// number is a value of fixed size. In memory it has the bytes of the format, which is little-endian: on big-endian
// processors the package does not compile.
type number interface {
	uint8 | uint16 | uint32 | uint64 | flow.Addr
}

// bytesOf returns the memory of values.
func bytesOf[T number](values []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*sizeOf[T]())
}

func sizeOf[T number]() int {
	var v T
	return int(unsafe.Sizeof(v))
}

// minRows is the number of rows for which a column gets memory at first.
const minRows = 64

// fixed is a column with a value in each row. Values beyond those of the block's rows are left from the block before.
type fixed[T number] struct {
	plain
	values []T
}

// set sets the value of the next row. It is inlined: a row has some twenty such columns.
func (c *fixed[T]) set(row int, v T) {
	if row >= len(c.values) {
		c.grow(row)
	}
	c.values[row] = v
}

// grow makes the column long enough for row. It is not inlined, so that set is.
//
//go:noinline
func (c *fixed[T]) grow(row int) {
	n := max(row+1, 2*len(c.values), minRows)
	c.values = slices.Grow(c.values, n-len(c.values))[:n]
}

func (c *fixed[T]) encode(out *output, rows int) { out.write(bytesOf(c.values[:rows])) }
func (c *fixed[T]) reset()                       {}

func oneIf(v bool) uint8 {
	if v {
		return 1
	}
	return 0
}

// nulls is the first part of every Nullable column: one byte for each row, 1 for NULL. Marks of a run of values are
// only written when the run ends, because most columns have a value in every row, or in none. So after the rows with
// marks there are some that have values.
type nulls struct {
	plain
	marks []byte
}

// skip writes the marks of the rows up to row. Those from filled on are NULL.
func (c *nulls) skip(filled, row int) {
	c.marks = native.Repeat(c.marks, filled-len(c.marks), 0)
	c.marks = native.Repeat(c.marks, row-filled, 1)
}

func (c *nulls) encode(out *output, filled, rows int) {
	out.write(c.marks)
	out.repeat(filled-len(c.marks), 0)
	out.repeat(rows-filled, 1)
}

// nullable is a Nullable column of numbers or addresses.
type nullable[T number] struct {
	nulls
	values []T // of the rows up to the latest that is not NULL
}

// set sets the value of row. The rows since the latest value are NULL. It is inlined, because most rows follow one that
// also has a value.
func (c *nullable[T]) set(row int, v T) {
	if row != len(c.values) {
		c.skipTo(row)
	}
	c.values = append(c.values, v)
}

func (c *nullable[T]) skipTo(row int) {
	filled := len(c.values)
	c.skip(filled, row)
	c.values = slices.Grow(c.values, row-filled)[:row]
	clear(c.values[filled:])
}

func (c *nullable[T]) encode(out *output, rows int) {
	c.nulls.encode(out, len(c.values), rows)
	out.write(bytesOf(c.values))
	out.repeat((rows-len(c.values))*sizeOf[T](), 0)
}

func (c *nullable[T]) reset() {
	c.marks = c.marks[:0]
	c.values = c.values[:0]
}

// nullableString is a Nullable(String) column. An empty string is NULL.
type nullableString struct {
	nulls
	filled int // rows up to the latest that is not NULL
	values []byte
}

// set adds row; earlier rows without a value are NULL. It is inlined, because without metadata there is nothing to set.
func (c *nullableString) set(row int, s string) {
	if s != "" {
		c.text(row, s)
	}
}

// text is set for a string that is not empty.
func (c *nullableString) text(row int, s string) {
	if row > c.filled {
		c.skip(c.filled, row)
		c.values = native.Repeat(c.values, row-c.filled, 0)
	}
	c.filled = row + 1
	c.values = appendString(c.values, s)
}

func (c *nullableString) encode(out *output, rows int) {
	c.nulls.encode(out, c.filled, rows)
	out.write(c.values)
	out.repeat(rows-c.filled, 0)
}

func (c *nullableString) reset() {
	c.marks = c.marks[:0]
	c.filled = 0
	c.values = c.values[:0]
}

// appendString appends the length of s and s.
func appendString[T string | []byte](dst []byte, s T) []byte {
	if len(s) < 0x80 {
		dst = append(dst, byte(len(s)))
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	return append(dst, s...)
}
