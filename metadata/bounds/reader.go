// Package bounds reads files from other sources: decompressed, without a byte order mark, and never more than a parser
// allows, in total and for one entry. It imports the standard library only.
package bounds

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// Limits are the most bytes that are read, after decompression.
type Limits struct {
	Total int64
	Entry int64 // between two calls of Next, in addition to what a parser buffers; 0: no limit
}

// ErrTooMuch says that there is more than the Limits allow.
var ErrTooMuch = errors.New("allowed")

// Reader reads a file within Limits. Beyond them every Read returns the same error.
type Reader struct {
	r           *bufio.Reader
	limits      Limits
	total, left int64
	close       func() error
}

// Open opens a file, which may be compressed with gzip.
func Open(path string, l Limits) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := New(f, l)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	r.close = f.Close
	return r, nil
}

const bufferSize = 256 << 10

// New reads from in, which may be compressed with gzip.
func New(in io.Reader, l Limits) (*Reader, error) {
	b := bufio.NewReaderSize(in, bufferSize)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(z, bufferSize)
	}
	if mark, _ := b.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = b.Discard(len(mark))
	}
	return &Reader{r: b, limits: l, left: l.Entry, close: func() error { return nil }}, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.total > r.limits.Total {
		return 0, fmt.Errorf("more than the %d bytes %w", r.limits.Total, ErrTooMuch)
	}
	if r.limits.Entry > 0 {
		if r.left <= 0 {
			return 0, fmt.Errorf("an entry or line of more than the %d bytes %w", r.limits.Entry, ErrTooMuch)
		}
		p = p[:min(int64(len(p)), r.left)]
	}
	n, err := r.r.Read(p)
	r.total += int64(n)
	r.left -= int64(n)
	return n, err
}

// Next begins the next entry.
func (r *Reader) Next() { r.left = r.limits.Entry }

// Total is how much has been read, in bytes.
func (r *Reader) Total() int64 { return r.total }

// Close closes the file.
func (r *Reader) Close() error { return r.close() }

// JSON replaces NaN and Infinity, which Python's json module writes although they are not JSON, by null.
func JSON(in io.Reader) io.Reader { return &jsonReader{r: bufio.NewReaderSize(in, bufferSize)} }

type jsonReader struct {
	r       *bufio.Reader
	text    bool // within a string
	escaped bool
	rest    []byte // of a null that is being written
}

func (j *jsonReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(j.rest) > 0 {
			c := copy(p[n:], j.rest)
			j.rest = j.rest[c:]
			n += c
			continue
		}
		if n > 0 && j.r.Buffered() == 0 {
			return n, nil // what is there already, instead of waiting for more
		}
		c, err := j.r.ReadByte()
		if err != nil {
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return n, err
		}
		if !j.text && (c == 'N' || c == 'I' || c == '-') && j.skipsNumber(c) {
			j.rest = null
			continue
		}
		switch {
		case j.escaped:
			j.escaped = false
		case j.text && c == '\\':
			j.escaped = true
		case c == '"':
			j.text = !j.text
		}
		p[n] = c
		n++
	}
	return n, nil
}

var null = []byte("null")

// skipsNumber skips NaN, Infinity or -Infinity after its first byte.
func (j *jsonReader) skipsNumber(first byte) bool {
	rest := "aN"
	switch first {
	case 'I':
		rest = "nfinity"
	case '-':
		rest = "Infinity"
	}
	ahead, _ := j.r.Peek(len(rest))
	if string(ahead) != rest {
		return false
	}
	_, _ = j.r.Discard(len(rest))
	return true
}
