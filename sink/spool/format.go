package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// An entry on disk, little-endian:
//
//	 0  magic "FSPL"
//	 4  version, 2
//	 5  state: 1 when the entry is done; with any other value it waits. The only byte that is written twice
//	 6  length of the token; the highest bit is set when the entry goes before those without it
//	 8  the segment's number, as in its name
//	16  when it was put, Unix milliseconds
//	24  rows
//	28  length of the query
//	32  length of the note
//	36  length of the data
//	40  CRC32C of query, token, note and data
//	44  CRC32C of bytes 0 to 43, the state taken as 0
//	48  query, token, note, data
//
// Version 1 had no note, the length of the token at 32, and zero at 6.
//
// Rules for other versions: magic, version and segment number stay where they are in every version. Older versions
// are read. A file that has an entry of a version this program does not know is left as it is, neither read nor
// deleted; the program that wrote it can still deliver it.
//
// The segment's number is random. After damage the next entry is searched by it: the bytes of a flow record cannot
// be made to look like an entry, and so never become a query.
const (
	magic       = "FSPL"
	version     = 2
	version1    = 1
	stateOffset = 5
	stateDone   = 1
	priorityBit = 1 << 15
	idOffset    = 8
	sumOffset   = 44
	headerSize  = 48
)

// header precedes an entry's payload.
type header struct {
	segment           uint64
	millis            int64
	rows              uint32
	query, note, data uint32 // lengths
	token             uint16
	checksum          uint32 // of the payload
	done, priority    bool
}

// newHeader fails if a length does not fit into the header.
func newHeader(segment uint64, millis int64, e *Entry) (header, error) {
	tooLarge := len(e.Token) >= priorityBit
	for _, n := range []int{len(e.Query), len(e.Note), e.Size, e.Rows} {
		tooLarge = tooLarge || n < 0 || n > math.MaxUint32
	}
	if tooLarge {
		return header{}, fmt.Errorf("%w: query of %d, token of %d, note of %d, data of %d bytes, %d rows",
			ErrTooLarge, len(e.Query), len(e.Token), len(e.Note), e.Size, e.Rows)
	}
	return header{
		segment: segment, millis: millis, rows: uint32(e.Rows),
		query: uint32(len(e.Query)), token: uint16(len(e.Token)), note: uint32(len(e.Note)), data: uint32(e.Size),
		priority: e.Priority,
	}, nil
}

// size returns the size of the whole entry in bytes.
func (h *header) size() int64 {
	return headerSize + h.text() + int64(h.data)
}

// text returns the length of everything before the data.
func (h *header) text() int64 { return int64(h.query) + int64(h.token) + int64(h.note) }

// appendTo encodes the header.
func (h *header) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, version, 0)
	token := h.token
	if h.priority {
		token |= priorityBit
	}
	b = binary.LittleEndian.AppendUint16(b, token)
	b = binary.LittleEndian.AppendUint64(b, h.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.millis))
	for _, v := range []uint32{h.rows, h.query, h.note, h.data, h.checksum} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// parseHeader decodes b, of headerSize bytes; false if it is not a header of that segment.
func parseHeader(b []byte, segment uint64) (h header, ok bool) {
	if string(b[:len(magic)]) != magic || b[4] != version && b[4] != version1 {
		return h, false
	}
	plain := withoutState(b)
	if checksum(plain[:sumOffset]) != binary.LittleEndian.Uint32(b[sumOffset:]) {
		return h, false
	}
	h = fields(b)
	return h, h.segment == segment
}

// withoutState returns the header as the checksum is computed of it.
func withoutState(b []byte) (plain [headerSize]byte) {
	copy(plain[:], b)
	plain[stateOffset] = 0
	return plain
}

// fields decodes the fields of b, of headerSize bytes, without any check.
func fields(b []byte) header {
	h := header{
		segment: binary.LittleEndian.Uint64(b[idOffset:]), millis: int64(binary.LittleEndian.Uint64(b[16:])),
		rows: binary.LittleEndian.Uint32(b[24:]), query: binary.LittleEndian.Uint32(b[28:]),
		token: binary.LittleEndian.Uint16(b[6:]), note: binary.LittleEndian.Uint32(b[32:]),
		data:     binary.LittleEndian.Uint32(b[36:]),
		checksum: binary.LittleEndian.Uint32(b[40:]), done: b[stateOffset] == stateDone,
	}
	if b[4] == version1 {
		h.token, h.note = uint16(h.note), 0
	}
	h.priority, h.token = h.token&priorityBit != 0, h.token&^priorityBit
	return h
}

// repaired returns the header that b, of headerSize bytes, was before one of its bytes changed; false if more than one
// changed. The checksum decides: there are 12,000 candidates for its 32 bits.
func repaired(b []byte, segment uint64) (fixed [headerSize]byte, ok bool) {
	plain := withoutState(b)
	for i := range plain {
		if i == stateOffset {
			continue
		}
		was := plain[i]
		for change := 1; change < 256; change++ {
			plain[i] = was ^ byte(change)
			if _, ok := parseHeader(plain[:], segment); ok {
				plain[stateOffset] = b[stateOffset]
				return plain, true
			}
		}
		plain[i] = was
	}
	return plain, false
}

// otherVersion reports whether b, of headerSize bytes, begins an entry of a version that this program does not know,
// and which version.
func otherVersion(b []byte, segment uint64) (v int, ok bool) {
	if string(b[:len(magic)]) != magic || binary.LittleEndian.Uint64(b[idOffset:]) != segment {
		return 0, false
	}
	if b[4] == version || b[4] == version1 {
		return 0, false
	}
	if _, damaged := repaired(b, segment); damaged {
		return 0, false
	}
	return int(b[4]), true
}

// castagnoli is what checksums are computed with.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// checksum returns the CRC32C of the concatenated parts.
func checksum(parts ...[]byte) (sum uint32) {
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli(), p)
	}
	return sum
}

// checksum returns the CRC32C of text and the entry's data.
func (e *Entry) checksum(text []byte) (sum uint32, err error) {
	sum = checksum(text)
	err = e.inParts(func(part []byte, _ int64) error {
		sum = crc32.Update(sum, castagnoli(), part)
		return nil
	})
	return sum, err
}

// partSize is how much of an entry's data is in memory at a time where it is not needed as a whole.
const partSize = 256 << 10

// errSize is the error for data that is not of the size that was said.
var errSize = errors.New("the data of a spool entry is not of its size")

// inParts calls each for parts of the data, in order, with their place in it.
func (e *Entry) inParts(each func(part []byte, at int64) error) (err error) {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	buffer := make([]byte, min(partSize, e.Size+1))
	at := int64(0)
	for {
		n, err := io.ReadFull(r, buffer)
		if n > 0 {
			if err := each(buffer[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		switch {
		case err == nil:
		case err != io.EOF && err != io.ErrUnexpectedEOF:
			return err
		case at != int64(e.Size):
			return errSize
		default:
			return nil
		}
	}
}
