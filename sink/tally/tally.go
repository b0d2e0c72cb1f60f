// Package tally counts how many rows of a block came from which exporter, and what happened to them. A block is encoded
// once and has no exporters any more; its Tally stays with it, even in the spool's files, so that each result can be
// reported by exporter. It only imports flow and spool.
package tally

import (
	"encoding/binary"
	"errors"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Tally says which stream each row of a block came from. It must not be changed after it was passed on.
type Tally struct {
	Streams []flow.StreamKey // that the runs refer to
	Runs    []Run            // in the order of the rows
}

// Run is a number of consecutive rows of one stream.
type Run struct {
	Stream uint32 // index in Streams
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

// Shares sums up the runs. Streams without rows are left out.
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

// Join returns the tally of blocks that are sent one after the other; nil if none has one.
func Join(tallies []*Tally) *Tally {
	var all *Tally
	index := map[flow.StreamKey]uint32{} // in Streams of all
	for _, t := range tallies {
		if t == nil {
			continue
		}
		if all == nil {
			all = &Tally{}
		}
		for _, r := range t.Runs {
			key := t.Streams[r.Stream]
			at, found := index[key]
			if !found {
				at = uint32(len(all.Streams))
				all.Streams = append(all.Streams, key)
				index[key] = at
			}
			all.Runs = append(all.Runs, Run{at, r.Rows})
		}
	}
	return all
}

// Slice returns the tally of the rows from (included) to to (excluded), for a block that is split; nil for nil.
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

// Select returns the tally of some rows, in ascending order; nil for nil.
func (t *Tally) Select(rows []int) *Tally {
	if t == nil {
		return nil
	}
	part := &Tally{Streams: t.Streams}
	run, end := -1, 0 // the run of the current row, and the first row after it
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

// At returns the stream of a row; false if there is no such row.
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

// The encoding of a tally: the number of streams; for each the 16 bytes of its exporter, one byte of its protocol, its
// domain; the number of runs; for each its stream and rows. Integers are varints.

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

// reader reads an encoded tally. After a failure it returns 0.
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

// count reads a number of items that take at least so many bytes each.
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
