package gen

import (
	"encoding/binary"
	"time"
)

// Lengths of NetFlow v5, in bytes, and how many records a datagram may have.
const (
	headerV5     = 24
	recordV5     = 48
	maxRecordsV5 = 30
)

// modeRandom is the sampling mode of the header, above the 14 bits of the rate.
const modeRandom = 2 << 14

// appendRecordV5 appends a record of NetFlow v5.
func (s *sender) appendRecordV5(b []byte, r *record) []byte {
	at := len(b)
	b = append(b, make([]byte, recordV5)...)
	p := b[at:]
	copy(p[0:4], r.src[:])
	copy(p[4:8], r.dst[:])
	nextHop(p[8:12], r.out)
	put16(p[12:], uint16(r.in))
	put16(p[14:], uint16(r.out))
	put32(p[16:], r.packets)
	put32(p[20:], r.bytes)
	put32(p[24:], s.uptime(r.startMs))
	put32(p[28:], s.uptime(r.endMs))
	put16(p[32:], r.srcPort)
	put16(p[34:], r.dstPort)
	p[37], p[38], p[39] = r.flags, r.protocol, r.tos
	put16(p[40:], uint16(as(r.srcHost)))
	put16(p[42:], uint16(as(r.dstHost)))
	p[44], p[45] = mask(false), mask(false)
	return b
}

// appendV5 makes a datagram of the records collected. NetFlow v5 numbers flows.
func (s *sender) appendV5(nowMs int64) {
	b := binary.BigEndian.AppendUint16(s.out[:0], 5)
	b = binary.BigEndian.AppendUint16(b, uint16(s.records))
	b = binary.BigEndian.AppendUint32(b, s.uptime(nowMs))
	b = binary.BigEndian.AppendUint32(b, uint32(nowMs/1000))
	b = binary.BigEndian.AppendUint32(b, uint32(nowMs%1000)*uint32(time.Millisecond))
	b = binary.BigEndian.AppendUint32(b, s.sequence)
	b = append(b, 0, 0)
	sampling := uint16(0)
	if s.o.Sampling > 1 {
		sampling = modeRandom | uint16(s.o.Sampling&0x3fff)
	}
	b = binary.BigEndian.AppendUint16(b, sampling)
	s.out = append(b, s.body[0]...)
	s.sequence += uint32(s.records)
}
