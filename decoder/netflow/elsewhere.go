package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// maxAnnouncers bounds the observation domains whose sampling rates the other domains of an exporter look at.
const maxAnnouncers = 64

// An announcer is an observation domain of which option records said sampling rates. Exporters announce what holds for
// all their domains in one of them: a route processor for its line cards (RFC 3954 §6.1, scope System), a Catalyst 9300
// in a source id of its own.
type announcer struct {
	key    sessionKey
	rates  *samplingRates
	stream *exporter.Stream // nil: of an earlier run, or evicted
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

// silence forgets a domain's rates.
func (src *source) silence(key sessionKey) {
	src.announcers = slices.DeleteFunc(src.announcers, func(a announcer) bool { return a.key == key })
	src.ratesChanged++
}

// announceDomain keeps the rate that one domain's option record says of another (scope observationDomainId, IE 149).
func (src *source) announceDomain(key sessionKey, rate uint32) (changed bool) {
	if _, known := src.domainRates[key]; !known && len(src.domainRates) >= maxAnnouncers {
		return false
	}
	return learnRate(&src.domainRates, key, rate)
}

// elsewhere is what the other domains of an exporter say of one domain's records. It is worked out once for each
// change.
type elsewhere struct {
	changes uint64 // source.ratesChanged of the rest
	any     bool   // rates are announced for this protocol
	named   uint32 // the rate that another domain's option record says of this one
	system  uint32 // the rate of the whole exporter, if the domains agree
	only    uint32 // the rate of all samplers, if all have the same
}

// agreed adds a rate to those seen so far; ambiguous from when two differ.
type agreed struct {
	rate      uint32
	ambiguous bool
}

func (a *agreed) add(rate uint32) {
	if rate != 0 && a.rate != 0 && a.rate != rate {
		a.ambiguous = true
	}
	if rate != 0 {
		a.rate = rate
	}
}

func (a *agreed) get() uint32 {
	if a.ambiguous {
		return 0
	}
	return a.rate
}

// others calls f with the rates of the exporter's other domains of the protocol.
func (s *session) others(f func(*samplingRates)) {
	for i := range s.source.announcers {
		a := &s.source.announcers[i]
		if a.key.protocol == s.key.protocol && a.key != s.key && (a.stream == nil || !a.stream.Gone()) {
			f(a.rates)
		}
	}
}

// samplerElsewhere is the rate of a sampler that another domain describes, if only one rate is meant.
func (s *session) samplerElsewhere(id uint64) uint32 {
	var found agreed
	s.others(func(rates *samplingRates) { found.add(rates.bySampler[id]) })
	return found.get()
}

// announcedElsewhere is the rate that other domains say of a record that its own domain says nothing of. named tells
// that the record names a sampler, which must then not be taken for another.
func (s *session) announcedElsewhere(r *flow.Record, named bool) (uint32, flow.SamplingSource) {
	e := s.resolveElsewhere()
	if !e.any {
		return 1, flow.SamplingAssumed
	}
	if e.named != 0 {
		return e.named, flow.SamplingDomain
	}
	var found agreed
	s.others(func(rates *samplingRates) { found.add(rates.ofInterface(r)) })
	switch {
	case found.get() != 0:
		s.read(exporter.SamplingFromElsewhere)
		return found.get(), flow.SamplingExporter
	case e.system != 0:
		s.read(exporter.SamplingFromElsewhere)
		return e.system, flow.SamplingExporter
	case e.only != 0 && !named:
		s.read(exporter.SamplingOfOnlySampler)
		return e.only, flow.SamplingInferred
	}
	s.read(exporter.SamplingNotMatched)
	return 1, flow.SamplingAssumed
}

func (s *session) resolveElsewhere() *elsewhere {
	e := &s.elsewhere
	if e.changes == s.source.ratesChanged {
		return e
	}
	*e = elsewhere{changes: s.source.ratesChanged, named: s.source.domainRates[s.key], any: !s.sampling.empty()}
	e.any = e.any || e.named != 0
	var system, only agreed
	s.others(func(rates *samplingRates) {
		e.any = e.any || !rates.empty()
		system.add(rates.system)
		only.add(rates.lastSampler)
		if len(rates.rates) > 1 {
			only.ambiguous = true
		}
	})
	e.system, e.only = system.get(), only.get()
	return e
}
