package block

import (
	"encoding/binary"
	"slices"
)

// Types as shared data encodes them (ClickHouse, "Data types binary encoding").
const (
	typeInt64    = 0x0a
	typeString   = 0x15
	typeArray    = 0x1e
	typeNullable = 0x23
)

// sharedData holds the paths of a JSON column that have no column of their own: for each row an array of names and
// values, sorted by name. Each value begins with its type. The types are those that ClickHouse infers for numbers,
// strings and arrays in JSON text, so that a path reads the same whichever way it was written.
type sharedData struct {
	skipped []string // paths that the table does not keep (SKIP)
	offsets offsets
	inRow   int // paths of the current row
	names   []byte
	values  []byte
	scratch []byte // one value, which is encoded first because its length precedes it
}

func (c *sharedData) number(name string, v uint64) {
	c.scratch = binary.LittleEndian.AppendUint64(append(c.scratch[:0], typeInt64), v)
	c.add(name)
}

func (c *sharedData) text(name, s string) {
	c.scratch = appendString(append(c.scratch[:0], typeString), s)
	c.add(name)
}

func (c *sharedData) bytes(name string, s []byte) {
	c.scratch = appendString(append(c.scratch[:0], typeString), s)
	c.add(name)
}

// beginArray begins an array. n elements and endArray must follow.
func (c *sharedData) beginArray(element byte, n int) {
	c.scratch = append(c.scratch[:0], typeArray, typeNullable, element)
	c.scratch = binary.AppendUvarint(c.scratch, uint64(n))
}

func (c *sharedData) addNumber(v uint64) {
	c.scratch = binary.LittleEndian.AppendUint64(append(c.scratch, 0), v)
}

func (c *sharedData) addText(s []byte) {
	c.scratch = appendString(append(c.scratch, 0), s)
}

func (c *sharedData) endArray(name string) { c.add(name) }

// add adds the value in scratch to the current row.
func (c *sharedData) add(name string) {
	if slices.Contains(c.skipped, name) {
		return
	}
	c.names = appendString(c.names, name)
	c.values = appendString(c.values, c.scratch)
	c.inRow++
}

// end ends the current row.
func (c *sharedData) end(row int) {
	if c.inRow > 0 {
		c.offsets.end(row, c.inRow)
		c.inRow = 0
	}
}

func (c *sharedData) encode(out *output, rows int) {
	c.offsets.encode(out, rows)
	out.write(c.names)
	out.write(c.values)
}

func (c *sharedData) reset() {
	c.offsets.reset()
	c.inRow = 0
	c.names = c.names[:0]
	c.values = c.values[:0]
}
