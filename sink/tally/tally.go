// Package tally says how many rows of a block came from which exporter, and adds up what became of them. A block is
// encoded once and has no exporters any more: its Tally goes with it, to the spool's files too, so that each outcome
// can be told by exporter. It imports only flow and spool.
package tally

import (
	"encoding/binary"
	"errors"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Tally says which stream each row of a block came from. It must not be changed once it is handed on.
type Tally struct {
	Streams []flow.StreamKey // that the runs name
	Runs    []Run            // in the order of the rows
}

// Run is a number of rows in a row of one stream.
type Run struct {
	Stream uint32 // its place in Streams
	Rows   uint32
}

// Share is how many rows one stream has.
type Share struct {
	Stream flow.StreamKey
	Rows   uint64
}

// Rows is the number of rows; 0 for nil.
func (t *Tally) Rows() (n uint64) {
	if t == nil {
		return 0
	}
	for _, r := range t.Runs {
		n += uint64(r.Rows)
	}
	return n
}

// Shares adds the runs up. Streams without rows are left out.
func (t *Tally) Shares() []Share {
	if t == nil {
		return nil
	}
	rows := make([]uint64, len(t.Streams))
	for _, r := range t.Runs {
		rows[r.Stream] += uint64(r.Rows)
	}
	shares := make([]Share, 0, len(rows))
	for i, n := range rows {
		if n > 0 {
			shares = append(shares, Share{t.Streams[i], n})
		}
	}
	return shares
}

// Slice is the tally of the rows from one on and before another, for a block that is split: nil for nil.
func (t *Tally) Slice(from, to uint64) *Tally {
	if t == nil {
		return nil
	}
	part := &Tally{Streams: t.Streams}
	at := uint64(0)
	for _, r := range t.Runs {
		begin, end := max(at, from), min(at+uint64(r.Rows), to)
		if begin < end {
			part.Runs = append(part.Runs, Run{r.Stream, uint32(end - begin)})
		}
		at += uint64(r.Rows)
	}
	return part
}

// Select is the tally of some rows, in ascending order: nil for nil.
func (t *Tally) Select(rows []int) *Tally {
	if t == nil {
		return nil
	}
	part := &Tally{Streams: t.Streams}
	run, end := -1, 0 // the run that the row is in, and the first row behind it
	for i, row := range rows {
		before := run
		for row >= end {
			run++
			end += int(t.Runs[run].Rows)
		}
		if i > 0 && run == before {
			part.Runs[len(part.Runs)-1].Rows++
			continue
		}
		part.Runs = append(part.Runs, Run{t.Runs[run].Stream, 1})
	}
	return part
}

// At is the stream of a row; false where there is no such row.
func (t *Tally) At(row uint64) (flow.StreamKey, bool) {
	if t == nil {
		return flow.StreamKey{}, false
	}
	for _, r := range t.Runs {
		if row < uint64(r.Rows) {
			return t.Streams[r.Stream], true
		}
		row -= uint64(r.Rows)
	}
	return flow.StreamKey{}, false
}

// Encoded, a tally is the number of streams; of each the 16 bytes of its exporter, a byte of its protocol, its domain;
// the number of runs; of each its stream and rows. Integers are varints.

// Append encodes the tally: nothing for nil.
func (t *Tally) Append(b []byte) []byte {
	if t == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(t.Streams)))
	for i := range t.Streams {
		key := &t.Streams[i]
		b = append(b, key.Exporter[:]...)
		b = append(b, byte(key.Protocol))
		b = binary.AppendUvarint(b, uint64(key.Domain))
	}
	b = binary.AppendUvarint(b, uint64(len(t.Runs)))
	for _, r := range t.Runs {
		b = binary.AppendUvarint(b, uint64(r.Stream))
		b = binary.AppendUvarint(b, uint64(r.Rows))
	}
	return b
}

var errMalformed = errors.New("tally of a block: malformed")

// Parse decodes what Append encoded: nil for nothing.
func Parse(b []byte) (*Tally, error) {
	if len(b) == 0 {
		return nil, nil
	}
	const leastStream, leastRun = 18, 2 // bytes
	r := reader{b: b}
	t := &Tally{Streams: make([]flow.StreamKey, r.count(leastStream))}
	for i := range t.Streams {
		t.Streams[i] = r.stream()
	}
	t.Runs = make([]Run, r.count(leastRun))
	for i := range t.Runs {
		t.Runs[i] = Run{r.uint32(), r.uint32()}
		if int64(t.Runs[i].Stream) >= int64(len(t.Streams)) {
			return nil, errMalformed
		}
	}
	if r.failed || len(r.b) > 0 {
		return nil, errMalformed
	}
	return t, nil
}

// reader reads an encoded tally. After a failure all it reads is 0.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) fail() { r.b, r.failed = nil, true }

func (r *reader) uint32() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// count reads how many of something follow, each of so many bytes at least.
func (r *reader) count(least int) int {
	n := int(r.uint32())
	if n > len(r.b)/least {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) stream() (key flow.StreamKey) {
	const fixed = len(key.Exporter) + 1
	if len(r.b) < fixed {
		r.fail()
		return key
	}
	copy(key.Exporter[:], r.b)
	key.Protocol = flow.Protocol(r.b[fixed-1])
	r.b = r.b[fixed:]
	key.Domain = r.uint32()
	return key
}
