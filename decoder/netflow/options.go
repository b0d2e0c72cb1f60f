package netflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// maxNames limits the interfaces and VRFs that one exporter may name, maxNameLength each name.
const (
	maxNames      = 1 << 16
	maxNameLength = 255
)

// v9 scope kinds (RFC 3954 §6.1).
const (
	scopeSystem    = 1
	scopeInterface = 2
	scopeLineCard  = 3
	scopeTemplate  = 5
)

// optionRecord is one data record of an options template.
type optionRecord struct {
	raw            raw
	named          scopeNames // what it applies to, without samplers and domain
	selectors      selectors  // IE 48, 302
	interfaceIndex uint32
	hasInterface   bool
	domain         uint32 // scope observationDomainId (IE 149)
	hasDomain      bool
	wide           bool      // a scope names the whole exporter
	vrfs           [2]uint32 // IE 234, 235
	hasVRF         [2]bool
	rd             [8]byte // IE 90
	hasRD          bool
	name           []byte    // IE 82; like the others valid as long as the datagram
	description    []byte    // IE 83
	vrfName        []byte    // IE 236
	exporter       flow.Addr // IE 130, 131
	source         flow.Addr // of the datagram
}

// scope returns what the record's sampling rate applies to.
func (o *optionRecord) scope(s *session) scope {
	named := o.named
	if o.selectors.n > 0 {
		named.add(bySampler, o.selectors.ids[0])
	}
	if o.hasDomain && o.domain != 0 && o.domain != s.key.domain {
		named.add(byDomain, uint64(o.domain))
	}
	return named.scope()
}

// joined returns the thing whose samplers the record lists without a rate; false if it lists none.
func (o *optionRecord) joined() (scopeKey, bool) {
	key := o.named.scope()[0]
	return key, o.selectors.n > 0 && key.kind != noScope && key.kind != byOther
}

// ofExporter reports whether the record applies to all domains of its exporter: by its scope or, in IPFIX, because it
// is in domain 0, which means no particular domain (RFC 7011 §3.1).
func (o *optionRecord) ofExporter(s *session) bool {
	return !o.hasDomain && (o.wide || s.key.protocol == flow.NetFlowV9 || s.key.domain == 0)
}

// decodeOptions reads the option records of a set. They are rare, so the template's fields are interpreted without a
// plan.
func (d *Decoder) decodeOptions(t *template, s *session, body []byte, c *context) {
	if !s.fitsTemplate(t, body, c) {
		return
	}
	padding := 0
	if t.length > alignment {
		padding = trailingZeros(body, t.length)
	}
	for first := body; len(body) >= t.length && len(body) > 0; {
		if len(body) <= padding && len(body) < len(first) {
			return
		}
		if d.work.options++; !d.mayLearn(s) {
			s.stream.Fail(exporter.RecordLimit, uint64(len(body)/t.length))
			s.unknownSet = true
			return
		}
		o := optionRecord{source: s.source.addr}
		rest, ok := o.read(d.compiler, t, body, c)
		if !ok {
			s.stream.Fail(exporter.BadRecord, 1)
			s.unknownSet = true
			return
		}
		body = rest
		s.stream.Options.Add(1)
		s.options++
		d.learn(s, &o, c)
	}
}

// read reads one record from body.
func (o *optionRecord) read(elements *compiler, t *template, body []byte, c *context) (rest []byte, ok bool) {
	for _, f := range t.present {
		var v []byte
		if v, body, ok = cutField(body, f.Length); !ok {
			return nil, false
		}
		if len(v) == 0 || f.PEN != 0 {
			continue
		}
		if f.System && f.ID <= scopeTemplate {
			o.scopeV9(f.ID, v)
			continue
		}
		if f.System || f.Scope { // some v9 exporters name an element as the scope, as in IPFIX
			o.scopeIPFIX(f.ID, v)
		}
		o.field(elements, f, v, c)
	}
	return body, true
}

func (o *optionRecord) scopeV9(kind uint16, v []byte) {
	switch kind {
	case scopeSystem:
		o.wide = true
	case scopeInterface:
		o.ofInterface(unsigned32(v), false)
	case scopeLineCard:
		o.named.add(byCard, unsigned(v))
	case scopeTemplate:
		o.named.add(byTemplate, uint64(unsigned16(v)))
	default:
		o.named.add(byOther, hashOf(kind, v))
	}
}

func (o *optionRecord) scopeIPFIX(id uint16, v []byte) {
	switch id {
	case 48, 302: // as fields
	case 130, 131, 143, 144: // exporter, metering and exporting process
		o.wide = true
	case 145:
		o.named.add(byTemplate, uint64(unsigned16(v)))
	case 149:
		o.domain, o.hasDomain = unsigned32(v), true
	default:
		if scopeElement(id) == noScope {
			o.named.add(byOther, hashOf(id, v))
		}
	}
}

// ofInterface notes that the record applies to an interface; out says that it applies to flows metered at egress.
func (o *optionRecord) ofInterface(index uint32, out bool) {
	o.interfaceIndex, o.hasInterface = index, true
	o.named.add(byInterface, interfaceID(index, out))
}

