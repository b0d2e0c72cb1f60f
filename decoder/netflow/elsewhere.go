package netflow

import (
	"iter"
	"math/bits"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// announce notes that a domain has rates.
func (src *source) announce(key sessionKey, rates *samplingRates, stream *exporter.Stream) {
	if _, news := src.announcers.announce(key, rates, stream); news {
		src.ratesChanged++
	}
}

// announce notes that an option record said something of a scope, and whether it changed what is known.
func (s *session) announce(of *scope, changed bool) {
	switch place := s.source.announcers.of(s); {
	case place < 0:
		s.source.announce(s.key, &s.sampling, s.stream)
	case changed:
		s.source.announcers.learned(place, of)
	}
}

// silence removes a domain's rates.
func (src *source) silence(key sessionKey) {
	src.announcers.silence(key)
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

// maxAsked is how many other domains that know a thing are asked for a record. A table of a whole exporter is in one
// domain, or in two. Work for a record must not grow with the domains that somebody made up.
const maxAsked = 4

// findElsewhere returns what the exporter's other domains with the same protocol announce for the things that a record
// names. Only domains that announced one of these are asked.
func (s *session) findElsewhere(m *metered, from, to scopeKind) (found agreed) {
	s.ask(m.domains(from, to), func(place int, a *announcer) (known bool) {
		one := s.find(rateTable{a.rates, place}, m, from, to)
		found.add(agreed{rate: one.rate})
		found.add(one.unsure)
		return one.known
	})
	return found
}

// samplerElsewhere returns the rate of a sampler that other domains describe; 0 if none does, or they differ.
func (s *session) samplerElsewhere(id uint64) uint32 {
	var found agreed
	key := scopeKey{bySampler, id}
	s.ask(s.source.announcers.index.domains(key), func(_ int, a *announcer) (known bool) {
		heard, known := a.rates.single[key]
		found.add(agreed{rate: heard.rate})
		return known
	})
	return found.sure()
}

// ask calls f for the announcers of a set that are other domains of the session's exporter and protocol, until
// maxAsked of them knew something.
func (s *session) ask(set domainSet, f func(place int, a *announcer) (known bool)) {
	asked := 0
	for place, a := range s.those(set) {
		if !f(place, a) {
			continue
		}
		if asked++; asked == maxAsked {
			return
		}
	}
}

// those iterates over the announcers of a set that are other domains of the session's exporter and protocol, with their
// places.
func (s *session) those(set domainSet) iter.Seq2[int, *announcer] {
	return func(yield func(int, *announcer) bool) {
		for ; set != 0; set &= set - 1 {
			place := bits.TrailingZeros64(uint64(set))
			if a := &s.source.announcers.places[place]; s.hears(a) && !yield(place, a) {
				return
			}
		}
	}
}

// others iterates over all of them.
func (s *session) others() iter.Seq2[int, *announcer] {
	return s.those(1<<len(s.source.announcers.places) - 1)
}

// hears reports whether an announcer is another domain of the session's exporter and protocol.
func (s *session) hears(a *announcer) bool {
	return a.rates != nil && a.key.protocol == s.key.protocol && a.key != s.key &&
		(a.stream == nil || !a.stream.Gone())
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
	for _, a := range s.others() {
		e.any = e.any || !a.rates.empty()
		e.system.add(agreed{rate: a.rates.system})
		only.add(a.rates.samplers())
	}
	e.only = only.sure()
	return e
}
