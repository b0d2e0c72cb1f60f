package stream

import (
	"bytes"
	"slices"
	"testing"
)

// Framing never reads beyond what there is, gives the same messages in whatever pieces bytes come, and says what is
// wrong as soon as it is.
func FuzzFrame(f *testing.F) {
	good := message(1, 40)
	f.Add([]byte{}, uint16(1))
	f.Add(good, uint16(1))
	f.Add(slices.Concat(good, message(2, 16), good[:5]), uint16(3))
	f.Add(slices.Concat(good, []byte{0, 10, 0, 15}), uint16(7))
	f.Add([]byte{0, 10, 0xff, 0xff, 0}, uint16(2))
	f.Add([]byte{22, 3, 1, 0, 0}, uint16(1))
	f.Add(slices.Concat(message(1, 65535), good), uint16(4096))
	f.Fuzz(func(t *testing.T, data []byte, step uint16) {
		whole, err := frame(data)
		if whole < 0 || whole > len(data) {
			t.Fatalf("%d of %d bytes", whole, len(data))
		}
		var messages [][]byte
		for rest := data[:whole]; len(rest) > 0; {
			n := messageLength(rest)
			if n < headerLength || n > len(rest) {
				t.Fatalf("a message of %d of %d bytes", n, len(rest))
			}
			messages, rest = append(messages, rest[:n]), rest[n:]
		}
		if err == nil && len(data)-whole >= largeBuffer {
			t.Fatalf("%d bytes are no message and nothing is wrong", len(data)-whole)
		}
		// The same in pieces, with what is left carried over.
		var have []byte
		var pieces [][]byte
		var wrong error
		for piece := range slices.Chunk(data, max(1, int(step))) {
			have = append(have, piece...)
			n, err := frame(have)
			for rest := have[:n]; len(rest) > 0; {
				n := messageLength(rest)
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			have = have[n:]
			if wrong = err; wrong != nil {
				break
			}
		}
		if !slices.EqualFunc(messages, pieces, bytes.Equal) || (err == nil) != (wrong == nil) {
			t.Fatalf("%d messages at once (%v), %d in pieces (%v)", len(messages), err, len(pieces), wrong)
		}
	})
}
