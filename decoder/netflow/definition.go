package netflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// templateSet reads template records (RFC 7011 §3.4.1, RFC 3954 §5.2).
func (d *Decoder) templateSet(s *session, body []byte, c *context) {
	for len(body) >= 4 {
		t := d.announcement(body, false)
		count := int(binary.BigEndian.Uint16(body[2:]))
		body = body[4:]
		if count == 0 {
			if t.id == 0 {
				s.endsWith(body)
				return
			}
			d.withdraw(s, t)
			continue
		}
		var ok bool
		if t.fields, body, ok = readFields(t.fields, body, count, s.key.protocol, false); !ok {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		if !d.mayDefine(s) {
			return
		}
		d.define(s, t, c)
	}
}

// announcement starts reading a template or options template, whose id comes first. It is the decoder's own, in memory
// that the next call uses again: define keeps a copy of one that is new. Exporters announce templates over and over.
func (d *Decoder) announcement(b []byte, options bool) *template {
	d.announced = template{id: binary.BigEndian.Uint16(b), options: options, fields: d.announced.fields[:0]}
	return &d.announced
}

// mayDefine counts a definition. It returns false if the datagram has more than any exporter sends.
func (d *Decoder) mayDefine(s *session) bool {
	if d.work.definitions++; d.work.definitions <= maxDefinitions*s.source.scale {
		return true
	}
	s.stream.Fail(exporter.TemplateLimit, 1)
	return false
}

// endsWith ends a set of templates at an id of 0: only padding can follow.
func (s *session) endsWith(rest []byte) {
	if !zero(rest) {
		s.stream.Fail(exporter.BadTemplate, 1)
	}
}

// withdraw handles a withdrawal of one template or (id 2 or 3) of all templates or options templates (RFC 7011 §8.1).
// Over UDP withdrawals are forbidden: one is counted and ignored, like one of an unknown template.
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

// optionsSetIPFIX reads options template records (RFC 7011 §3.4.2.2). A scope is required. Real exporters sometimes
// send none; their records are used all the same, for the domain or for what other fields name.
func (d *Decoder) optionsSetIPFIX(s *session, body []byte, c *context) {
	for len(body) >= 4 {
		t := d.announcement(body, true)
		count := int(binary.BigEndian.Uint16(body[2:]))
		body = body[4:]
		if count == 0 {
			// A withdrawal has no scope count: it is 4 bytes long here too.
			if t.id == 0 {
				s.endsWith(body)
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
		if t.fields, body, ok = readFields(t.fields, body[2:], count, flow.IPFIX, false); !ok {
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

// optionsSetV9 reads options template records of NetFlow v9, whose lengths are in bytes (RFC 3954 §6.1).
func (d *Decoder) optionsSetV9(s *session, body []byte, c *context) {
	for len(body) >= 6 {
		t := d.announcement(body, true)
		scopeBytes, optionBytes := int(binary.BigEndian.Uint16(body[2:])), int(binary.BigEndian.Uint16(body[4:]))
		body = body[6:]
		if t.id == 0 {
			s.endsWith(body)
			return
		}
		if scopeBytes+optionBytes > len(body) {
			s.stream.Fail(exporter.BadTemplate, 1)
			return
		}
		scopeBytes, optionBytes = wholeFields(scopeBytes, optionBytes, len(body))
		t.fields, _, _ = readFields(t.fields, body[:scopeBytes], scopeBytes/4, flow.NetFlowV9, true)
		t.fields, _, _ = readFields(t.fields, body[scopeBytes:scopeBytes+optionBytes], optionBytes/4, flow.NetFlowV9,
			false)
		body = body[scopeBytes+optionBytes:]
		if !d.mayDefine(s) {
			return
		}
		d.define(s, t, c)
	}
}

// wholeFields corrects the lengths of an options template that are not multiples of a field specifier's four bytes.
// Some exporters add padding to them; some send the numbers of fields, which then fill the set.
func wholeFields(scopeBytes, optionBytes, left int) (scope, option int) {
	if scopeBytes%4 == 0 && optionBytes%4 == 0 {
		return scopeBytes, optionBytes
	}
	if fields := 4 * (scopeBytes + optionBytes); fields <= left && left-fields <= alignment {
		return 4 * scopeBytes, 4 * optionBytes
	}
	return scopeBytes &^ 3, optionBytes &^ 3
}

// enterpriseBit marks an element that is followed by an enterprise number (RFC 7011 §3.2).
const enterpriseBit = 0x8000

// readFields appends count field specifiers to fields. NetFlow v9 has no enterprise numbers: there the bit is part of a
// vendor's own type, and pen 0xffffffff keeps that from being taken for IANA's. Fields of variable length belong to
// IPFIX, but H3C and HPE Comware send them in NetFlow v9 too, in the same encoding.
func readFields(fields []field, b []byte, count int, protocol flow.Protocol, scope bool) (all []field, rest []byte,
	ok bool) {
	if count*4 > len(b) {
		return nil, nil, false
	}
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

// vendorType means "not an IANA element" in NetFlow v9, which has no enterprise numbers.
const vendorType = 0xffffffff

// otherSet decodes the templates of a set with an id of the other protocol: some exporters send NetFlow v9 sets in
// IPFIX messages or vice versa, or just use the other protocol's ids. It does nothing and returns false if the set
// cannot be one.
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
		return true
	case setOptionsV9, setOptionsIPFIX:
	default:
		return false
	}
	inBytes, asIPFIX := optionsFill(body, lengthV9), optionsFill(body, lengthIPFIX)
	switch {
	case inBytes && (id == setOptionsV9 || !asIPFIX):
		d.optionsSetV9(s, body, c)
	case asIPFIX:
		d.optionsSetIPFIX(s, body, c)
	case id == setOptionsV9 && optionLengths(body):
		d.optionsSetV9(s, body, c) // it corrects the lengths
	default:
		return false
	}
	return true
}

// optionsFill reports whether options templates fill a set, except for padding. length returns the length of the first
// one; 0: none can begin there.
func optionsFill(body []byte, length func([]byte) int) bool {
	for n := 0; ; n++ {
		if len(body) <= alignment || zero(body) {
			return n > 0
		}
		if len(body) < 6 || binary.BigEndian.Uint16(body) < firstDataSet {
			return false
		}
		one := length(body)
		if one == 0 || one > len(body) {
			return false
		}
		body = body[one:]
	}
}

// optionLengths reports whether the lengths of a NetFlow v9 options template are possible.
func optionLengths(body []byte) bool {
	return int(binary.BigEndian.Uint16(body[2:]))+int(binary.BigEndian.Uint16(body[4:])) <= len(body)-6
}

// lengthV9 returns the length of an options template whose parts have their lengths in bytes.
func lengthV9(body []byte) int {
	scope, option := int(binary.BigEndian.Uint16(body[2:])), int(binary.BigEndian.Uint16(body[4:]))
	if scope+option == 0 || scope%4 != 0 || option%4 != 0 {
		return 0
	}
	return 6 + scope + option
}

// lengthIPFIX returns the length of an options template that has the numbers of all fields and of its scope fields.
func lengthIPFIX(body []byte) int {
	count, scopes := int(binary.BigEndian.Uint16(body[2:])), int(binary.BigEndian.Uint16(body[4:]))
	if count == 0 || scopes > count {
		return 0
	}
	n := 6
	for range count {
		if n+4 > len(body) {
			return 0
		}
		if binary.BigEndian.Uint16(body[n:])&enterpriseBit != 0 {
			n += 4
		}
		n += 4
	}
	return n
}
