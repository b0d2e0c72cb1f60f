// Package native splits blocks of ClickHouse's Native format (revision 0, as in HTTP inserts) by rows, and prints their
// rows as JSON. Where it takes blocks there may be several, one after the other, or none. It also defines Packed, the
// form with long runs removed in which blocks wait in memory. It reads what package block writes, by the types named in
// a block, so it also reads blocks that an older version left on disk. Its input is not trusted. Of this project it
// only imports sink/sqltext.
package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errShort is the error for blocks that end before their rows do.
var errShort = errors.New("the block ends early")

// Rows returns the number of rows of encoded blocks, which it reads to their end.
func Rows(data []byte) (int, error) {
	c := cutter{reader: reader{b: data}}
	return c.blocks(0, 0)
}

// Cut returns the rows from (included) to to (excluded) of encoded blocks as new blocks in new memory. Dictionaries
// keep only the keys that these rows use.
func Cut(data []byte, from, to int) ([]byte, error) {
	c := cutter{reader: reader{b: data}}
	rows, err := c.blocks(from, to)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > to || to > rows {
		return nil, fmt.Errorf("rows %d to %d of %d", from, to, rows)
	}
	return c.dst, nil
}

// part is the range of a column's n values that is wanted: from (included) to to (excluded).
type part struct{ n, from, to int }

// cutter copies a part of every column from its reader to dst.
type cutter struct {
	reader
	dst  []byte
	part part
}

// blocks copies the rows from (included) to to (excluded) of all blocks, and returns how many rows these have.
func (c *cutter) blocks(from, to int) (rows int, err error) {
	for c.at < len(c.b) {
		columns, n, err := c.header()
		if err != nil {
			return 0, err
		}
		if n > math.MaxInt-rows {
			return 0, errShort
		}
		within := func(row int) int { return min(max(row-rows, 0), n) }
		start := len(c.dst)
		c.part = part{n, within(from), max(within(from), within(to))}
		c.dst = binary.AppendUvarint(c.dst, uint64(columns))
		c.dst = binary.AppendUvarint(c.dst, uint64(c.part.to-c.part.from))
		for range columns {
			if err := c.column(); err != nil {
				return 0, err
			}
		}
		if c.part.from == c.part.to {
			c.dst = c.dst[:start]
		}
		rows += n
	}
	return rows, nil
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

// values copies part p of a column's data.
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

// offsets copies a part of an array column's offsets, counted from the part's start. It returns the range of elements.
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

// shared copies a part of a JSON column's shared data: for each row an array of names and values.
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

// lowCardinality copies a part of the indexes, and the keys that they use.
func (c *cutter) lowCardinality(t *typ, p part) error {
	if p.n == 0 {
		return nil // the format has no data in this case
	}
	d, err := c.dictionary(t, p.n)
	if err != nil {
		return err
	}
	if p.from == p.to {
		return nil
	}
	renumber := make([]int, len(d.keys)) // new index plus one; 0: not used
	var kept []int                       // in the order of their first use, as package block encodes them
	keep := func(key int) {
		if renumber[key] == 0 {
			kept = append(kept, key)
			renumber[key] = len(kept)
		}
	}
	if d.nullable && len(d.keys) > 0 {
		keep(0) // the key for NULL
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

// indexWidth returns the binary logarithm of an index's size in bytes.
func indexWidth(keys int) int {
	switch {
	case keys > 1<<16:
		return 2
	case keys > 1<<8:
		return 1
	}
	return 0
}
