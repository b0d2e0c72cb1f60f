package native

import (
	"io"
	"slices"
)

// Packed is an encoded block with runs of one repeated byte (mostly all-NULL columns) replaced by Fills. Queued blocks
// stay packed to save memory; Expand restores the wire form.
type Packed struct {
	Data  []byte
	Fills []Fill
}

// Fill is a run that was removed from the data: N times Byte, before the byte at index At of the data.
type Fill struct {
	At, N int
	Byte  byte
}

// Size returns the size of the expanded block in bytes.
func (p Packed) Size() int {
	n := len(p.Data)
	for _, f := range p.Fills {
		n += f.N
	}
	return n
}

// Expand appends the expanded block to dst.
func (p Packed) Expand(dst []byte) []byte {
	dst = slices.Grow(dst, p.Size())
	from := 0
	for _, f := range p.Fills {
		dst = append(dst, p.Data[from:f.At]...)
		dst = Repeat(dst, f.N, f.Byte)
		from = f.At
	}
	return append(dst, p.Data[from:]...)
}

// Repeat appends v n times.
func Repeat(dst []byte, n int, v byte) []byte {
	if n <= 0 {
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	fill(dst[at:], v)
	return dst
}

func fill(dst []byte, v byte) {
	if v == 0 {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = v
	}
}

// Source reads a packed block in its expanded form. The zero value is at its end.
type Source struct {
	rest Packed
	at   int // in the data
	n    int // bytes read of the first fill
}

// NewSource returns a reader of the whole block. It does not change the block.
func NewSource(p Packed) Source { return Source{rest: p} }

// Read implements io.Reader.
func (s *Source) Read(p []byte) (n int, err error) {
	for n < len(p) {
		end := len(s.rest.Data)
		if len(s.rest.Fills) > 0 {
			end = s.rest.Fills[0].At
		}
		copied := copy(p[n:], s.rest.Data[s.at:end])
		n += copied
		if s.at += copied; s.at < end || n == len(p) {
			return n, nil
		}
		if len(s.rest.Fills) == 0 {
			break
		}
		f := &s.rest.Fills[0]
		run := min(f.N-s.n, len(p)-n)
		fill(p[n:n+run], f.Byte)
		n += run
		if s.n += run; s.n == f.N {
			s.rest.Fills, s.n = s.rest.Fills[1:], 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
