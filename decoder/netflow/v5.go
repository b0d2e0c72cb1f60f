package netflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Lengths of NetFlow v5 in bytes, and the bits of its sampling field that are the rate (the two upper bits are the
// mode).
const (
	headerV5       = 24
	recordV5       = 48
	samplingRateV5 = 0x3fff
)

// DecodeV5 decodes a NetFlow v5 datagram, adds its records to b and flushes b. The datagram's length decides how many
// there are, and the header's count only if it is smaller (case 1).
func (d *Decoder) DecodeV5(dg *exporter.Datagram, b *flow.Batch) {
	d.batch = b
	p := dg.Payload
	if len(p) < headerV5 {
		d.table.Unattributed(exporter.Truncated)
		return
	}
	headerMs := int64(binary.BigEndian.Uint32(p[8:])) * 1000
	if nanoseconds := binary.BigEndian.Uint32(p[12:]); nanoseconds < 1e9 { // else it is not filled in
		headerMs += int64(nanoseconds) / 1e6
	}
	c := context{
		uptime:    binary.BigEndian.Uint32(p[4:]),
		hasUptime: true,
		received:  dg.Received,
		sequence:  binary.BigEndian.Uint32(p[16:]),
	}
	s := d.session(dg, flow.NetFlowV5, uint32(p[20])<<8|uint32(p[21]))
	s.begin(dg, &c, headerMs)
	s.restarted(headerMs - int64(c.uptime))
	s.samplingV5(binary.BigEndian.Uint16(p[22:]))
	count := int(binary.BigEndian.Uint16(p[2:]))
	records := p[headerV5:]
	damaged := false
	if whole := len(records) / recordV5; whole < count {
		s.stream.Fail(exporter.Truncated, 1)
		damaged = true
	} else if whole > count {
		s.stream.Fail(exporter.TrailingBytes, 1)
	}
	s.units = uint32(count)
	s.number(c.sequence)
	for n := 0; count > 0 && len(records) >= recordV5; count-- {
		if n++; d.o.MaxRecords > 0 && n > min(d.o.MaxRecords, maxRecordsV5) {
			s.stream.Fail(exporter.RecordLimit, uint64(min(count, len(records)/recordV5)))
			break
		}
		d.recordV5((*[recordV5]byte)(records), s, &c, damaged)
		records = records[recordV5:]
	}
	s.end(d)
}

// maxRecordsV5 is how many records a datagram of NetFlow v5 has at most, where that is bounded: twice as many as the
// protocol allows. Random times of flows, which v5 always has, make rows that are dear to the store.
const maxRecordsV5 = 60

const fieldsV5 = flow.SrcAddr | flow.DstAddr | flow.NextHop | flow.InIf | flow.OutIf | flow.Packets | flow.Bytes |
	flow.SrcPort | flow.DstPort | flow.TCPFlags | flow.IPProtocol | flow.ToS | flow.SrcAS | flow.DstAS | flow.SrcMask |
	flow.DstMask

// recordV5 decodes one record. In a damaged datagram times stay as sent: the datagram is wrong, and not the exporter's
// clock.
func (d *Decoder) recordV5(p *[recordV5]byte, s *session, c *context, damaged bool) {
	r := d.next(s, c)
	r.Has = fieldsV5
	r.IPVersion = 4
	setAddr4(&r.SrcAddr, p[0:4])
	setAddr4(&r.DstAddr, p[4:8])
	setAddr4(&r.NextHop, p[8:12])
	r.InIf = uint32(binary.BigEndian.Uint16(p[12:]))
	r.OutIf = uint32(binary.BigEndian.Uint16(p[14:]))
	r.Packets = uint64(binary.BigEndian.Uint32(p[16:]))
	r.Bytes = uint64(binary.BigEndian.Uint32(p[20:]))
	first, last := binary.BigEndian.Uint32(p[24:]), binary.BigEndian.Uint32(p[28:])
	r.SrcPort = binary.BigEndian.Uint16(p[32:])
	r.DstPort = binary.BigEndian.Uint16(p[34:])
	r.TCPFlags = uint16(p[37])
	r.IPProtocol = p[38]
	r.ToS = p[39]
	r.SrcAS = as16(binary.BigEndian.Uint16(p[40:]))
	r.DstAS = as16(binary.BigEndian.Uint16(p[42:]))
	r.SrcMask, r.DstMask = p[44], p[45]
	if r.IPProtocol == protocolICMP {
		r.ICMPType, r.ICMPCode = p[34], p[35]
		r.Has |= flow.ICMP
	}
	if hasFirst, hasLast := filledIn(first, last); hasFirst && hasLast {
		r.Has |= flow.Start | flow.End
		if damaged {
			r.StartMs, r.EndMs = c.exportMs-age(c.uptime, first), c.exportMs-age(c.uptime, last)
		} else {
			r.StartMs, r.EndMs, _ = s.placeUptimes(c.exportMs, c.uptime, first, last)
		}
	} else {
		timesV5(r, s, c, first, last)
	}
	r.SamplingRate, r.SamplingSource = s.headerRate, s.headerRateBy
	s.source.overrides.Apply(r)
	d.count(r)
}

// timesV5 sets the times of a record in which the exporter filled in one uptime or none (case 6).
func timesV5(r *flow.Record, s *session, c *context, first, last uint32) {
	w := raw{usual: usual{firstUptime: first, lastUptime: last, hasFirst: true, hasLast: true}}
	finishTimes(r, &w, s, c)
}

// samplingV5 reads the header's sampling field: two bits of mode, of which 3 is not defined, and 14 bits of rate. An
// exporter that has sent mode 3 (Juniper) uses all 16 bits for the rate.
func (s *session) samplingV5(field uint16) {
	s.headerRate, s.headerRateBy = uint32(field&samplingRateV5), flow.SamplingHeader
	if field>>14 == 3 {
		s.wideRate = true
	}
	switch {
	case s.wideRate && field > samplingRateV5:
		s.headerRate, s.headerRateBy = uint32(field), flow.SamplingHeader16
		s.read(exporter.SamplingAll16Bits)
	case s.headerRate == 0:
		s.headerRate, s.headerRateBy = 1, flow.SamplingAssumed
	}
}

const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
)

// asTrans is sent for an AS number that does not fit 16 bits (RFC 6793 §9): it says no more than 0 does.
const asTrans = 23456

func as16(n uint16) uint32 {
	if n == asTrans {
		return 0
	}
	return uint32(n)
}
