package block

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/enrich"
)

// offsets is the first part of every Array column: for each row, the end of its elements.
type offsets struct {
	ends []uint64
	n    uint64 // elements so far
}

// skip adds empty rows up to row.
func (c *offsets) skip(row int) {
	for len(c.ends) < row {
		c.ends = append(c.ends, c.n)
	}
}

// end ends row after n more elements.
func (c *offsets) end(row, n int) {
	if len(c.ends) < row {
		c.skip(row)
	}
	c.n += uint64(n)
	c.ends = append(c.ends, c.n)
}

func (c *offsets) encode(out *output, rows int) {
	out.write(bytesOf(c.ends))
	missing := rows - len(c.ends)
	if c.n == 0 {
		out.repeat(8*missing, 0)
		return
	}
	for range missing {
		out.data = binary.LittleEndian.AppendUint64(out.data, c.n)
	}
}

func (c *offsets) reset() {
	c.ends = c.ends[:0]
	c.n = 0
}

// stringArray is an Array(LowCardinality(String)) column, or Array(String) if plain is set.
type stringArray struct {
	plain    bool
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

// size returns the number of elements by which a block's memory is limited. A text of its own takes more than an
// index into a dictionary.
func (c *stringArray) size() uint64 {
	if c.plain {
		return 2 * c.offsets.n
	}
	return c.offsets.n
}

func (c *stringArray) prefix(dst []byte) []byte {
	if c.plain {
		return dst
	}
	return c.elements.prefix(dst)
}

func (c *stringArray) encode(out *output, rows int) {
	c.offsets.encode(out, rows)
	switch {
	case c.offsets.n == 0:
	case c.plain:
		c.elements.keys.encodeTexts(out, c.elements.indexes)
	default:
		c.elements.encode(out, int(c.offsets.n))
	}
}

func (c *stringArray) reset() {
	c.offsets.reset()
	c.elements.reset()
}

// scopeArray is the column of policy scopes. Most scopes are of AS numbers: their keys are found by the number, and a
// text is made once for each block.
type scopeArray struct {
	stringArray
	byAS numberKeys
	text []byte // buffer for one scope
}

// append adds row.
func (c *scopeArray) append(row int, s *enrich.Scopes) {
	for _, scope := range s.Listed {
		c.elements.add(scope)
	}
	for _, as := range s.ASNumbers() {
		c.addAS(as)
	}
	if s.Community != "" {
		c.elements.add(s.Community)
	}
	c.set(row)
}

// addAS adds the scope of an AS. A scope that is also listed for some rows may be two keys: the engine makes one of
// them.
func (c *scopeArray) addAS(as uint32) {
	i, known := c.byAS.find(uint64(as))
	if !known {
		c.text = enrich.AppendASScope(c.text[:0], as)
		i = c.elements.keys.append(c.text)
		c.byAS.add(uint64(as), i)
	}
	c.elements.indexes = append(c.elements.indexes, i)
}

func (c *scopeArray) reset() {
	c.stringArray.reset()
	c.byAS.reset()
}

// numberArray is an Array column of integers.
type numberArray[T uint8 | uint16 | uint32] struct {
	plain
	offsets  offsets
	elements []T
}

// set sets the elements of row.
func (c *numberArray[T]) set(row int, values []T) {
	c.elements = append(c.elements, values...)
	c.offsets.end(row, len(values))
}

func (c *numberArray[T]) encode(out *output, rows int) {
	c.offsets.encode(out, rows)
	out.write(bytesOf(c.elements))
}

func (c *numberArray[T]) reset() {
	c.offsets.reset()
	c.elements = c.elements[:0]
}