func (o *optionRecord) field(elements *compiler, f field, v []byte, c *context) {
	switch f.ID {
	case 10, 14, 252, 253:
		o.ofInterface(unsigned32(v), f.ID == 14 || f.ID == 253)
	case 48, 302:
		o.selectors.add(unsigned(v))
	case 90:
		if len(v) == 8 {
			o.rd, o.hasRD = [8]byte(v), true
		}
	case 82:
		o.name = nameText(v)
	case 83:
		o.description = nameText(v)
	case 130, 131:
		o.raw.takeExporter(v, &o.exporter, &o.source)
	case 234, 235:
		o.vrfs[f.ID-234], o.hasVRF[f.ID-234] = unsigned32(v), true
		o.named.add(scopeElement(f.ID), unsigned(v))
	case 138, 141, 142, 301:
		o.named.add(scopeElement(f.ID), unsigned(v))
	case 236:
		o.vrfName = nameText(v)
	default:
		e := elements.elements[f.ID]
		if fits(e.op, len(v)) {
			o.raw.fill(e.op, e.arg, v, c)
		}
	}
}

// nameText returns a text of an option record without its padding of NULs or blanks.
func nameText(v []byte) []byte {
	v = v[:min(len(v), maxNameLength)]
	for i, b := range v {
		if b == 0 {
			v = v[:i]
			break
		}
	}
	for len(v) > 0 && v[len(v)-1] == ' ' {
		v = v[:len(v)-1]
	}
	return v
}

// learn keeps what an option record says about its exporter.
func (d *Decoder) learn(s *session, o *optionRecord, c *context) {
	if !d.believes(s, o, c) {
		return
	}
	s.learnSampling(o, c.received)
	src := s.source
	if o.raw.initMs != 0 {
		src.initMs = o.raw.initMs
	}
	if !o.exporter.IsUnspecified() && o.exporter != src.exporter {
		src.exporter = o.exporter
		for _, session := range src.sessions {
			session.stream.SetStated(o.exporter)
		}
	}
	d.settle(s)
	s.source.changed = true // at least the rates were seen again
	if o.hasInterface && len(o.name)+len(o.description) > 0 {
		d.nameInterface(s, o)
	}
	d.learnVRF(s, o)
}

// learnVRF keeps the name and route distinguisher of a VRF. A record with both ids describes one VRF; if they differ,
// the ingress VRF.
func (d *Decoder) learnVRF(s *session, o *optionRecord) {
	vrf := o.vrfs[0]
	if !o.hasVRF[0] {
		vrf = o.vrfs[1]
	}
	if !o.hasVRF[0] && !o.hasVRF[1] {
		return
	}
	if len(o.vrfName) > 0 {
		d.nameVRF(s, vrf, o.vrfName)
	}
	if o.hasRD {
		d.distinguishVRF(s, vrf, o.rd)
	}
}

// nameInterface keeps an interface's name. Exporters repeat names all the time; that allocates nothing.
func (d *Decoder) nameInterface(s *session, o *optionRecord) {
	names := s.source.nameTable()
	old, known := names.Interface[o.interfaceIndex]
	if known && old.Name == string(o.name) && old.Description == string(o.description) {
		return
	}
	if d.keepName(s, known || len(names.Interface) < maxNames, known, len(old.Name)+len(old.Description),
		len(o.name)+len(o.description)) {
		if names.Interface == nil {
			names.Interface = map[uint32]flow.InterfaceName{}
		}
		names.Interface[o.interfaceIndex] = flow.InterfaceName{Name: string(o.name), Description: string(o.description)}
		d.evictNames()
	}
}

func (d *Decoder) nameVRF(s *session, vrf uint32, name []byte) {
	names := s.source.nameTable()
	old, known := names.VRF[vrf]
	if known && old == string(name) {
		return
	}
	if d.keepName(s, known || len(names.VRF) < maxNames, known, len(old), len(name)) {
		if names.VRF == nil {
			names.VRF = map[uint32]string{}
		}
		names.VRF[vrf] = string(name)
		d.evictNames()
	}
}

// rdBytes is the length of a route distinguisher (RFC 4364 §4.2).
const rdBytes = 8

func (d *Decoder) distinguishVRF(s *session, vrf uint32, rd [rdBytes]byte) {
	names := s.source.nameTable()
	old, known := names.RD[vrf]
	if known && old == rd {
		return
	}
	if d.keepName(s, known || len(names.RD) < maxNames, known, rdBytes, rdBytes) {
		if names.RD == nil {
			names.RD = map[uint32][rdBytes]byte{}
		}
		names.RD[vrf] = rd
		d.evictNames()
	}
}

// keepName charges the source for a name; false: the source has too many.
func (d *Decoder) keepName(s *session, few, known bool, before, now int) bool {
	more := nameSize(now)
	if known {
		more -= nameSize(before)
	}
	holder := &s.source.has.names
	if holder.Used() == 0 {
		more += nameTableBytes
	}
	if !few || !d.memory.names.Fits(holder, more) {
		s.stream.Fail(exporter.NameLimit, 1)
		return false
	}
	d.work.news++
	d.memory.names.Add(holder, more)
	s.source.renamed, s.source.savedNames = true, nil
	return true
}

// nameTable returns the source's names. Its maps are made with their first entries.
func (s *source) nameTable() *flow.Names {
	if s.names == nil {
		s.names = &flow.Names{}
	}
	return s.names
}
