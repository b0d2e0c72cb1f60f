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
	t.oldest = 0
	for key, heard := range t.single {
		if heard.seen >= before {
			t.heardSince(heard.seen)
			continue
		}
		delete(t.single, key)
		t.leave(&scope{key}, heard.rate)
		n++
	}
	for of, heard := range t.several {
		if heard.seen >= before {
			t.heardSince(heard.seen)
			continue
		}
		delete(t.several, of)
		t.leave(&of, heard.rate)
		for _, key := range of[:of.len()] {
			if all := t.shared[key]; all != nil {
				if all.change(heard.rate, 0); len(all.list) == 0 {
					delete(t.shared, key)
				}
			}
		}
		n++
	}
	for key, heard := range t.joins {
		if heard.seen >= before {
			t.heardSince(heard.seen)
			continue
		}
		delete(t.joins, key)
		n++
	}
	return n
}

// leave takes a scope that has lost its rate out of its shape.
func (t *scopedRates) leave(of *scope, rate uint32) {
	if sh := t.shapeOf(of); sh != nil {
		sh.n--
		sh.rates.change(rate, 0)
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

// hasOptions reports whether an options template of the domain is known.
func (t *templates) hasOptions() bool {
	for _, one := range t.byID {
		if one.options {
			return true
		}
	}
	return false
}
