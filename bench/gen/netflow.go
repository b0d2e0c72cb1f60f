package gen

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Lengths, in bytes.
const (
	headerV9    = 20
	headerIPFIX = 16
	setHeader   = 4
	maxPadding  = 3
)

// Template ids: one for each family, and the options template.
const (
	templateIPv4 = 256 + iota
	templateIPv6
	templateOptions
)

// The width of a template: the first minFields say what flowed between whom.
const (
	minFields = 8
	maxFields = 30
)

// field is an element of the template; of times and counters IPFIX has wider ones.
type field struct {
	v4, v6    uint16 // the element's number in the template of each family
	length    int
	length6   int    // of IPv6, where it differs
	ipfix     uint16 // the element that IPFIX has in its place, of 8 bytes
	ipfixWide bool   // 8 bytes in IPFIX
	put       func(b []byte, s *sender, r *record)
}

func put16(b []byte, n uint16) { binary.BigEndian.PutUint16(b, n) }
func put32(b []byte, n uint32) { binary.BigEndian.PutUint32(b, n) }

// fields are those of a template, the first as many as it is wide.
func fields() []field {
	counter := func(b []byte, n uint32) { put32(b[len(b)-4:], n) }
	time := func(b []byte, s *sender, ms int64) {
		if len(b) == 8 {
			binary.BigEndian.PutUint64(b, uint64(ms))
			return
		}
		put32(b, s.uptime(ms))
	}
	return []field{
		{v4: 8, v6: 27, length: 4, length6: 16, put: func(b []byte, _ *sender, r *record) { copy(b, r.src[:]) }},
		{v4: 12, v6: 28, length: 4, length6: 16, put: func(b []byte, _ *sender, r *record) { copy(b, r.dst[:]) }},
		{v4: 7, length: 2, put: func(b []byte, _ *sender, r *record) { put16(b, r.srcPort) }},
		{v4: 11, length: 2, put: func(b []byte, _ *sender, r *record) { put16(b, r.dstPort) }},
		{v4: 4, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = r.protocol }},
		{v4: 1, length: 4, ipfixWide: true, put: func(b []byte, _ *sender, r *record) { counter(b, r.bytes) }},
		{v4: 2, length: 4, ipfixWide: true, put: func(b []byte, _ *sender, r *record) { counter(b, r.packets) }},
		{v4: 6, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = r.flags }},
		{v4: 10, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, r.in) }},
		{v4: 14, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, r.out) }},
		{v4: 22, length: 4, ipfix: 152, put: func(b []byte, s *sender, r *record) { time(b, s, r.startMs) }},
		{v4: 21, length: 4, ipfix: 153, put: func(b []byte, s *sender, r *record) { time(b, s, r.endMs) }},
		{v4: 5, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = r.tos }},
		{v4: 16, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, as(r.srcHost)) }},
		{v4: 17, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, as(r.dstHost)) }},
		{v4: 9, v6: 29, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = mask(r.six) }},
		{v4: 13, v6: 30, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = mask(r.six) }},
		{v4: 15, v6: 62, length: 4, length6: 16, put: func(b []byte, _ *sender, r *record) { nextHop(b, r.out) }},
		{v4: 18, v6: 63, length: 4, length6: 16,
			put: func(b []byte, _ *sender, r *record) { nextHop(b, r.out+interfaces) }},
		{v4: 61, length: 1, put: func(b []byte, _ *sender, _ *record) { b[0] = 0 }},
		{v4: 58, length: 2, put: func(b []byte, _ *sender, r *record) { put16(b, uint16(100+r.in)) }},
		{v4: 59, length: 2, put: func(b []byte, _ *sender, r *record) { put16(b, uint16(100+r.out)) }},
		{v4: 136, length: 1, put: func(b []byte, _ *sender, _ *record) { b[0] = 3 }},
		{v4: 89, length: 1, put: func(b []byte, _ *sender, _ *record) { b[0] = 0x40 }},
		{v4: 234, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, r.in) }},
		{v4: 235, length: 4, put: func(b []byte, _ *sender, r *record) { put32(b, r.out) }},
		{v4: 56, length: 6, put: func(b []byte, _ *sender, r *record) { mac(b, r.in) }},
		{v4: 80, length: 6, put: func(b []byte, _ *sender, r *record) { mac(b, r.out+interfaces) }},
		{v4: 60, length: 1, put: func(b []byte, _ *sender, r *record) { b[0] = version(r.six) }},
		{v4: 48, length: 1, put: func(b []byte, _ *sender, _ *record) { b[0] = 1 }},
	}
}

func mask(six bool) uint8 {
	if six {
		return 48
	}
	return 24
}

func version(six bool) uint8 {
	if six {
		return 6
	}
	return 4
}

// nextHop returns the address of a neighbor, from the networks for documentation (RFC 5737, RFC 3849).
func nextHop(b []byte, n uint32) {
	if len(b) == 4 {
		copy(b, []byte{192, 0, 2, byte(n)})
		return
	}
	copy(b, []byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: byte(n)})
}

// mac is an address that no vendor gives out.
func mac(b []byte, n uint32) { copy(b, []byte{2, 0, 0, 0, 0, byte(n)}) }

// width is a field's length in a protocol and family.
func (f *field) width(p flow.Protocol, six bool) int {
	switch {
	case p == flow.IPFIX && (f.ipfixWide || f.ipfix != 0):
		return 8
	case six && f.length6 != 0:
		return f.length6
	}
	return f.length
}

