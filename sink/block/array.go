package block

import "encoding/binary"

// offsets is the first part of every Array column: for each row, the end of its elements.
type offsets struct {
	ends []byte
	rows int
	n    uint64 // elements so far
}

// skip adds empty rows up to row.
func (c *offsets) skip(row int) {
	for ; c.rows < row; c.rows++ {
		c.ends = binary.LittleEndian.AppendUint64(c.ends, c.n)
	}
}

// end ends row after n more elements.
func (c *offsets) end(row, n int) {
	c.skip(row)
	c.n += uint64(n)
	c.skip(row + 1)
}

func (c *offsets) encode(out *output, rows int) {
	out.write(c.ends)
	if c.n == 0 {
		out.repeat(8*(rows-c.rows), 0)
		return
	}
	for range rows - c.rows {
		out.data = binary.LittleEndian.AppendUint64(out.data, c.n)
	}
}

func (c *offsets) reset() {
	c.ends = c.ends[:0]
	c.rows = 0
	c.n = 0
}

// stringArray is an Array(LowCardinality(String)) column.
type stringArray struct {
	offsets  offsets
	elements lowCardinality
}

// append adds row with the elements of list.
func (c *stringArray) append(row int, list []string) {
	for _, s := range list {
		c.elements.add(s)
	}
	c.set(row)
}

// set adds row with the elements that were added since the last set.
func (c *stringArray) set(row int) {
	c.offsets.end(row, len(c.elements.indexes)-int(c.offsets.n))
}

func (c *stringArray) prefix(dst []byte) []byte { return c.elements.prefix(dst) }

func (c *stringArray) encode(out *output, rows int) {
	c.offsets.encode(out, rows)
	if c.offsets.n > 0 {
		c.elements.encode(out, int(c.offsets.n))
	}
}

func (c *stringArray) reset() {
	c.offsets.reset()
	c.elements.reset()
}

// fixedArray is an Array column of integers.
type fixedArray struct {
	plain
	offsets  offsets
	elements fixed
}

func (c *fixedArray) encode(out *output, rows int) {
	c.offsets.encode(out, rows)
	out.write(c.elements.buf)
}

func (c *fixedArray) reset() {
	c.offsets.reset()
	c.elements.reset()
}
