package block

import (
	"encoding/binary"

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

// fixed is a column of integers (little-endian) or addresses.
type fixed struct {
	plain
	buf []byte
}

func (c *fixed) uint8(v uint8)    { c.buf = append(c.buf, v) }
func (c *fixed) uint16(v uint16)  { c.buf = binary.LittleEndian.AppendUint16(c.buf, v) }
func (c *fixed) uint32(v uint32)  { c.buf = binary.LittleEndian.AppendUint32(c.buf, v) }
func (c *fixed) uint64(v uint64)  { c.buf = binary.LittleEndian.AppendUint64(c.buf, v) }
func (c *fixed) addr(a flow.Addr) { c.buf = append(c.buf, a[:]...) }

func (c *fixed) bool(v bool) {
	n := uint8(0)
	if v {
		n = 1
	}
	c.buf = append(c.buf, n)
}

func (c *fixed) encode(out *output, _ int) { out.write(c.buf) }
func (c *fixed) reset()                    { c.buf = c.buf[:0] }

// nulls is the first part of every Nullable column: one byte for each row, 1 for NULL.
type nulls struct {
	plain
	marks []byte
}

// skip marks the rows before row as NULL and returns how many it marked.
func (c *nulls) skip(row int) int {
	n := row - len(c.marks)
	if n > 0 {
		c.marks = native.Repeat(c.marks, n, 1)
	}
	return n
}

// nullableFixed is a Nullable column of integers or addresses, each of width bytes.
type nullableFixed struct {
	nulls
	width  int
	values []byte
}

// begin makes row, which is not NULL, the next row. It is inlined, because most rows follow one that also has a value.
func (c *nullableFixed) begin(row int) {
	if len(c.marks) < row {
		c.fill(row)
	}
	c.marks = append(c.marks, 0)
}

// fill sets rows before row that have no value to NULL.
func (c *nullableFixed) fill(row int) {
	n := c.skip(row)
	c.values = native.Repeat(c.values, n*c.width, 0)
}

func (c *nullableFixed) uint8(row int, v uint8) {
	c.begin(row)
	c.values = append(c.values, v)
}

func (c *nullableFixed) uint16(row int, v uint16) {
	c.begin(row)
	c.values = binary.LittleEndian.AppendUint16(c.values, v)
}

func (c *nullableFixed) uint32(row int, v uint32) {
	c.begin(row)
	c.values = binary.LittleEndian.AppendUint32(c.values, v)
}

func (c *nullableFixed) uint64(row int, v uint64) {
	c.begin(row)
	c.values = binary.LittleEndian.AppendUint64(c.values, v)
}

func (c *nullableFixed) addr(row int, a flow.Addr) {
	c.begin(row)
	c.values = append(c.values, a[:]...)
}

func (c *nullableFixed) encode(out *output, rows int) {
	missing := rows - len(c.marks)
	out.write(c.marks)
	out.repeat(missing, 1)
	out.write(c.values)
	out.repeat(missing*c.width, 0)
}

func (c *nullableFixed) reset() {
	c.marks = c.marks[:0]
	c.values = c.values[:0]
}

// nullableString is a Nullable(String) column. An empty string is NULL.
type nullableString struct {
	nulls
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
	if n := c.skip(row); n > 0 {
		c.values = native.Repeat(c.values, n, 0)
	}
	c.marks = append(c.marks, 0)
	c.values = appendString(c.values, s)
}

func (c *nullableString) encode(out *output, rows int) {
	missing := rows - len(c.marks)
	out.write(c.marks)
	out.repeat(missing, 1)
	out.write(c.values)
	out.repeat(missing, 0)
}

func (c *nullableString) reset() {
	c.marks = c.marks[:0]
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
