package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// samplingRates are what the option records of an observation domain said.
type samplingRates struct {
	scopedRates
	domain      uint32 // of an option record that names no part of the domain
	system      uint32 // the same, for all domains of the exporter
	lastSampler uint32 // the rate of the sampler that was described last
	domainSeen  uint32 // when domain was last said, Unix seconds
	systemSeen  uint32 // the same of system
	seen        int64  // when the latest of them came, Unix nanoseconds
	unscalable  bool   // a sampler of which no rate follows was described
	swapped     bool   // the bytes of rates are in the wrong order, as an earlier value showed
}

// empty reports whether nothing is known.
func (s *samplingRates) empty() bool {
	return s.domain == 0 && s.system == 0 && s.count() == 0 && !s.unscalable
}

func (s *samplingRates) clone() samplingRates {
	c := *s
	c.scopedRates = s.scopedRates.clone()
	return c
}

// samplers is the rate of all samplers and selection sequences, if they agree.
func (s *samplingRates) samplers() (all agreed) {
	for i := range s.shapes {
		kinds := &s.shapes[i].kinds
		if (kinds[0] == bySampler || kinds[0] == bySequence) && !slices.Contains(kinds[:], byDomain) {
			all.add(s.shapes[i].rates.agreed())
		}
	}
	return all
}

// sample finds a record's rate: its own, that of what it names, its domain's, then what other domains of the exporter
// say. What the exporter announces and the record cannot be matched with is counted: the rate is never 1 in silence.
func (s *session) sample(t *template, r *flow.Record, w *raw) {
	rate, swapped := uint32(0), false
	if t.traits&hasRate != 0 {
		rate, swapped = w.rate(&s.sampling)
	}
	switch {
	case rate == 0:
		r.SamplingRate, r.SamplingSource = s.announced(r, w)
	case swapped:
		r.SamplingRate, r.SamplingSource = rate, flow.SamplingSwapped
		s.read(exporter.SamplingBytesSwapped)
	default:
		r.SamplingRate, r.SamplingSource = rate, flow.SamplingRecord
	}
}

// product is the rate of packets that pass several samplers; 0 where that of one is not known.
func (s *session) product(rates *samplingRates, by *selectors) uint32 {
	all := uint64(1)
	for _, id := range by.ids[:by.n] {
		rate := rates.single[scopeKey{bySampler, id}].rate
		if shared := rates.shared[scopeKey{bySampler, id}]; rate == 0 && shared != nil {
			rate = shared.agreed().sure()
		}
		if rate == 0 {
			rate = s.samplerElsewhere(id)
		}
		if rate == 0 {
			return 0
		}
		all *= uint64(rate)
		if all>>32 != 0 {
			return 1<<32 - 1
		}
	}
	return uint32(all)
}

// announced finds the rate of a record that does not say one.
func (s *session) announced(r *flow.Record, w *raw) (rate uint32, source flow.SamplingSource) {
	if s.source.announcers.used == 0 {
		return 1, flow.SamplingAssumed
	}
	rate, source = s.cachedRate(r, w)
	switch source {
	case flow.SamplingExporter:
		s.read(exporter.SamplingFromElsewhere)
	case flow.SamplingInferred:
		s.read(exporter.SamplingOfOnlySampler)
	case flow.SamplingAmbiguous:
		s.read(exporter.SamplingAmbiguous)
	case flow.SamplingAssumed:
		if s.resolveElsewhere().any {
			s.read(exporter.SamplingNotMatched)
		}
	}
	return rate, source
}

// cachedRate is resolve, by way of the cache where that can tell.
func (s *session) cachedRate(r *flow.Record, w *raw) (uint32, flow.SamplingSource) {
	s.rates.prepare(s)
	if !s.rates.holds(w) {
		return s.resolve(r, w)
	}
	key := s.rates.key(r, w)
	entry := s.rates.entry(&key)
	if entry.of != key {
		entry.rate, entry.source = s.resolve(r, w)
		entry.of = key
	}
	return entry.rate, entry.source
}

