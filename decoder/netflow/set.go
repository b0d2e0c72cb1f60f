package netflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Set ids (RFC 7011 §3.3.2, RFC 3954 §5.2 and §6.1).
const (
	setTemplateV9    = 0
	setOptionsV9     = 1
	setTemplateIPFIX = 2
	setOptionsIPFIX  = 3
	firstDataSet     = 256
)

func (d *Decoder) set(s *session, id uint16, body []byte, c *context) {
	ipfix := s.key.protocol == flow.IPFIX
	switch {
	case id >= firstDataSet:
		d.dataSet(s, id, body, c)
	case ipfix && id == setTemplateIPFIX, !ipfix && id == setTemplateV9:
		d.templateSet(s, body, c)
	case ipfix && id == setOptionsIPFIX:
		d.optionsSetIPFIX(s, body, c)
	case !ipfix && id == setOptionsV9:
		d.optionsSetV9(s, body, c)
	case d.otherSet(s, id, body, c):
		s.read(exporter.OtherSetIDs)
	default:
		s.stream.Fail(exporter.UnknownSet, 1)
	}
}

// dataSet decodes the records of a data set, or holds it until its template is received.
func (d *Decoder) dataSet(s *session, id uint16, body []byte, c *context) {
	t := s.lookup(id, s.lastPort)
	if t == nil {
		s.unknownSet = true
		d.hold(s, id, body, c)
		return
	}
	s.templates.gaveData(t, s.lastPort, c.received)
	d.records(t, s, body, c)
}

func (d *Decoder) records(t *template, s *session, body []byte, c *context) {
	d.raw = raw{}
	if !t.used {
		d.compiler.compile(t)
		t.used = true
	}
	if t.options {
		d.decodeOptions(t, s, body, c)
		return
	}
	d.decodeFlows(t, s, body, c)
}

// decodeFlows decodes the flow records of a set. The rest after the last record is padding (RFC 7011 §3.3.1), and so
// are zeros as long as a record. A set that is not a whole number of its template's records gives none: the template
// does not match the data. A field of variable length that extends beyond the set ends it.
func (d *Decoder) decodeFlows(t *template, s *session, body []byte, c *context) {
	if d.o.FlowsOnly && t.traits&isFlow == 0 {
		d.skipRecords(t, s, body, exporter.NoFlow)
		return
	}
	if !s.fitsTemplate(t, body, c) {
		return
	}
	padding := 0
	if t.sent != 0 {
		padding = trailingZeros(body, t.length)
	}
	each := 1
	if t.traits&(biflow|responder) != 0 {
		each = 2
	}
	w := d.work
	most := w.mostWide(d.mostRecords(s), t.length/each, len(body)/t.length*each)
	for first := body; len(body) >= t.length; w.records += each {
		if len(body) <= padding && len(body) < len(first) {
			return
		}
		if w.records >= most {
			d.skipRecords(t, s, body, exporter.RecordLimit)
			return
		}
		r := d.next(s, c)
		r.TemplateID, r.Has = t.id, t.sent
		d.clearRaw(t)
		for i := range t.runs {
			run := &t.runs[i]
			fixed, rest, ok := cut(body, run.length)
			if ok {
				fillPlain(run.plain, fixed, r, &d.raw)
				d.fill(run.plan, fixed, r, &d.raw, c)
			}
			if ok && run.ends {
				rest, ok = d.fillVariable(&run.end, rest, r, c)
			}
			if !ok {
				d.batch.Drop()
				s.stream.Fail(exporter.BadRecord, 1)
				s.unknownSet = true
				return
			}
			body = rest
		}
		d.complete(t, r, s, c)
	}
	if t.variable && len(body) > alignment && !zero(body) {
		s.misfit(t, len(body))
	}
}

// alignment is the longest padding to a multiple of four bytes. Not all exporters fill it with zeros.
const alignment = 3

// fitsTemplate reports whether the records of a data set can match its template, and counts the set if not. An empty
// set has nothing that could be lost.
func (s *session) fitsTemplate(t *template, body []byte, c *context) bool {
	left := len(body)
	if left >= t.length {
		if t.variable {
			return true
		}
		left %= t.length
	} else if left > alignment {
		s.misfit(t, len(body))
		return false
	}
	if left <= alignment || zero(body[len(body)-left:]) {
		return true
	}
	if left == len(body)-t.length && t.seen == c.received {
		// nProbe sends more than its template says. A template in the same datagram is not outdated, and a single
		// record can be separated from what follows.
		s.stream.Fail(exporter.TrailingBytes, 1)
		return true
	}
	s.misfit(t, len(body))
	return false
}

// misfit counts a data set that does not match its template. How many records it held is unknown.
func (s *session) misfit(t *template, length int) {
	s.stream.Fail(exporter.TemplateMisfit, 1)
	s.stream.AddMisfit(t.id, t.length, length)
	s.unknownSet = true
}

// trailingZeros returns how many zeros the set ends with, if they are at least as long as a record; else 0.
func trailingZeros(body []byte, length int) int {
	if len(body) <= length || !zero(body[len(body)-length:]) {
		return 0
	}
	n := length
	for n < len(body) && body[len(body)-1-n] == 0 {
		n++
	}
	return n
}

// skipRecords counts the records of a set without decoding them. Their number is only known if all have the same
// length.
func (d *Decoder) skipRecords(t *template, s *session, body []byte, reason exporter.Reason) {
	n := len(body) / t.length
	s.stream.Fail(reason, uint64(n))
	s.units += uint32(n)
	if t.variable {
		s.unknownSet = true
	}
}

// fillVariable reads a field that has its own length from body.
func (d *Decoder) fillVariable(s *step, body []byte, r *flow.Record, c *context) (rest []byte, ok bool) {
	v, rest, ok := cutVariable(body)
	if s.op == opSkip || len(v) == 0 || !fits(s.op, len(v)) || !fits(s.of, len(v)) {
		return rest, ok
	}
	r.Has |= s.sent
	one := [1]step{{op: s.op, arg: s.arg, of: s.of, length: uint16(len(v))}}
	d.fill(one[:], v, r, &d.raw, c)
	return rest, true
}

// clearRaw clears the raw values. Records of this set's template may have filled the rare ones.
func (d *Decoder) clearRaw(t *template) {
	d.raw.usual = usual{}
	if t.traits&hasRare != 0 {
		d.raw.rare = rare{}
		d.reversed = d.reversed[:0]
	}
}

// complete finishes a record, and makes a biflow's second one. If only the other direction has packets, that is the
// only record.
func (d *Decoder) complete(t *template, r *flow.Record, s *session, c *context) {
	s.units++
	d.finish(t, r, &d.raw, s, c)
	if t.traits&(biflow|responder) != 0 && (d.raw.reversePackets.n != 0 || d.raw.reverseBytes.n != 0) {
		forward := *r
		if r.Bytes != 0 || r.Packets != 0 {
			d.count(r)
			r = d.batch.Next()
		}
		d.reverse(r, &forward, &d.raw, s, c)
	}
	d.count(r)
}
