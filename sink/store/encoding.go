package store

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	bzip2w "github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// encoding is one of the Content-Encodings that ClickHouse's HTTP interface knows, as a request and as an answer may
// have it.
type encoding struct {
	name string
	// read returns the decompressed form of a request's body; maxDecoded bounds what a decoder itself may hold.
	read  func(io.Reader) (io.Reader, error)
	write func(io.Writer) (io.WriteCloser, error)
}

// maxDecoded bounds, in bytes, a window or block that a decoder keeps in memory.
const maxDecoded = 64 << 20

// encodings are in the order of preference for an answer: what costs the server least first.
var encodings = []encoding{
	{"zstd", readZstd, func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	}},
	{"lz4", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
		func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
	{"gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(w io.Writer) (io.WriteCloser, error) {
			return gzip.NewWriterLevel(w, gzip.BestSpeed)
		}},
	{"deflate", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		func(w io.Writer) (io.WriteCloser, error) {
			return zlib.NewWriterLevel(w, zlib.BestSpeed)
		}},
	{"snappy", func(r io.Reader) (io.Reader, error) { return &snappyReader{r: bufio.NewReader(r)}, nil },
		func(w io.Writer) (io.WriteCloser, error) {
			return &snappyWriter{w: w}, nil
		}},
	{"br", func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		func(w io.Writer) (io.WriteCloser, error) {
			return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
		}},
	{"xz", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) },
		func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }},
	{"bz2", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
		func(w io.Writer) (io.WriteCloser, error) {
			return bzip2w.NewWriter(w, &bzip2w.WriterConfig{Level: bzip2w.BestSpeed})
		}},
}

func readZstd(r io.Reader) (io.Reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDecoded),
		zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// decodeBody undoes the Content-Encoding of a request.
func decodeBody(body io.Reader, name string) (io.Reader, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "", "identity":
		return body, nil
	case "x-gzip":
		name = "gzip"
	case "bzip2":
		name = "bz2"
	}
	for _, e := range encodings {
		if e.name != name {
			continue
		}
		r, err := e.read(body)
		if err != nil {
			return nil, newException(codeBadArguments, "BAD_ARGUMENTS", "Content-Encoding %s: %v", name, err)
		}
		return r, nil
	}
	return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED",
		"Unknown Content-Encoding %q: the local store reads %s", name, encodingNames())
}

func encodingNames() string {
	names := make([]string, len(encodings))
	for i, e := range encodings {
		names[i] = e.name
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// acceptedEncoding is the encoding of an answer for the client's Accept-Encoding; ok is false where it is sent as it
// is.
func acceptedEncoding(header string) (e encoding, ok bool) {
	accepted := map[string]bool{}
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		accepted[strings.ToLower(strings.TrimSpace(name))] = !isZeroQuality(parameters)
	}
	for _, e := range encodings {
		if accepted[e.name] {
			return e, true
		}
	}
	return encoding{}, false
}

// isZeroQuality is true for q=0: the client does not want it (RFC 9110, section 12.4.2).
func isZeroQuality(parameters string) bool {
	value, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
	q, err := strconv.ParseFloat(value, 64)
	return found && err == nil && q == 0
}

// Snappy is framed as Hadoop frames it, which ClickHouse reads and writes: a block's size before compression, then one
// or more pieces, each with its compressed size before it. Sizes have 4 bytes, big end first.
const snappyBlock = 1 << 20

type snappyReader struct {
	r          *bufio.Reader
	left       uint32 // of the block, before compression
	compressed []byte
	piece      []byte // not read yet
	buffer     []byte
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.piece) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.piece)
	s.piece = s.piece[n:]
	return n, nil
}

// next decompresses the next piece. io.EOF is the end between two blocks.
func (s *snappyReader) next() error {
	if s.left == 0 {
		size, err := s.size()
		if err != nil || size == 0 {
			return err
		}
		s.left = size
	}
	size, err := s.size()
	if err == nil && size > maxDecoded {
		err = fmt.Errorf("snappy: a piece of %d bytes", size)
	}
	if err != nil {
		return notEOF(err)
	}
	if uint32(cap(s.compressed)) < size {
		s.compressed = make([]byte, size)
	}
	s.compressed = s.compressed[:size]
	if _, err := io.ReadFull(s.r, s.compressed); err != nil {
		return notEOF(err)
	}
	length, err := snappy.DecodedLen(s.compressed)
	if err != nil {
		return err
	}
	if length > maxDecoded || uint32(length) > s.left {
		return fmt.Errorf("snappy: a piece holds %d bytes, its block %d", length, s.left)
	}
	if s.buffer, err = snappy.Decode(s.buffer[:cap(s.buffer)], s.compressed); err != nil {
		return err
	}
	s.piece = s.buffer
	s.left -= uint32(length)
	return nil
}

func (s *snappyReader) size() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

// notEOF is err for the middle of something.
func notEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

type snappyWriter struct {
	w     io.Writer
	frame []byte
}

func (s *snappyWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		block := p[done:min(len(p), done+snappyBlock)]
		if need := 8 + snappy.MaxEncodedLen(len(block)); cap(s.frame) < need {
			s.frame = make([]byte, need)
		}
		packed := snappy.Encode(s.frame[8:cap(s.frame)], block)
		frame := s.frame[:8+len(packed)]
		binary.BigEndian.PutUint32(frame, uint32(len(block)))
		binary.BigEndian.PutUint32(frame[4:], uint32(len(packed)))
		if _, err := s.w.Write(frame); err != nil {
			return done, err
		}
		done += len(block)
	}
	return done, nil
}

func (s *snappyWriter) Close() error { return nil }
