package netflow

import (
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// A heardRate is a sampling rate, and when an option record last said it, in Unix seconds.
type heardRate struct{ rate, seen uint32 }

// heardSelectors are the samplers of a thing, likewise.
type heardSelectors struct {
	selectors
	seen uint32
}

// seconds is a time in Unix nanoseconds as heardRate has it.
func seconds(now int64) uint32 { return uint32(max(now, 0) / int64(time.Second)) }

// heardSince notes that there are rates that were last heard at a time.
func (t *scopedRates) heardSince(at uint32) {
	if t.oldest == 0 || at < t.oldest {
		t.oldest = at
	}
}

// forget removes what was last heard before a time, and returns how many rates and joins that are.
func (t *scopedRates) forget(before uint32) (n int) {
	if t.oldest == 0 || t.oldest >= before {
		return 0
	}
	was := t.count()
	t.oldest = 0
	forget(t, t.single, before, func(heard heardRate) uint32 { return heard.seen })
	forget(t, t.several, before, func(heard heardRate) uint32 { return heard.seen })
	forget(t, t.joins, before, func(heard heardSelectors) uint32 { return heard.seen })
	if n = was - t.count(); n > 0 {
		t.tallyAnew()
	}
	return n
}

func forget[K comparable, V any](t *scopedRates, all map[K]V, before uint32, seen func(V) uint32) {
	for key, heard := range all {
		if at := seen(heard); at < before {
			delete(all, key)
		} else {
			t.heardSince(at)
		}
	}
}

// hasSampler reports whether the rate of any sampler is known.
func (t *scopedRates) hasSampler() bool {
	for i := range t.shapes {
		if sh := &t.shapes[i]; sh.kinds[0] == bySampler && sh.n > 0 {
			return true
		}
	}
	return false
}

// ageRates forgets sampling rates that the exporter does not announce any more: those of a line card, an interface or a
// sampler that it has not repeated for as long as templates live (TemplateExpiry), though it repeated others of the
// domain since; and all of a domain that has no options template left. An exporter that says its rates once only, and
// goes on sending the template, keeps them.
func (s *session) ageRates(now, keep int64) {
	own := &s.sampling
	if own.empty() {
		return
	}
	if now-own.seen > keep && !s.hasOptions() {
		n := max(own.count(), 1)
		s.source.silence(s.key)
		s.sampling = samplingRates{}
		s.stream.Read(exporter.SamplingForgotten, uint64(n))
		return
	}
	before := seconds(own.seen - keep)
	n := own.forget(before)
	oldDomain, oldSystem := own.domain != 0 && own.domainSeen < before, own.system != 0 && own.systemSeen < before
	if oldDomain {
		own.domain = 0
	}
	if oldSystem {
		own.system = 0
	}
	if oldDomain || oldSystem { // which one option record may have said
		n++
	}
	if n == 0 {
		return
	}
	if !own.hasSampler() {
		own.lastSampler = 0
	}
	if place := s.source.announcers.of(s); place >= 0 {
		s.source.announcers.forgot(place)
	}
	s.source.ratesChanged++
	s.source.changed = true
	s.stream.Read(exporter.SamplingForgotten, uint64(n))
}

// tallyRates counts rates anew whose sets are not complete.
func (s *session) tallyRates() {
	if s.sampling.stale {
		s.sampling.tallyAnew()
		s.source.ratesChanged++
	}
}

// hasOptions reports whether an options template of the domain is known.
func (t *templates) hasOptions() bool {
	for _, one := range t.byID {
		if one.options {
			return true
		}
	}
	return false
}
