package netflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// sets decodes the sets of a message in order. An invalid length ends the message, because the next set cannot be
// found. Zeros up to the end are padding: some exporters fill their datagrams with them.
func (d *Decoder) sets(s *session, body []byte, c *context) {
	var p padding
	for whole := len(body); len(body) >= setHeader; {
		if between := p.before(body, whole-len(body)); between > 0 {
			s.read(exporter.PaddingLeftOut)
			body = body[between:]
			continue
		}
		id, length := binary.BigEndian.Uint16(body), int(binary.BigEndian.Uint16(body[2:]))
		if length < setHeader || length > len(body) {
			if id == 0 && length == 0 && zero(body) {
				return
			}
			s.stream.Fail(exporter.BadSet, 1)
			s.unknownSet = true
			return
		}
		if d.work.sets++; d.work.sets > maxSets*s.source.scale {
			s.stream.Fail(exporter.SetLimit, countSets(body))
			s.unknownSet = true
			return
		}
		d.set(s, id, body[setHeader:length], c)
		body = body[length:]
	}
	if len(body) > 0 && !zero(body) {
		s.stream.Fail(exporter.TrailingBytes, 1)
	}
}

// padding says whether a message has padding between its sets that is not part of their lengths. RFC 7011 §3.3.1
// includes it in the length; not all exporters do.
type padding struct{ decided, between bool }

// before returns how many bytes of padding precede the next set at the offset: they are zeros, and only with them do
// the sets fill the message. It is determined once for each message.
func (p *padding) before(body []byte, offset int) int {
	n := -offset & alignment
	if n == 0 || n >= len(body) || p.decided && !p.between || !zero(body[:n]) {
		return 0
	}
	if !p.decided {
		p.decided, p.between = true, !fills(body, offset, false) && fills(body, offset, true)
	}
	if !p.between {
		return 0
	}
	return n
}

// fills reports whether valid sets fill b, which begins at an offset: consecutive, or with padding between them.
func fills(b []byte, offset int, padded bool) bool {
	for n := 0; ; n++ {
		if padded {
			skip := min(-offset&alignment, len(b))
			b, offset = b[skip:], offset+skip
		}
		if zero(b) {
			return n > 0
		}
		if len(b) < setHeader {
			return false
		}
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if id > setOptionsIPFIX && id < firstDataSet || length < setHeader || length > len(b) {
			return false
		}
		b, offset = b[length:], offset+length
	}
}

// countSets returns how many sets there are in b, up to one with an invalid length.
func countSets(b []byte) (n uint64) {
	for len(b) >= setHeader {
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < setHeader || length > len(b) {
			break
		}
		b = b[length:]
		n++
	}
	return n
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
