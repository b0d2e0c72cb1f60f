package netflow

import (
	"math"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxSamplers bounds the samplers and interfaces of one observation domain.
const maxSamplers = 4096

// samplingRates are what the option records of an observation domain said.
type samplingRates struct {
	bySampler   map[uint64]uint32
	byInterface map[uint32]uint32
	domain      uint32 // of an option record without a sampler or interface
	lastSampler uint32 // the rate of the sampler that was described last
	seen        int64  // when the latest of them came, Unix nanoseconds
}

// apply finds a record's rate: its own, its sampler's, its interface's, its domain's.
func (s *samplingRates) apply(r *flow.Record, w *raw) {
	r.SamplingRate, r.SamplingSource = 1, flow.SamplingAssumed
	if rate := w.rate(); rate != 0 {
		r.SamplingRate, r.SamplingSource = rate, flow.SamplingRecord
		return
	}
	if w.hasSampler {
		if rate := s.bySampler[w.samplerID]; rate != 0 {
			r.SamplingRate, r.SamplingSource = rate, flow.SamplingSelector
			return
		}
		// Cisco 7600 sends sampler 0 in records and another id in its options.
		if w.samplerID == 0 && s.lastSampler != 0 {
			r.SamplingRate, r.SamplingSource = s.lastSampler, flow.SamplingSelector
			return
		}
	}
	if len(s.byInterface) > 0 {
		if rate := s.byInterface[r.InIf]; rate != 0 {
			r.SamplingRate, r.SamplingSource = rate, flow.SamplingInterface
			return
		}
	}
	if s.domain != 0 {
		r.SamplingRate, r.SamplingSource = s.domain, flow.SamplingDomain
	}
}

// learn takes what an option record says.
func (s *samplingRates) learn(o *optionRecord, now int64) {
	rate := o.raw.rate()
	if rate == 0 {
		return
	}
	s.seen = now
	switch {
	case o.raw.hasSampler:
		if s.bySampler == nil {
			s.bySampler = map[uint64]uint32{}
		}
		if _, known := s.bySampler[o.raw.samplerID]; known || len(s.bySampler) < maxSamplers {
			s.bySampler[o.raw.samplerID] = rate
		}
		s.lastSampler = rate
	case o.hasInterface:
		if s.byInterface == nil {
			s.byInterface = map[uint32]uint32{}
		}
		if _, known := s.byInterface[o.interfaceIndex]; known || len(s.byInterface) < maxSamplers {
			s.byInterface[o.interfaceIndex] = rate
		}
	default:
		s.domain = rate
	}
}

// rate is one in how many packets the elements of a record say, 0 if they say nothing: count-based (RFC 5476 §6.5.1:
// interval packets of interval and space), n of N, uniform probability, or the older interval of NetFlow v9.
func (w *raw) rate() uint32 {
	switch {
	case w.interval != 0 && w.hasSpace:
		return rounded(float64(w.interval)+float64(w.space), float64(w.interval))
	case w.sampleSize != 0 && w.population != 0:
		return rounded(float64(w.population), float64(w.sampleSize))
	case w.probability > 0 && w.probability <= 1:
		return rounded(1, w.probability)
	case w.samplingInterval != 0:
		return rounded(float64(w.samplingInterval), 1)
	case w.interval != 0:
		// Without a space some vendors mean one of so many.
		return rounded(float64(w.interval), 1)
	}
	return 0
}

// rounded is the whole number next to a/b, at least 1.
func rounded(a, b float64) uint32 {
	return uint32(min(max(math.Round(a/b), 1), math.MaxUint32))
}
