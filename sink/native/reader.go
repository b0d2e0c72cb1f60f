package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The flags of a LowCardinality column (ClickHouse, SerializationLowCardinality). The low bits are the width of an
// index.
const (
	lcVersion        = 1
	lcIndexWidth     = 0xff
	lcAdditionalKeys = 1 << 9
	lcUpdate         = 1 << 10
)

// reader reads an encoded block. Every length is checked before use.
type reader struct {
	b  []byte
	at int
}

// header reads the numbers of columns and rows.
func (r *reader) header() (columns, rows int, err error) {
	if columns, err = r.count(); err != nil {
		return 0, 0, err
	}
	if columns == 0 {
		return 0, 0, errors.New("the block has no columns")
	}
	rows, err = r.count()
	return columns, rows, err
}

// columnHeader reads a column's name and type.
func (r *reader) columnHeader() (string, *typ, error) {
	name, err := r.text()
	if err != nil {
		return "", nil, err
	}
	of, err := r.text()
	if err != nil {
		return "", nil, err
	}
	t, err := parse(string(of), 0)
	if err != nil {
		return "", nil, fmt.Errorf("column %s: %w", name, err)
	}
	return string(name), t, nil
}

// prefix reads what Native writes before a column's data. It fails if this package cannot read that serialization.
func (r *reader) prefix(t *typ) error {
	switch t.kind {
	case lowCardinality:
		version, err := r.uint64()
		if err == nil && version != lcVersion {
			err = fmt.Errorf("LowCardinality of version %d is not understood", version)
		}
		return err
	case object:
		version, err := r.uint64()
		if err != nil {
			return err
		}
		structure, err := r.take(2)
		if err != nil {
			return err
		}
		if version != 0 || structure[0] != 0 || structure[1] != 0 {
			return errors.New("JSON of another version or with dynamic paths is not understood")
		}
	}
	for _, inner := range t.inner {
		if err := r.prefix(inner); err != nil {
			return err
		}
	}
	return nil
}

// dictionary holds the keys and indexes of a LowCardinality column.
type dictionary struct {
	keys     [][]byte // encoded
	indexes  []byte
	width    int
	nullable bool
}

// index returns the key of a row. dictionary has checked that the key exists.
func (d *dictionary) index(row int) int {
	switch d.width {
	case 0:
		return int(d.indexes[row])
	case 1:
		return int(binary.LittleEndian.Uint16(d.indexes[2*row:]))
	}
	return int(binary.LittleEndian.Uint32(d.indexes[4*row:]))
}

// dictionary reads the data of a LowCardinality column of n rows.
func (r *reader) dictionary(t *typ, n int) (*dictionary, error) {
	flags, err := r.uint64()
	if err != nil {
		return nil, err
	}
	d := &dictionary{width: int(flags & lcIndexWidth), nullable: t.inner[0].kind == nullable}
	if d.width > 2 || flags&^lcIndexWidth != lcAdditionalKeys|lcUpdate {
		return nil, fmt.Errorf("LowCardinality with flags %#x is not understood", flags)
	}
	keys, err := r.count64()
	if err != nil {
		return nil, err
	}
	d.keys = make([][]byte, keys)
	for i := range d.keys {
		start := r.at
		if err := r.skipTexts(1); err != nil {
			return nil, err
		}
		d.keys[i] = r.b[start:r.at]
	}
	switch rows, err := r.count64(); {
	case err != nil:
		return nil, err
	case rows != n:
		return nil, fmt.Errorf("LowCardinality of %d rows in a column of %d", rows, n)
	}
	if d.indexes, err = r.array(n, 1<<d.width); err != nil {
		return nil, err
	}
	for row := range n {
		if i := d.index(row); i >= keys {
			return nil, fmt.Errorf("key %d of %d", i, keys)
		}
	}
	return d, nil
}

// ends holds the end of each row's elements of an array column, little-endian.
type ends []byte

// before returns how many elements the rows before row have.
func (e ends) before(row int) int {
	if row == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(e[8*(row-1):]))
}

// offsets reads the offsets of an array column of n rows and returns the number of elements.
func (r *reader) offsets(n int) (ends, int, error) {
	data, err := r.array(n, 8)
	if err != nil {
		return nil, 0, err
	}
	last := uint64(0)
	for row := range n {
		end := binary.LittleEndian.Uint64(data[8*row:])
		if end < last || end > uint64(len(r.b)) { // an element has at least one byte
			return nil, 0, fmt.Errorf("an array ends at element %d after %d", end, last)
		}
		last = end
	}
	return data, int(last), nil
}

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, errShort
	}
	data := r.b[r.at : r.at+n]
	r.at += n
	return data, nil
}

// array takes n values of width bytes.
func (r *reader) array(n, width int) ([]byte, error) {
	if n > (len(r.b)-r.at)/width {
		return nil, errShort
	}
	return r.take(n * width)
}

func (r *reader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		return 0, errShort
	}
	r.at += n
	return v, nil
}

// count reads a number of items that take at least one byte each.
func (r *reader) count() (int, error) {
	v, err := r.uvarint()
	if err == nil && v > uint64(len(r.b)) {
		err = errShort
	}
	return int(v & math.MaxInt32), err
}

// count64 is count for a number of eight bytes.
func (r *reader) count64() (int, error) {
	v, err := r.uint64()
	if err == nil && v > uint64(len(r.b)) {
		err = errShort
	}
	return int(v & math.MaxInt32), err
}

func (r *reader) uint64() (uint64, error) {
	data, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(data), nil
}

// text takes a string and the length before it.
func (r *reader) text() ([]byte, error) {
	n, err := r.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.b)) {
		return nil, errShort
	}
	return r.take(int(n))
}

func (r *reader) skipTexts(n int) error {
	for range n {
		if _, err := r.text(); err != nil {
			return err
		}
	}
	return nil
}
