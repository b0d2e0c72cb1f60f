package native

import (
	"io"
	"slices"
)

// Packed is an encoded block without its long runs of one byte. Columns that no row has a value for are little else; so
// they need no memory while a block waits.
type Packed struct {
	Data  []byte
	Fills []Fill
}

// Fill is a run that the data leaves out: N times Byte, before what stands at At of the data.
type Fill struct {
	At, N int
	Byte  byte
}

// Size returns how many bytes the block is.
func (p Packed) Size() int {
	n := len(p.Data)
	for _, f := range p.Fills {
		n += f.N
	}
	return n
}

// Expand appends the block to dst.
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

// Source reads a packed block as it is. The zero value is at its end.
type Source struct {
	rest Packed
	at   int // in the data
	n    int // bytes read of the first of the fills
}

// NewSource reads from the beginning; it does not change the block.
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
