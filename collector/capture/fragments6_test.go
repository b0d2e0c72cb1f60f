package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// Where things are in the frames of parts6.
const (
	atLength  = 14 + 4  // payload length of the IPv6 header
	atSource  = 14 + 23 // last byte of the source address
	atTarget  = 14 + 39 // last byte of the destination address
	atNext    = 14 + 40 // of the fragment header: the protocol of the fragments' content
	atOffset  = 14 + 42 // of the fragment header: offset in bytes, and "more" in the lowest bit
	atContent = 14 + 48
)

// with returns a changed copy of a frame.
func with(frame []byte, change func([]byte)) []byte {
	frame = bytes.Clone(frame)
	change(frame)
	return frame
}

// shifted moves a fragment by some bytes of its datagram.
func shifted(frame []byte, by int) []byte {
	return with(frame, func(f []byte) {
		binary.BigEndian.PutUint16(f[atOffset:], uint16(int(binary.BigEndian.Uint16(f[atOffset:]))+by))
	})
}

// shortened leaves only n bytes of a fragment's content.
func shortened(frame []byte, n int) []byte {
	return with(frame, func(f []byte) { binary.BigEndian.PutUint16(f[atLength:], uint16(8+n)) })[:atContent+n]
}

// all sets one byte in each frame.
func all(frames [][]byte, at int, value byte) (changed [][]byte) {
	for _, f := range frames {
		changed = append(changed, with(f, func(f []byte) { f[at] = value }))
	}
	return changed
}

// RFC 8200 §4.5: fragments belong together by source, destination and identification. Those that overlap or are
// impossible give no datagram, and cost no other one.
func TestIPv6FragmentCases(t *testing.T) {
	a, b := bytes.Repeat([]byte("0123456789abcdef"), 200), bytes.Repeat([]byte("x"), 3000)
	one, other := parts6(t, 7, a, 1280), parts6(t, 8, b, 1280)
	sameID := parts6(t, 7, b, 1280)
	second, toOther := all(sameID, atSource, 9), all(sameID, atTarget, 9)
	many := parts6(t, 7, a, 64)
	shuffled := append(slices.Clone(many[1:]), many[0])
	for i := 0; i+5 < len(shuffled); i += 6 {
		shuffled[i], shuffled[i+5] = shuffled[i+5], shuffled[i]
	}
	reversed := slices.Clone(one)
	slices.Reverse(reversed)
	largest := bytes.Repeat([]byte("z"), 65535-8)
	tests := []struct {
		name   string
		frames [][]byte
		want   [][]byte // payloads
	}{
		{"backwards", reversed, [][]byte{a}},
		{"51 parts, shuffled", shuffled, [][]byte{a}},
		{"two sources by turns, one identification",
			[][]byte{one[0], second[0], one[1], second[1], second[2], one[2]}, [][]byte{b, a}},
		{"two destinations by turns, one identification",
			[][]byte{one[0], toOther[0], toOther[1], one[1], one[2], toOther[2]}, [][]byte{a, b}},
		{"each part twice", [][]byte{one[0], one[0], one[1], one[1], one[2]}, [][]byte{a}},
		{"a repeat within a part", [][]byte{one[0], shortened(one[0], 640), one[1], one[2]}, [][]byte{a}},
		{"the first part missing", append([][]byte{one[1], one[2]}, other...), [][]byte{b}},
		{"the last part missing", append([][]byte{one[0], one[1]}, other...), [][]byte{b}},
		{"an overlap by one unit ahead", append([][]byte{one[0], shifted(one[1], -8), one[2]}, other...), [][]byte{b}},
		{"an overlap by one unit behind", append([][]byte{one[0], one[2], shifted(one[1], 8)}, other...), [][]byte{b}},
		{"a gap of one unit", append([][]byte{one[0], shortened(one[1], 1272), one[2]}, other...), [][]byte{b}},
		{"a part beyond the last", append([][]byte{one[0], one[2], shifted(one[1], 8000)}, other...), [][]byte{b}},
		{"a part beyond 65535 bytes", append([][]byte{one[0], shifted(one[1], 65528-1280), one[1], one[2]}, other...),
			[][]byte{a, b}},
		{"a middle part of no whole units is ignored", [][]byte{one[0], shortened(one[1], 1277), one[1], one[2]},
			[][]byte{a}},
		{"an empty part", append([][]byte{one[0], shortened(one[1], 0)}, other...), [][]byte{b}},
		{"parts of TCP", append(all(one, atNext, byte(layers.IPProtocolTCP)), other...), [][]byte{b}},
		{"the largest datagram", parts6(t, 7, largest, 1280), [][]byte{largest}},
		{"one identification again after an overlap",
			append([][]byte{one[0], shifted(one[1], -8)}, one...), [][]byte{a}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, skipped, err := readAll(t, pcap(t, layers.LinkTypeEthernet, test.frames...))
			if !errors.Is(err, io.EOF) || len(got) != len(test.want) {
				t.Fatalf("%d datagrams, %+v, then %v; want %d", len(got), skipped, err, len(test.want))
			}
			for i, want := range test.want {
				if !bytes.Equal(got[i].Payload, want) || got[i].Truncated {
					t.Errorf("datagram %d has %d bytes that are not the %d sent, truncated: %v", i, len(got[i].Payload),
						len(want), got[i].Truncated)
				}
			}
		})
	}
}
