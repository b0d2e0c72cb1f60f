package record

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
)

// ReadRows calls row for each RowBinary row in r. row must read all columns.
func ReadRows(r io.Reader, row func(*Reader)) error {
	reader := &Reader{r: bufio.NewReaderSize(r, 1<<20)}
	for {
		if _, err := reader.r.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		row(reader)
		if reader.err != nil {
			if errors.Is(reader.err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return reader.err
		}
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Reader reads RowBinary values. After an error it returns zero values.
type Reader struct {
	r   *bufio.Reader
	buf []byte
	err error
}

// firstRead is how much memory is taken for a value before any byte of it is there.
const firstRead = 64 << 10

// bytes returns the next n bytes, valid until the next call. After an error they are 0, and may be fewer. The buffer
// grows as bytes come: what a length says is not believed.
func (r *Reader) bytes(n int) []byte {
	for have := 0; have < n && r.err == nil; {
		next := min(n, max(firstRead, 2*have))
		r.buf = slices.Grow(r.buf[:have], next-have)[:next]
		_, r.err = io.ReadFull(r.r, r.buf[have:])
		have = next
	}
	if r.err != nil {
		n = min(n, firstRead)
		r.buf = slices.Grow(r.buf[:0], n)[:n]
		clear(r.buf)
	}
	return r.buf[:n]
}

// maxText limits the stated length of a text or list. A larger one means that row does not read the columns that are
// there.
const maxText = 64 << 20

func (r *Reader) length() int {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r.r)
	if err == nil && n > maxText {
		err = fmt.Errorf("a text of %d bytes", n)
	}
	if err != nil {
		r.err = err
		return 0
	}
	return int(n)
}

// Elements reads the length of a list and yields once for each element, which the body of the loop reads. It ends at
// the first error: what a length says is not believed.
func (r *Reader) Elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range r.length() {
			if r.err != nil || !yield(i) {
				return
			}
		}
	}
}

func (r *Reader) Text() string { return string(r.bytes(r.length())) }

// NullText reads a Nullable(String); "" for NULL.
func (r *Reader) NullText() string {
	if r.null() {
		return ""
	}
	return r.Text()
}

func (r *Reader) null() bool     { return r.bytes(1)[0] == 1 }
func (r *Reader) Uint8() uint8   { return r.bytes(1)[0] }
func (r *Reader) Uint16() uint16 { return binary.LittleEndian.Uint16(r.bytes(2)) }
func (r *Reader) Uint32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *Reader) Int64() int64   { return int64(binary.LittleEndian.Uint64(r.bytes(8))) }

func (r *Reader) Texts() []string {
	texts := make([]string, 0)
	for range r.Elements() {
		texts = append(texts, r.Text())
	}
	return texts
}

// Address reads an IPv6; IPv4-mapped addresses are returned as IPv4.
func (r *Reader) Address() netip.Addr {
	return netip.AddrFrom16([16]byte(r.bytes(16))).Unmap()
}

// Subnet reads (IPv6, UInt8). The length is that of the address's own family. ok is false if it is not a subnet.
func (r *Reader) Subnet() (p netip.Prefix, ok bool) {
	a := r.Address()
	bits := int(r.Uint8())
	if a.Is4() && bits > 32 {
		bits -= 96
	}
	p, err := a.Prefix(bits)
	return p, err == nil && r.err == nil
}
