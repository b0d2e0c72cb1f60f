package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The revisions of ClickHouse's protocol that change the layout of a Native block.
const (
	revisionCustomSerialization = 54454 // a byte behind each column's type says whether a special serialization follows
)

// errShort says that a Native block ends before its rows do, or is laid out as this code does not know.
var errShort = errors.New("the engine's Native block ends early")

// reframe appends to dst the Native blocks in src, which are in the plain layout of revision 0, in the layout of a
// newer revision: a block info before each block, and a byte behind each column type from 54454 on. The column data is
// the same in both, so it is walked over and copied, not decoded.
func reframe(dst, src []byte, revision int) ([]byte, error) {
	c := &cursor{b: src}
	for c.i < len(c.b) {
		// Block info: field 1 is_overflows = 0, field 2 bucket_num = -1 (none), end.
		dst = append(dst, 1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0)
		start := c.i
		columns, rows := c.varint(), c.varint()
		dst = append(dst, c.since(start)...)
		for range columns {
			start = c.i
			name, kind := c.text(), c.text()
			if c.err != nil {
				return dst, c.err
			}
			dst = append(dst, c.since(start)...)
			if revision >= revisionCustomSerialization {
				dst = append(dst, 0)
			}
			t, err := parseType(kind, 0)
			if err != nil {
				return dst, fmt.Errorf("column %s: %w", name, err)
			}
			start = c.i
			if rows > 0 {
				t.prefix(c)
				t.data(c, rows)
			}
			if c.err != nil {
				return dst, fmt.Errorf("column %s of type %s: %w", name, kind, c.err)
			}
			dst = append(dst, c.since(start)...)
		}
		if c.err != nil {
			return dst, c.err
		}
	}
	return dst, nil
}

// cursor reads a block; after an error it reads zeros.
type cursor struct {
	b   []byte
	i   int
	err error
}

func (c *cursor) since(start int) []byte { return c.b[start:c.i] }

func (c *cursor) skip(n uint64) {
	if n > uint64(len(c.b)-c.i) {
		c.fail(errShort)
		return
	}
	c.i += int(n)
}

func (c *cursor) varint() uint64 {
	v, n := binary.Uvarint(c.b[c.i:])
	if n <= 0 {
		c.fail(errShort)
		return 0
	}
	c.i += n
	return v
}

func (c *cursor) uint64() uint64 {
	if len(c.b)-c.i < 8 {
		c.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(c.b[c.i:])
	c.i += 8
	return v
}

func (c *cursor) text() string {
	n := c.varint()
	start := c.i
	c.skip(n)
	return string(c.since(start))
}

// skipTimes skips n values of the given size; hostile counts do not overflow.
func (c *cursor) skipTimes(n, size uint64) {
	if size > 0 && n > uint64(len(c.b)-c.i)/size {
		c.fail(errShort)
		return
	}
	c.skip(n * size)
}

// offsets skips the offsets of an array column and returns the last: the number of elements.
func (c *cursor) offsets(rows uint64) uint64 {
	c.skipTimes(rows, 8)
	if c.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(c.b[c.i-8:])
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.i = len(c.b)
}