// resolve finds the rate of a record by what it names.
func (s *session) resolve(r *flow.Record, w *raw) (uint32, flow.SamplingSource) {
	m, own := s.metered(r, w), s.own()
	named := w.hasSampler && w.samplerID != 0 || w.hasParts&(1<<partAt(bySequence)) != 0
	sampler := s.find(own, &m, bySampler, bySequence)
	if sampler.rate != 0 {
		return sampler.rate, flow.SamplingSelector
	}
	if w.hasSampler || named {
		if found := s.findElsewhere(&m, bySampler, bySequence); found.sure() != 0 {
			return found.rate, flow.SamplingExporter
		} else if sampler.unsure.rate == 0 {
			sampler.unsure = found
		}
		// Cisco 7600 sends sampler 0 in records and another id in its options.
		if !named && own.rates.lastSampler != 0 {
			return own.rates.lastSampler, flow.SamplingInferred
		}
	}
	part := s.find(own, &m, byTemplate, byEgressVRF)
	if part.rate != 0 {
		return part.rate, sourceOf(part.kind)
	}
	if own.rates.domain != 0 {
		return own.rates.domain, flow.SamplingDomain
	}
	unsure := sampler.unsure
	unsure.add(part.unsure)
	return s.inferred(&m, named, unsure)
}

// sourceOf names the thing that a rate is of.
func sourceOf(kind scopeKind) flow.SamplingSource {
	switch kind {
	case bySampler, bySequence:
		return flow.SamplingSelector
	case byInterface:
		return flow.SamplingInterface
	case byTemplate, byDomain:
		return flow.SamplingDomain
	}
	return flow.SamplingPart
}

// inferred finds the rate of a record that names nothing of which a rate is known: the only rate of its domain, else
// what other domains say. Of rates that differ the lowest counts, so that nothing is counted more than once. unsure are
// rates of what it names.
func (s *session) inferred(m *metered, named bool, unsure agreed) (uint32, flow.SamplingSource) {
	own := &s.sampling
	if rate := own.samplers().sure(); rate != 0 && !named {
		return rate, flow.SamplingInferred
	}
	for i := range own.shapes {
		sh := &own.shapes[i]
		if !sh.mayHold(m) {
			continue
		}
		all := sh.rates.agreed()
		rate := all.sure()
		switch {
		case rate == 0:
			unsure.add(all)
		case sh.kinds[0] == byOther:
			return rate, flow.SamplingDomain
		default:
			return rate, flow.SamplingInferred
		}
	}
	return s.announcedElsewhere(m, named, unsure)
}

// mayHold reports whether each record is of a scope of the shape, and this one does not say of which: every packet
// passes an interface and a line card. One that names no sampler may not be sampled.
func (sh *shape) mayHold(m *metered) bool {
	switch sh.kinds[0] {
	case bySampler, bySequence, byTemplate, byDomain:
		return false
	}
	return sh.set&m.named == 0
}

// learnSampling takes what an option record says.
func (s *session) learnSampling(o *optionRecord, now int64) {
	own := &s.sampling
	rate, swapped := o.raw.rate(own)
	of := o.scope(s)
	changed, news := false, scope{} // of the own domain's table
	switch {
	case rate != 0 && of.len() == 1 && of[0].kind == byDomain:
		var forgotten int
		changed, forgotten = s.source.announceDomain(sessionKey{s.key.protocol, o.domain}, rate, seconds(now),
			seconds(int64(s.decoder.o.TemplateExpiry)))
		s.stream.Read(exporter.SamplingForgotten, uint64(forgotten))
	case rate != 0:
		changed, news = own.learn(&of, rate, o.ofExporter(s), seconds(now)), of
	default:
		key, joins := o.joined()
		switch {
		case joins:
			changed, news = own.join(key, o.selectors, seconds(now)), scope{key}
		case o.raw.algorithm == timeBased:
			changed, own.unscalable = !own.unscalable, true
		default:
			return
		}
	}
	if swapped {
		s.read(exporter.SamplingBytesSwapped)
	}
	own.seen = now
	s.announce(&news, changed)
	if changed {
		s.decoder.work.news += news.entries()
		s.source.ratesChanged++
	}
}

// learn keeps a rate where the option record says that it belongs; of is empty where it is the domain's, or with system
// the exporter's. It reports whether that is news.
func (s *samplingRates) learn(of *scope, rate uint32, system bool, now uint32) (changed bool) {
	if of.len() > 0 {
		changed = s.set(of, rate, now)
		if of[0].kind == bySampler && s.get(of) == rate {
			changed = changed || s.lastSampler != rate
			s.lastSampler = rate
		}
		return changed
	}
	changed = s.domain != rate || system && s.system != rate
	s.domain, s.domainSeen = rate, now
	if system {
		s.system, s.systemSeen = rate, now
	}
	return changed
}
