package sflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// reader reads XDR values (RFC 4506) from a buffer. After the first missing value it returns zeros and has failed.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.failed = true
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

func (r *reader) uint64() uint64 {
	high := r.uint32()
	return uint64(high)<<32 | uint64(r.uint32())
}

func (r *reader) skip(n int) {
	if n > len(r.b) {
		r.failed, n = true, len(r.b)
	}
	r.b = r.b[n:]
}

// take returns n bytes and skips the padding to a multiple of 4.
func (r *reader) take(n uint32) []byte {
	padded := (uint64(n) + 3) &^ 3
	if padded > uint64(len(r.b)) {
		// Some agents omit the padding of the last value.
		if uint64(n) != uint64(len(r.b)) {
			r.failed = true
			return nil
		}
		padded = uint64(n)
	}
	value := r.b[:n]
	r.b = r.b[padded:]
	return value
}

// fixed returns n bytes, or nil if fewer are left.
func (r *reader) fixed(n int) []byte {
	if n > len(r.b) {
		r.failed = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// word returns the i-th 32-bit value of b.
func word(b []byte, i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }

// typed reads a format and the opaque data that follows: a sample or a record.
func (r *reader) typed() (format uint32, body []byte) {
	b := r.fixed(8)
	if b == nil {
		return 0, nil
	}
	return word(b, 0), r.take(word(b, 1))
}

// address reads an address with its type: 1 IPv4, 2 IPv6, 0 unknown.
func (r *reader) address() flow.Addr {
	switch r.uint32() {
	case 0:
		return flow.Addr{}
	case 1:
		if b := r.take(4); len(b) == 4 {
			return flow.AddrFrom4([4]byte(b))
		}
	case 2:
		if b := r.take(16); len(b) == 16 {
			return flow.Addr(b)
		}
	default:
		r.failed = true
	}
	return flow.Addr{}
}
