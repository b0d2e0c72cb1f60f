package netflow

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Domain is a decoder's knowledge of one observation domain, for people.
type Domain struct {
	Key          exporter.Key
	Templates    []Template
	Rates        []ScopedRate // sampling rates of option records and what they apply to, sorted
	DomainRate   uint32       // of the whole domain; 0: none
	Interfaces   int          // names in option records
	VRFs         int
	ExporterAddr flow.Addr // IE 130/131 of an option record; unset: none
}

// ScopedRate is the sampling rate of a part of an observation domain.
type ScopedRate struct {
	Of   string // "sampler 3"
	Rate uint32
}

// Template is one definition.
type Template struct {
	ID       uint16
	Options  bool
	Length   int // of a record in bytes; with Variable, the shortest
	Fields   []TemplateField
	Variable bool
	SeenMs   int64 // Unix milliseconds
}

// TemplateField is one field of a template.
type TemplateField struct {
	Name   string // IANA's number, with the enterprise's before it
	IANA   uint16 // that number; 0 where it is not IANA's
	Length int    // bytes; -1: variable
	Scope  bool
	Used   bool // its value goes into the record
}

// Dump returns the decoder's knowledge by exporter and domain.
func (d *Decoder) Dump() []Domain {
	var all []Domain
	for _, src := range d.sources {
		for _, s := range src.sessions {
			all = append(all, d.dump(src, s))
		}
	}
	slices.SortFunc(all, func(a, b Domain) int {
		return cmp.Or(
			slices.Compare(a.Key.Exporter[:], b.Key.Exporter[:]),
			cmp.Compare(a.Key.Protocol, b.Key.Protocol), cmp.Compare(a.Key.Domain, b.Key.Domain),
		)
	})
	return all
}

func (d *Decoder) dump(src *source, s *session) Domain {
	domain := Domain{
		Key: s.stream.Key, Rates: s.sampling.dump(), DomainRate: s.sampling.domain, ExporterAddr: src.exporter,
	}
	if src.names != nil {
		domain.Interfaces, domain.VRFs = len(src.names.Interface), len(src.names.VRF)
	}
	for _, t := range s.sorted() {
		out := Template{ID: t.id, Options: t.options, Length: t.length, Variable: t.variable, SeenMs: t.seen / 1e6}
		for _, f := range t.fields {
			out.Fields = append(out.Fields, d.dumpField(f, t.options))
		}
		domain.Templates = append(domain.Templates, out)
	}
	return domain
}

func (s *samplingRates) dump() (all []ScopedRate) {
	rates := maps.Clone(s.several)
	for key, heard := range s.single {
		put(&rates, scope{key}, heard)
	}
	for _, of := range slices.SortedFunc(maps.Keys(rates), func(a, b scope) int {
		return slices.CompareFunc(a[:], b[:], func(a,
			b scopeKey) int {
			return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
		})
	}) {
		all = append(all, ScopedRate{of.String(), rates[of].rate})
	}
	return all
}

func (d *Decoder) dumpField(f field, options bool) TemplateField {
	name := strconv.Itoa(int(f.ID))
	var iana uint16
	switch {
	case f.PEN == 0 && !f.System:
		iana = f.ID
	case f.System:
		name = "scope " + name
	case f.PEN == vendorType:
	case f.PEN != 0:
		name = strconv.FormatUint(uint64(f.PEN), 10) + "/" + name
	}
	length := int(f.Length)
	if f.Length == variableLength {
		length = -1
	}
	s := d.compiler.step(f, options)
	return TemplateField{Name: name, IANA: iana, Length: length, Scope: f.Scope, Used: s.op != opSkip}
}