// id is a field's element in a protocol and family.
func (f *field) id(p flow.Protocol, six bool) uint16 {
	switch {
	case p == flow.IPFIX && f.ipfix != 0:
		return f.ipfix
	case six && f.v6 != 0:
		return f.v6
	}
	return f.v4
}

// layout is a template's fields with the length of each, for one family.
type layout struct {
	fields []field
	widths []int
	size   int
}

func newLayout(o Options, six bool) layout {
	l := layout{fields: fields()[:o.Fields]}
	for i := range l.fields {
		n := l.fields[i].width(o.Protocol, six)
		l.widths = append(l.widths, n)
		l.size += n
	}
	return l
}

func (s *sender) layout(six bool) *layout {
	if six {
		return &s.layouts[1]
	}
	return &s.layouts[0]
}

// appendFields appends a data record.
func (s *sender) appendFields(b []byte, r *record) []byte {
	l := s.layout(r.six)
	at := len(b)
	b = append(b, make([]byte, l.size)...)
	for i := range l.fields {
		end := at + l.widths[i]
		l.fields[i].put(b[at:end], s, r)
		at = end
	}
	return b
}

// appendData makes a datagram of the records collected: a set for each family that has any.
func (s *sender) appendData(nowMs int64) {
	s.begin(nowMs)
	sets := 0
	for family, id := range []uint16{templateIPv4, templateIPv6} {
		if len(s.body[family]) > 0 {
			s.appendSet(id, s.body[family])
			sets++
		}
	}
	s.end(sets, s.records)
}

// appendTemplates makes a datagram of all templates, and of what the exporter says of its sampling.
func (s *sender) appendTemplates(nowMs int64) {
	s.begin(nowMs)
	var body []byte
	count := 0
	for family, id := range []uint16{templateIPv4, templateIPv6} {
		six := family == 1
		if six && s.o.IPv6 == 0 || !six && s.o.IPv6 == 1 {
			continue
		}
		l := s.layout(six)
		body = binary.BigEndian.AppendUint16(body, id)
		body = binary.BigEndian.AppendUint16(body, uint16(len(l.fields)))
		for i := range l.fields {
			body = binary.BigEndian.AppendUint16(body, l.fields[i].id(s.o.Protocol, six))
			body = binary.BigEndian.AppendUint16(body, uint16(l.widths[i]))
		}
		count++
	}
	set, optionsSet := uint16(0), uint16(1)
	if s.o.Protocol == flow.IPFIX {
		set, optionsSet = 2, 3
	}
	s.appendSet(set, body)
	options := 0
	if s.o.Sampling > 1 {
		s.appendSet(optionsSet, s.samplingTemplate())
		s.appendSet(templateOptions, s.samplingOptions())
		count, options = count+2, 1
	}
	s.end(count, options)
}

// samplingTemplate is the options template: the scope is the whole exporter (v9) or the observation domain (IPFIX), and
// then the sampling interval (34) and algorithm (35).
func (s *sender) samplingTemplate() []byte {
	const id = templateOptions
	if s.o.Protocol == flow.IPFIX {
		return words16(id, 3, 1, 149, 4, 34, 4, 35, 1)
	}
	return words16(id, 4, 8, 1, 4, 34, 4, 35, 1)
}

func (s *sender) samplingOptions() []byte {
	const random = 2
	b := binary.BigEndian.AppendUint32(nil, s.domain())
	b = binary.BigEndian.AppendUint32(b, s.o.Sampling)
	return append(b, random)
}

func words16(list ...uint16) (b []byte) {
	for _, n := range list {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

// domain is the exporter's source id or observation domain.
func (s *sender) domain() uint32 { return 1 }

// begin begins a datagram of NetFlow v9 or IPFIX. end fills in its counts.
func (s *sender) begin(nowMs int64) {
	seconds := uint32(nowMs / 1000)
	if s.o.Protocol == flow.IPFIX {
		s.out = append(s.out[:0], make([]byte, headerIPFIX)...)
		put16(s.out, 10)
		put32(s.out[4:], seconds)
		put32(s.out[8:], s.sequence)
		put32(s.out[12:], s.domain())
		return
	}
	s.out = append(s.out[:0], make([]byte, headerV9)...)
	put16(s.out, 9)
	// so that the header's two clocks agree on when the exporter started
	put32(s.out[4:], s.uptime(int64(seconds)*1000))
	put32(s.out[8:], seconds)
	put32(s.out[12:], s.sequence)
	put32(s.out[16:], s.domain())
}

// appendSet appends a set, padded to four bytes.
func (s *sender) appendSet(id uint16, body []byte) {
	padding := -len(body) & 3
	s.out = binary.BigEndian.AppendUint16(s.out, id)
	s.out = binary.BigEndian.AppendUint16(s.out, uint16(setHeader+len(body)+padding))
	s.out = append(append(s.out, body...), make([]byte, padding)...)
}

// end completes the header: v9 counts records and datagrams, IPFIX bytes and data records.
func (s *sender) end(count, data int) {
	if s.o.Protocol == flow.IPFIX {
		put16(s.out[2:], uint16(len(s.out)))
		s.sequence += uint32(data)
		return
	}
	if count < data {
		count = data
	}
	put16(s.out[2:], uint16(count))
	s.sequence++
}
