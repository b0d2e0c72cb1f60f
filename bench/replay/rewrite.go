package replay

import "encoding/binary"

// rewrite numbers a datagram next in its stream and moves its times to now, by whole seconds so that all clocks of an
// exporter go on agreeing. now is in Unix milliseconds. began is by how many seconds the whole capture was moved when
// its replay began: exporters seem to have started so much later.
func (d *datagram) rewrite(now, began int64) {
	b := d.payload
	switch d.version {
	case 5:
		d.shift(now, began, b[8:], b[4:])
		binary.BigEndian.PutUint32(b[16:], d.stream.next)
	case 9:
		d.shift(now, began, b[8:], b[4:])
		binary.BigEndian.PutUint32(b[12:], d.stream.next)
	case 10:
		d.shift(now, began, b[4:], nil)
		binary.BigEndian.PutUint32(b[8:], d.stream.next)
	default:
		d.rewriteSFlow(now, began)
	}
	d.stream.next += d.units
}

// shift moves the header's time to now, and all others of the datagram by as much: the header's uptime, if it has one,
// and what the records have.
func (d *datagram) shift(now, began int64, header, uptime []byte) {
	by := floorSeconds(now - int64(binary.BigEndian.Uint32(header))*1000)
	if by == 0 && d.moved {
		return
	}
	lived, born := by, int64(0) // of an exporter that started later, uptimes are what they were
	if !d.moved {
		lived, born = by-began, began
	}
	d.moved = true
	add32(header, uint32(by))
	if uptime != nil {
		add32(uptime, uint32(lived)*1000)
	}
	for _, f := range d.times {
		b := d.payload[f.offset:]
		switch f.kind {
		case uptimeMillis:
			add32(b, uint32(lived)*1000)
		case seconds:
			add32(b, uint32(by))
		case millis:
			add64(b, uint64(by)*1000)
		case startMillis:
			add64(b, uint64(born)*1000)
		}
	}
}

// rewriteSFlow numbers the datagram and its flow samples. Its only time is the uptime.
func (d *datagram) rewriteSFlow(now, began int64) {
	b := d.payload
	at, _, _ := sflowHead(b)
	lived := floorSeconds(now-d.at) - began
	binary.BigEndian.PutUint32(b[at:], d.stream.next)
	add32(b[at+4:], uint32(lived-d.shifted)*1000)
	d.shifted = lived
	for i := range d.samples {
		s := &d.samples[i]
		s.source.next++
		binary.BigEndian.PutUint32(b[s.offset:], s.source.next)
		binary.BigEndian.PutUint32(b[s.pool:], s.source.next*s.rate)
	}
}

func floorSeconds(ms int64) int64 {
	if ms < 0 {
		ms -= 999
	}
	return ms / 1000
}

func add32(b []byte, n uint32) { binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)+n) }

func add64(b []byte, n uint64) { binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)+n) }
