package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// maxAnnouncers limits the observation domains whose sampling rates an exporter's other domains use.
const maxAnnouncers = 64

// An announcer is an observation domain with sampling rates in its option records. Exporters announce what applies to
// all their domains in one of them: a route processor for its line cards (RFC 3954 §6.1, scope System), a Catalyst
// 9300 in a separate source id.
type announcer struct {
	key    sessionKey
	rates  *samplingRates
	stream *exporter.Stream // nil: from an earlier run, or evicted
}

// announce notes that a domain has rates.
func (src *source) announce(key sessionKey, rates *samplingRates, stream *exporter.Stream) {
	for i := range src.announcers {
		a := &src.announcers[i]
		if a.key != key {
			continue
		}
		if a.rates != rates {
			a.rates, a.stream = rates, stream
			src.ratesChanged++
		}
		return
	}
	src.announcers = slices.DeleteFunc(src.announcers,
		func(a announcer) bool { return a.stream != nil && a.stream.Gone() })
	if len(src.announcers) < maxAnnouncers {
		src.announcers = append(src.announcers, announcer{key, rates, stream})
		src.ratesChanged++
	}
}

// silence removes a domain's rates.
func (src *source) silence(key sessionKey) {
	src.announcers = slices.DeleteFunc(src.announcers, func(a announcer) bool { return a.key == key })
	src.ratesChanged++
}

// announceDomain keeps the rate that one domain's option record says of another (scope observationDomainId, IE 149).
// now is in Unix seconds. Those that were not repeated for as long as templates live are forgotten; n is how many.
func (src *source) announceDomain(key sessionKey, rate, now, keep uint32) (changed bool, n int) {
	was, known := src.domainRates[key]
	if !known && len(src.domainRates) >= maxAnnouncers {
		return false, 0
	}
	put(&src.domainRates, key, heardRate{rate, now})
	for other, heard := range src.domainRates {
		if heard.seen+keep < now {
			delete(src.domainRates, other)
			n++
		}
	}
	return was.rate != rate || n > 0, n
}

// elsewhere has what an exporter's other domains announce for one domain's records. It is computed once after each
// change.
type elsewhere struct {
	changes uint64 // the source.ratesChanged that the rest was computed for
	any     bool   // rates are announced for this protocol
	named   uint32 // the rate for this domain in another domain's option record
	system  agreed // the rate of the whole exporter, from each domain that has one
	only    uint32 // the rate of all samplers, if they agree
}

// findElsewhere returns what the exporter's other domains with the same protocol announce for the things that a record
// names.
func (s *session) findElsewhere(m *metered, from, to scopeKind) (found agreed) {
	for i := range s.source.announcers {
		if a := &s.source.announcers[i]; s.hears(a) {
			one := s.find(a.rates, m, from, to)
			found.add(agreed{rate: one.rate})
			found.add(one.unsure)
		}
	}
	return found
}

// hears reports whether an announcer is another domain of the session's exporter and protocol.
func (s *session) hears(a *announcer) bool {
	return a.key.protocol == s.key.protocol && a.key != s.key && (a.stream == nil || !a.stream.Gone())
}

// samplerElsewhere returns the rate of a sampler that other domains describe; 0 if none does, or they differ.
func (s *session) samplerElsewhere(id uint64) uint32 {
	var found agreed
	for i := range s.source.announcers {
		if a := &s.source.announcers[i]; s.hears(a) {
			found.add(agreed{rate: a.rates.single[scopeKey{bySampler, id}].rate})
		}
	}
	return found.sure()
}

// announcedElsewhere returns the rate that other domains announce for a record for which its own domain has nothing
// certain. named says that the record names a sampler, which must not be confused with another. unsure are rates of its
// own domain.
func (s *session) announcedElsewhere(m *metered, named bool, unsure agreed) (uint32, flow.SamplingSource) {
	e := s.resolveElsewhere()
	if !e.any {
		return 1, flow.SamplingAssumed
	}
	if e.named != 0 {
		return e.named, flow.SamplingDomain
	}
	found := s.findElsewhere(m, byTemplate+1, byEgressVRF)
	switch {
	case found.sure() != 0:
		return found.rate, flow.SamplingExporter
	case e.system.sure() != 0:
		return e.system.rate, flow.SamplingExporter
	case e.only != 0 && !named:
		return e.only, flow.SamplingInferred
	}
	unsure.add(found)
	unsure.add(e.system)
	if unsure.rate != 0 {
		return unsure.rate, flow.SamplingAmbiguous
	}
	return 1, flow.SamplingAssumed
}

func (s *session) resolveElsewhere() *elsewhere {
	e := &s.elsewhere
	if e.changes == s.source.ratesChanged {
		return e
	}
	*e = elsewhere{changes: s.source.ratesChanged, named: s.source.domainRates[s.key].rate, any: !s.sampling.empty()}
	e.any = e.any || e.named != 0
	var only agreed
	for i := range s.source.announcers {
		if a := &s.source.announcers[i]; s.hears(a) {
			e.any = e.any || !a.rates.empty()
			e.system.add(agreed{rate: a.rates.system})
			only.add(a.rates.samplers())
		}
	}
	e.only = only.sure()
	return e
}
