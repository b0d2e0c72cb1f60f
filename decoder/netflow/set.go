package netflow

import (
	"encoding/binary"

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

// sets decodes the sets of a message in order. A bad length ends the message, since nothing behind it can be found.
// Zeros up to the end are padding: some exporters fill their datagrams up with them.
func (d *Decoder) sets(s *session, body []byte, c *context) {
	for len(body) >= setHeader {
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

// countSets returns how many sets there are in b, up to one of a bad length.
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

// otherSet decodes the templates of a set with an id of the other protocol: some exporters put the sets of NetFlow v9
// into IPFIX messages, or the other way round. It reports whether the set can be one, and does nothing if not.
func (d *Decoder) otherSet(s *session, id uint16, body []byte, c *context) bool {
	if len(body) < 8 || binary.BigEndian.Uint16(body) < firstDataSet || binary.BigEndian.Uint16(body[2:]) == 0 {
		return false
	}
	switch id {
	case setTemplateV9, setTemplateIPFIX:
		if int(binary.BigEndian.Uint16(body[2:]))*4 > len(body)-4 {
			return false
		}
		d.templateSet(s, body, c)
	case setOptionsV9:
		if !optionLengths(body) {
			return false
		}
		d.optionsSetV9(s, body, c)
	case setOptionsIPFIX:
		if int(binary.BigEndian.Uint16(body[2:]))*4 > len(body)-6 {
			return false
		}
		d.optionsSetIPFIX(s, body, c)
	default:
		return false
	}
	return true
}

// optionLengths reports whether the lengths of an options template of NetFlow v9 can be true.
func optionLengths(body []byte) bool {
	return int(binary.BigEndian.Uint16(body[2:]))+int(binary.BigEndian.Uint16(body[4:])) <= len(body)-6
}

// dataSet decodes the records of a data set, or holds it until its template comes.
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
	t.used = true
	if t.options {
		d.decodeOptions(t, s, body, c)
		return
	}
	d.decodeFlows(t, s, body, c)
}

// decodeFlows decodes the flow records of a set. What is left behind the last of them is padding (RFC 7011 §3.3.1), and
// so are zeros as long as a record. A set that does not divide into records of its template gives none: the template is
// not that of the data. A field of variable length that reaches beyond the set ends it.
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
	most := d.o.MaxRecords * s.source.scale
	for first := body; len(body) >= t.length; d.work.records += each {
		if len(body) <= padding && len(body) < len(first) {
			return
		}
		if d.work.records >= most && (t.length < leastFlow || c.oversized) {
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

// alignment is how long padding to a multiple of four bytes can be. Not all exporters fill it with zeros.
const alignment = 3

// fitsTemplate reports whether the records of a data set can be those of its template, and counts the set if not. An
// empty set holds nothing that could be lost.
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
		// nProbe sends more than its template says. One that came in the same datagram is not of another time, and one
		// record can be told from what follows it.
		s.stream.Fail(exporter.TrailingBytes, 1)
		return true
	}
	s.misfit(t, len(body))
	return false
}

// misfit counts a data set that does not fit its template. How many records it held is not known.
func (s *session) misfit(t *template, length int) {
	s.stream.Fail(exporter.TemplateMisfit, 1)
	s.stream.AddMisfit(t.id, t.length, length)
	s.unknownSet = true
}

// trailingZeros is how many zeros the set ends with, if they are as many as a record is long; else 0.
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

// skipRecords counts the records of a set without a look at them. How many there are is only known where all have one
// length.
func (d *Decoder) skipRecords(t *template, s *session, body []byte, reason exporter.Reason) {
	n := len(body) / t.length
	s.stream.Fail(reason, uint64(n))
	s.units += uint32(n)
	if t.variable {
		s.unknownSet = true
	}
}

// fillVariable takes a field that says its own length off body.
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

// clearRaw makes the raw values those of an empty record; records of this set's template may have filled the rare ones.
func (d *Decoder) clearRaw(t *template) {
	d.raw.usual = usual{}
	if t.traits&hasRare != 0 {
		d.raw.rare = rare{}
		d.reversed = d.reversed[:0]
	}
}

// complete finishes a record, and makes the second one of a biflow. Where only the other direction has packets, that is
// the one record.
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

// templateSet reads template records (RFC 7011 §3.4.1, RFC 3954 §5.2).
func (d *Decoder) templateSet(s *session, body []byte, c *context) {
	for len(body) >= 4 {
		t := &template{id: binary.BigEndian.Uint16(body)}
		count := int(binary.BigEndian.Uint16(body[2:]))
		body = body[4:]
		if count == 0 {
			if t.id == 0 {
				s.padding(body)
				return
			}
			d.withdraw(s, t)
			continue
		}
		var ok bool
		if t.fields, body, ok = readFields(body, count, s.key.protocol, false); !ok {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		if !d.mayDefine(s) {
			return
		}
		d.define(s, t, c)
	}
}

// mayDefine counts a definition; false: the datagram has more than any exporter sends.
func (d *Decoder) mayDefine(s *session) bool {
	if d.work.definitions++; d.work.definitions <= maxDefinitions*s.source.scale {
		return true
	}
	s.stream.Fail(exporter.TemplateLimit, 1)
	return false
}

// padding ends a set of templates at an id of 0: behind it there can only be padding.
func (s *session) padding(rest []byte) {
	if !zero(rest) {
		s.stream.Fail(exporter.BadTemplate, 1)
	}
}

// withdraw takes a withdrawal, of one template or (id 2 or 3) of all templates or options templates (RFC 7011 §8.1).
// Over UDP there must be none: it is counted and ignored, as is one of a template that is not known.
func (d *Decoder) withdraw(s *session, t *template) {
	if s.key.protocol == flow.NetFlowV9 {
		s.stream.Fail(exporter.BadTemplate, 1)
		return
	}
	if s.source.transport == 0 || !s.withdrawn(t) {
		s.stream.Fail(exporter.Withdrawal, 1)
		return
	}
	d.settle(s)
}

// optionsSetIPFIX reads options template records (RFC 7011 §3.4.2.2). There must be a scope; where real exporters send
// none, what their records say is of use all the same: of the domain, or of what other fields name.
func (d *Decoder) optionsSetIPFIX(s *session, body []byte, c *context) {
	for len(body) >= 4 {
		t := &template{id: binary.BigEndian.Uint16(body), options: true}
		count := int(binary.BigEndian.Uint16(body[2:]))
		body = body[4:]
		if count == 0 {
			// A withdrawal has no scope count: it is 4 bytes long here too.
			if t.id == 0 {
				s.padding(body)
				return
			}
			d.withdraw(s, t)
			continue
		}
		if len(body) < 2 {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		scopes := int(binary.BigEndian.Uint16(body))
		var ok bool
		if t.fields, body, ok = readFields(body[2:], count, flow.IPFIX, false); !ok {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		if scopes > count {
			s.stream.Fail(exporter.BadTemplate, 1)
			continue
		}
		if scopes == 0 {
			s.read(exporter.OptionsWithoutScope)
		}
		for i := range t.fields[:scopes] {
			t.fields[i].Scope = true
		}
		if !d.mayDefine(s) {
			return
		}
		d.define(s, t, c)
	}
}

// optionsSetV9 reads options template records of NetFlow v9, which give lengths in bytes (RFC 3954 §6.1).
func (d *Decoder) optionsSetV9(s *session, body []byte, c *context) {
	for len(body) >= 6 {
		t := &template{id: binary.BigEndian.Uint16(body), options: true}
		scopeBytes, optionBytes := int(binary.BigEndian.Uint16(body[2:])), int(binary.BigEndian.Uint16(body[4:]))
		body = body[6:]
		if t.id == 0 {
			s.padding(body)
			return
		}
		if scopeBytes+optionBytes > len(body) {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		scopeBytes, optionBytes = wholeFields(scopeBytes, optionBytes, len(body))
		scopes, _, _ := readFields(body[:scopeBytes], scopeBytes/4, flow.NetFlowV9, true)
		fields, _, _ := readFields(body[scopeBytes:scopeBytes+optionBytes], optionBytes/4, flow.NetFlowV9, false)
		t.fields = append(scopes, fields...)
		body = body[scopeBytes+optionBytes:]
		if !d.mayDefine(s) {
			return
		}
		d.define(s, t, c)
	}
}

// wholeFields corrects the lengths of an options template that are no multiple of a field specifier's four bytes. Some
// exporters add padding to them, some give the numbers of fields, which then fill the set.
func wholeFields(scopeBytes, optionBytes, left int) (scope, option int) {
	if scopeBytes%4 == 0 && optionBytes%4 == 0 {
		return scopeBytes, optionBytes
	}
	if fields := 4 * (scopeBytes + optionBytes); fields <= left && left-fields <= alignment {
		return 4 * scopeBytes, 4 * optionBytes
	}
	return scopeBytes &^ 3, optionBytes &^ 3
}

// enterpriseBit marks an element with an enterprise number behind it (RFC 7011 §3.2).
const enterpriseBit = 0x8000

// readFields reads count field specifiers. NetFlow v9 knows no enterprise numbers: there the bit is part of a vendor's
// own type, which no number follows; pen 0xffffffff keeps such a type from being taken for IANA's. Fields of variable
// length are IPFIX's, but H3C and HPE Comware have them in NetFlow v9 too, coded in the same way.
func readFields(b []byte, count int, protocol flow.Protocol, scope bool) (fields []field, rest []byte, ok bool) {
	if count*4 > len(b) {
		return nil, nil, false
	}
	fields = make([]field, 0, count)
	for range count {
		if len(b) < 4 {
			return nil, nil, false
		}
		f := field{ID: binary.BigEndian.Uint16(b), Length: binary.BigEndian.Uint16(b[2:]), Scope: scope, System: scope}
		b = b[4:]
		if f.ID&enterpriseBit != 0 {
			if protocol == flow.IPFIX {
				if len(b) < 4 {
					return nil, nil, false
				}
				f.ID &^= enterpriseBit
				f.PEN = binary.BigEndian.Uint32(b)
				b = b[4:]
			} else {
				f.PEN = vendorType
			}
		}
		fields = append(fields, f)
	}
	return fields, b, true
}

// vendorType stands for "no IANA element" where NetFlow v9 has no enterprise number.
const vendorType = 0xffffffff
