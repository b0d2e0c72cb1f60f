package replay

import (
	"encoding/binary"
	"net/netip"
)

// numbering is where a datagram has numbers and times that a later lap must have others of.
type numbering struct {
	version uint16
	stream  *stream
	units   uint32 // by which the datagram moves the stream's sequence number on
	shifted int64  // sFlow: seconds by which its uptime was moved so far
	moved   bool   // its times were moved before
	times   []timeField
	samples []sample
}

// stream is what numbers its datagrams: an observation domain, engine or sub-agent of an exporter.
type stream struct{ next uint32 }

// timeField is a field of a flow record that holds a time.
type timeField struct {
	offset uint16
	kind   timeKind
}

// timeKind is how a time is written.
type timeKind uint8

const (
	uptimeMillis timeKind = iota // 32 bits
	seconds                      // 32 bits, and the upper half of NTP's format
	millis                       // 64 bits
	startMillis                  // 64 bits, when the exporter started
)

// sample is a flow sample of sFlow: sequence number at offset, pool behind it.
type sample struct {
	offset, pool uint16
	rate         uint32
	source       *stream
}

// timeKinds are the elements that hold times.
func timeKinds() map[uint16]timeKind {
	return map[uint16]timeKind{
		21: uptimeMillis, 22: uptimeMillis, 150: seconds, 151: seconds, 152: millis, 153: millis,
		154: seconds, 155: seconds, 156: seconds, 157: seconds, 160: startMillis, 322: seconds, 323: millis,
		324: seconds, 325: seconds,
	}
}

// parser reads as much of datagrams as it takes to renumber them. It keeps the templates of every exporter.
type parser struct {
	kinds     map[uint16]timeKind
	streams   map[streamKey]*stream
	templates map[templateKey]*template
}

type streamKey struct {
	source  netip.Addr
	version uint16
	domain  uint64
	sampler uint64 // sFlow: 1<<63 and the data source of samples
}

type templateKey struct {
	streamKey
	id uint16
}

type template struct {
	options bool
	fields  []templateField
	length  int // of a record; -1: it varies
}

type templateField struct {
	length int
	kind   timeKind
	isTime bool
}

const variableLength = 0xffff

func newParser() parser {
	return parser{kinds: timeKinds(), streams: map[streamKey]*stream{}, templates: map[templateKey]*template{}}
}

func (p *parser) stream(key streamKey) *stream {
	s := p.streams[key]
	if s == nil {
		s = &stream{}
		p.streams[key] = s
	}
	return s
}

// parse returns what it takes to renumber a datagram, and how many flows it holds; false where it is of no protocol.
func (p *parser) parse(b []byte, source netip.Addr) (n numbering, flows int, ok bool) {
	if len(b) < 16 {
		return n, 0, false
	}
	n.version = binary.BigEndian.Uint16(b)
	key := streamKey{source: source, version: n.version}
	switch {
	case n.version == 5 && len(b) >= headerV5:
		key.domain = uint64(binary.BigEndian.Uint16(b[20:]))
		flows = p.v5(b, &n)
	case n.version == 9 && len(b) >= headerV9:
		key.domain = uint64(binary.BigEndian.Uint32(b[16:]))
		flows, _ = p.sets(b, headerV9, key, &n)
		n.units = 1
	case n.version == 10:
		key.domain = uint64(binary.BigEndian.Uint32(b[12:]))
		var options int
		flows, options = p.sets(b, headerIPFIX, key, &n)
		n.units = uint32(flows + options)
	case binary.BigEndian.Uint32(b) == 5:
		return p.sflow(b)
	default:
		return n, 0, false
	}
	n.stream = p.stream(key)
	return n, flows, true
}

// Lengths of headers, and of NetFlow v5's records.
const (
	headerV5    = 24
	recordV5    = 48
	headerV9    = 20
	headerIPFIX = 16
	setHeader   = 4
)

func (p *parser) v5(b []byte, n *numbering) int {
	count := min(int(binary.BigEndian.Uint16(b[2:])), (len(b)-headerV5)/recordV5)
	n.units = uint32(binary.BigEndian.Uint16(b[2:]))
	for i := range count {
		at := uint16(headerV5 + i*recordV5)
		n.times = append(n.times, timeField{at + 24, uptimeMillis}, timeField{at + 28, uptimeMillis})
	}
	return count
}

// sets walks the sets of NetFlow v9 or IPFIX and counts the data records: of flows, and of options.
func (p *parser) sets(b []byte, at int, key streamKey, n *numbering) (flows, options int) {
	for at+setHeader <= len(b) {
		id, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if length < setHeader || at+length > len(b) {
			break
		}
		end := at + length
		switch {
		case id < 2 && n.version == 9 || id >= 2 && id < 4 && n.version == 10:
			p.define(b[at+setHeader:end], id&1 == 1, key)
		case id >= 256:
			if t := p.templates[templateKey{key, id}]; t != nil {
				records := t.records(b[:end], at+setHeader, n)
				if t.options {
					options += records
				} else {
					flows += records
				}
			}
		}
		at = end
	}
	return flows, options
}

// define takes the templates of a set.
func (p *parser) define(b []byte, options bool, key streamKey) {
	for len(b) >= 4 {
		id, count := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if options {
			if len(b) < 2 {
				return
			}
			if key.version == 9 { // the lengths of scopes and of options, in bytes
				count = (count + int(binary.BigEndian.Uint16(b))) / 4
			}
			b = b[2:]
		}
		if id < 256 {
			return
		}
		t := &template{options: options}
		for range count {
			if len(b) < 4 {
				return
			}
			element, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
			b = b[4:]
			vendor := key.version == 10 && element&0x8000 != 0
			if vendor {
				if len(b) < 4 {
					return
				}
				b = b[4:]
			}
			kind, isTime := p.kinds[element]
			t.add(templateField{length: length, kind: kind, isTime: isTime && !vendor})
		}
		p.templates[templateKey{key, id}] = t
	}
}

func (t *template) add(f templateField) {
	if size := kindSize(f.kind); f.isTime && (f.length < size || f.length == variableLength) {
		f.isTime = false
	}
	t.fields = append(t.fields, f)
	switch {
	case f.length == variableLength:
		t.length = -1
	case t.length >= 0:
		t.length += f.length
	}
}

func kindSize(k timeKind) int {
	if k == millis || k == startMillis {
		return 8
	}
	return 4
}

// records walks the records of a data set that begins at an offset and ends with b, notes their times, and counts them.
func (t *template) records(b []byte, at int, n *numbering) (count int) {
	if t.length == 0 {
		return 0
	}
	for at+max(t.length, 1) <= len(b) {
		mark := len(n.times)
		end, ok := t.record(b, at, n)
		if !ok {
			n.times = n.times[:mark]
			break
		}
		at = end
		count++
	}
	return count
}

func (t *template) record(b []byte, at int, n *numbering) (end int, ok bool) {
	for _, f := range t.fields {
		length := f.length
		if length == variableLength {
			if at >= len(b) {
				return 0, false
			}
			length = int(b[at])
			at++
			if length == 255 {
				if at+2 > len(b) {
					return 0, false
				}
				length = int(binary.BigEndian.Uint16(b[at:]))
				at += 2
			}
		}
		if at+length > len(b) {
			return 0, false
		}
		if f.isTime {
			n.times = append(n.times, timeField{uint16(at + length - kindSize(f.kind)), f.kind})
			if f.kind == seconds { // NTP's fraction stands behind them
				n.times[len(n.times)-1].offset = uint16(at)
			}
		}
		at += length
	}
	return at, true
}
