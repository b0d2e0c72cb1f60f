// Package native cuts blocks of ClickHouse's Native format (revision 0, as an HTTP insert has it) by rows, and prints
// their rows for people. It also provides a form for memory in which long runs of one byte are left out (Packed). It
// reads what package block writes, by the types that a block names, so also blocks that an older version left on disk.
// What it reads is not trusted. Of this project it imports sink/sqltext alone.
package native

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errShort is for blocks that end before their rows do.
var errShort = errors.New("the block ends early")

// Rows returns the number of rows of an encoded block.
func Rows(data []byte) (int, error) {
	r := reader{b: data}
	_, rows, err := r.header()
	return rows, err
}

// Cut returns the rows from from up to and without to of an encoded block, as a block of its own, in new memory. Of the
// keys of LowCardinality columns it has those that its rows use.
func Cut(data []byte, from, to int) ([]byte, error) {
	r := reader{b: data}
	columns, rows, err := r.header()
	if err != nil {
		return nil, err
	}
	if from < 0 || from > to || to > rows {
		return nil, fmt.Errorf("rows %d to %d of a block of %d", from, to, rows)
	}
	c := cutter{reader: r, part: part{rows, from, to}}
	c.dst = binary.AppendUvarint(c.dst, uint64(columns))
	c.dst = binary.AppendUvarint(c.dst, uint64(to-from))
	for range columns {
		if err := c.column(); err != nil {
			return nil, err
		}
	}
	if left := len(c.b) - c.at; left > 0 {
		return nil, fmt.Errorf("%d bytes after the block", left)
	}
	return c.dst, nil
}

// part says which of a column's values are wanted: those from from up to and without to, of n.
type part struct{ n, from, to int }

// cutter copies a part of every column from its reader to dst.
type cutter struct {
	reader
	dst  []byte
	part part
}

func (c *cutter) column() error {
	start := c.at
	name, t, err := c.columnHeader()
	if err != nil {
		return err
	}
	c.dst = append(c.dst, c.b[start:c.at]...)
	start = c.at
	if err = c.prefix(t); err == nil {
		c.dst = append(c.dst, c.b[start:c.at]...)
		err = c.values(t, c.part)
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", name, err)
	}
	return nil
}

// values copies the part p of a column's data.
func (c *cutter) values(t *typ, p part) error {
	switch t.kind {
	case fixed:
		data, err := c.array(p.n, t.width)
		if err != nil {
			return err
		}
		c.dst = append(c.dst, data[p.from*t.width:p.to*t.width]...)
		return nil
	case text:
		return c.texts(p)
	case nullable:
		marks, err := c.array(p.n, 1)
		if err != nil {
			return err
		}
		c.dst = append(c.dst, marks[p.from:p.to]...)
		return c.values(t.inner[0], p)
	case array:
		elements, err := c.offsets(p)
		if err != nil {
			return err
		}
		return c.values(t.inner[0], elements)
	case lowCardinality:
		return c.lowCardinality(t, p)
	case object:
		for _, path := range t.inner {
			if err := c.values(path, p); err != nil {
				return err
			}
		}
		return c.shared(p)
	}
	panic("a kind of type without a layout")
}

func (c *cutter) texts(p part) error {
	if err := c.skipTexts(p.from); err != nil {
		return err
	}
	start := c.at
	if err := c.skipTexts(p.to - p.from); err != nil {
		return err
	}
	c.dst = append(c.dst, c.b[start:c.at]...)
	return c.skipTexts(p.n - p.to)
}

// offsets copies the part of an array column's offsets, counted from its own beginning, and returns which elements it
// has.
func (c *cutter) offsets(p part) (part, error) {
	ends, total, err := c.reader.offsets(p.n)
	if err != nil {
		return part{}, err
	}
	elements := part{n: total, from: ends.before(p.from), to: ends.before(p.to)}
	for row := p.from; row < p.to; row++ {
		c.dst = binary.LittleEndian.AppendUint64(c.dst, uint64(ends.before(row+1)-elements.from))
	}
	return elements, nil
}

// shared copies the part of a JSON column's shared data: for each row an array of names and values.
func (c *cutter) shared(p part) error {
	elements, err := c.offsets(p)
	if err != nil {
		return err
	}
	if err := c.texts(elements); err != nil {
		return err
	}
	return c.texts(elements)
}

// lowCardinality copies the part of the indexes, and of the keys those that these use.
func (c *cutter) lowCardinality(t *typ, p part) error {
	if p.n == 0 {
		return nil // the format has nothing at all then
	}
	d, err := c.dictionary(t, p.n)
	if err != nil {
		return err
	}
	if p.from == p.to {
		return nil
	}
	renumber := make([]int, len(d.keys)) // plus one; 0: not used
	var kept []int                       // in the order of their first use, as block encodes them
	keep := func(key int) {
		if renumber[key] == 0 {
			kept = append(kept, key)
			renumber[key] = len(kept)
		}
	}
	if d.nullable && len(d.keys) > 0 {
		keep(0) // stands for NULL
	}
	for row := p.from; row < p.to; row++ {
		keep(d.index(row))
	}
	width := indexWidth(len(kept))
	c.dst = binary.LittleEndian.AppendUint64(c.dst, uint64(width)|lcAdditionalKeys|lcUpdate)
	c.dst = binary.LittleEndian.AppendUint64(c.dst, uint64(len(kept)))
	for _, key := range kept {
		c.dst = append(c.dst, d.keys[key]...)
	}
	c.dst = binary.LittleEndian.AppendUint64(c.dst, uint64(p.to-p.from))
	for row := p.from; row < p.to; row++ {
		i := uint32(renumber[d.index(row)] - 1)
		switch width {
		case 0:
			c.dst = append(c.dst, byte(i))
		case 1:
			c.dst = binary.LittleEndian.AppendUint16(c.dst, uint16(i))
		default:
			c.dst = binary.LittleEndian.AppendUint32(c.dst, i)
		}
	}
	return nil
}

// indexWidth is the binary logarithm of the bytes of an index.
func indexWidth(keys int) int {
	switch {
	case keys > 1<<16:
		return 2
	case keys > 1<<8:
		return 1
	}
	return 0
}
