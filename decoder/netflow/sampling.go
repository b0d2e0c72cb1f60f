package netflow

import (
	"math"
	"math/bits"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// maxSamplers bounds the samplers, the interfaces and the templates of one observation domain.
const maxSamplers = 4096

// samplingRates are what the option records of an observation domain said.
type samplingRates struct {
	bySampler      map[uint64]uint32
	byInterface    map[uint32]uint32 // of either direction
	byOutInterface map[uint32]uint32 // of flows metered at egress
	byTemplate     map[uint16]uint32
	domain         uint32         // of an option record without a sampler or interface
	system         uint32         // the same, for all domains of the exporter
	lastSampler    uint32         // the rate of the sampler that was described last
	rates          map[uint32]int // how many samplers have each rate
	seen           int64          // when the latest of them came, Unix nanoseconds
	swapped        bool           // the bytes of rates are in the wrong order, as an earlier value showed
	latest         interfaceRate
}

// interfaceRate is what ofInterface found for the latest record: the next one often has the same interfaces. The zero
// value is none.
type interfaceRate struct {
	known     bool
	in, out   uint32
	has       flow.Fields
	direction uint8
	rate      uint32
}

// only returns the rate of the samplers if all have the same: then no other can be meant.
func (s *samplingRates) only() uint32 {
	if len(s.rates) == 1 {
		return s.lastSampler
	}
	return 0
}

// empty reports whether no rate is known.
func (s *samplingRates) empty() bool {
	return s.domain == 0 && s.system == 0 && s.lastSampler == 0 &&
		len(s.byInterface) == 0 && len(s.byOutInterface) == 0 && len(s.byTemplate) == 0
}

// sample finds a record's rate: its own, its sampler's, its interface's, its domain's, then what other domains of the
// exporter say. What the exporter announces and the record cannot be matched with is counted: the rate is never 1 in
// silence.
func (s *session) sample(r *flow.Record, w *raw) {
	rate, swapped := w.rate(&s.sampling)
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

// announced finds the rate of a record that does not say one.
func (s *session) announced(r *flow.Record, w *raw) (uint32, flow.SamplingSource) {
	if len(s.source.announcers) == 0 {
		return 1, flow.SamplingAssumed
	}
	own := &s.sampling
	named := w.hasSampler && w.samplerID != 0
	if w.hasSampler {
		if rate := own.bySampler[w.samplerID]; rate != 0 {
			return rate, flow.SamplingSelector
		}
		if rate := s.samplerElsewhere(w.samplerID); rate != 0 {
			s.read(exporter.SamplingFromElsewhere)
			return rate, flow.SamplingExporter
		}
		// Cisco 7600 sends sampler 0 in records and another id in its options.
		if !named && own.lastSampler != 0 {
			s.read(exporter.SamplingOfOnlySampler)
			return own.lastSampler, flow.SamplingInferred
		}
	}
	if rate := own.byTemplate[r.TemplateID]; rate != 0 {
		return rate, flow.SamplingDomain
	}
	if rate := own.ofInterface(r); rate != 0 {
		return rate, flow.SamplingInterface
	}
	if own.domain != 0 {
		return own.domain, flow.SamplingDomain
	}
	if rate := own.only(); rate != 0 && !named {
		s.read(exporter.SamplingOfOnlySampler)
		return rate, flow.SamplingInferred
	}
	return s.announcedElsewhere(r, named)
}

// ofInterface is the rate of the interface where the flow was metered. A record that does not say its direction was
// metered where there is a rate, at ingress first.
func (s *samplingRates) ofInterface(r *flow.Record) uint32 {
	if len(s.byInterface) == 0 && len(s.byOutInterface) == 0 {
		return 0
	}
	const looksAt = flow.Direction | flow.InIf | flow.OutIf
	l := &s.latest
	if !l.known || l.in != r.InIf || l.out != r.OutIf || l.direction != r.Direction || l.has != r.Has&looksAt {
		*l = interfaceRate{true, r.InIf, r.OutIf, r.Has & looksAt, r.Direction, s.findInterface(r)}
	}
	return l.rate
}

func (s *samplingRates) findInterface(r *flow.Record) uint32 {
	directed := r.Sent(flow.Direction)
	if !directed || r.Direction != egress {
		if rate := s.byInterface[r.InIf]; rate != 0 && r.Sent(flow.InIf) {
			return rate
		}
	}
	if (!directed || r.Direction == egress) && r.Sent(flow.OutIf) {
		if rate := s.byOutInterface[r.OutIf]; rate != 0 {
			return rate
		}
		return s.byInterface[r.OutIf]
	}
	return 0
}

// learnSampling takes what an option record says.
func (s *session) learnSampling(o *optionRecord, now int64) {
	own := &s.sampling
	rate, swapped := o.raw.rate(own)
	if rate == 0 {
		return
	}
	if swapped {
		s.read(exporter.SamplingBytesSwapped)
	}
	changed := false
	if o.hasDomain && o.domain != 0 && o.domain != s.key.domain {
		changed = s.source.announceDomain(sessionKey{s.key.protocol, o.domain}, rate)
	} else {
		changed = own.learn(o, rate, o.ofExporter(s))
	}
	own.seen = now
	s.source.announce(s.key, own, s.stream)
	if changed {
		s.source.ratesChanged++
	}
}

// learn keeps a rate where the option record says that it belongs. It reports whether that is news.
func (s *samplingRates) learn(o *optionRecord, rate uint32, system bool) (changed bool) {
	s.latest = interfaceRate{}
	switch {
	case o.raw.hasSampler:
		changed = s.learnSampler(o.raw.samplerID, rate)
		if !o.hasInterface { // else it is the sampler of that interface, whose records may not name it
			return changed
		}
		m := &s.byInterface
		if o.outInterface {
			m = &s.byOutInterface
		}
		return learnRate(m, o.interfaceIndex, rate) || changed
	case o.hasInterface && o.outInterface:
		return learnRate(&s.byOutInterface, o.interfaceIndex, rate)
	case o.hasInterface:
		return learnRate(&s.byInterface, o.interfaceIndex, rate)
	case o.hasTemplate:
		return learnRate(&s.byTemplate, o.template, rate)
	}
	changed = s.domain != rate || system && s.system != rate
	s.domain = rate
	if system {
		s.system = rate
	}
	return changed
}

func (s *samplingRates) learnSampler(id uint64, rate uint32) (changed bool) {
	was := s.bySampler[id]
	changed = learnRate(&s.bySampler, id, rate)
	if changed {
		s.countRate(was, -1)
		s.countRate(rate, 1)
	}
	if changed || was == rate {
		changed = changed || s.lastSampler != rate
		s.lastSampler = rate
	}
	return changed
}

func (s *samplingRates) countRate(rate uint32, n int) {
	if rate == 0 {
		return
	}
	if s.rates == nil {
		s.rates = map[uint32]int{}
	}
	if s.rates[rate] += n; s.rates[rate] <= 0 {
		delete(s.rates, rate)
	}
}

// learnRate sets the rate of a key, within maxSamplers. It reports whether that is news.
func learnRate[K comparable](m *map[K]uint32, key K, rate uint32) (changed bool) {
	if *m == nil {
		*m = map[K]uint32{}
	}
	was, known := (*m)[key]
	if was == rate || !known && len(*m) >= maxSamplers {
		return false
	}
	(*m)[key] = rate
	return true
}

// rate is one in how many packets the elements of a record say, 0 if they say nothing: count-based (RFC 5476 §6.5.1:
// interval packets of interval and space), n of N, uniform probability, or the older interval of NetFlow v9. swapped
// tells that the bytes were put right.
func (w *raw) rate(rates *samplingRates) (rate uint32, swapped bool) {
	switch {
	case w.interval != 0 && w.hasSpace:
		interval, a := rates.sensible(w.interval)
		space, b := rates.sensible(w.space)
		return rounded(float64(interval)+float64(space), float64(interval)), a || b
	case w.sampleSize != 0 && w.population != 0:
		size, a := rates.sensible(w.sampleSize)
		population, b := rates.sensible(w.population)
		return rounded(float64(population), float64(size)), a || b
	case w.probability > 0 && w.probability <= 1:
		return rounded(1, w.probability), false
	case w.samplingInterval != 0:
		n, swapped := rates.sensible(w.samplingInterval)
		return rounded(float64(n), 1), swapped
	case w.interval != 0:
		// Without a space some vendors mean one of so many.
		n, swapped := rates.sensible(w.interval)
		return rounded(float64(n), 1), swapped
	}
	return 0, false
}

// senseless is from where on a rate makes no sense: one in 16 million packets says nothing of the others.
const senseless = 1 << 24

// sensible returns n, or n with its bytes exchanged where only that makes sense (MikroTik RouterOS sends rates in the
// wrong byte order: 1 as 16777216). Of a number that makes sense both ways, as 65536 and 256 do, the exporter's earlier
// ones decide.
func (s *samplingRates) sensible(n uint64) (sensible uint64, swapped bool) {
	if n == 0 || n < senseless && !s.swapped {
		return n, false
	}
	other := uint64(bits.ReverseBytes32(uint32(n)))
	if n > math.MaxUint32 {
		other = bits.ReverseBytes64(n)
	}
	switch {
	case n < senseless && other >= senseless:
		s.swapped = false
	case other < senseless:
		s.swapped = true
		return other, true
	}
	return n, false
}

// rounded is the whole number next to a/b, at least 1.
func rounded(a, b float64) uint32 {
	return uint32(min(max(math.Round(a/b), 1), math.MaxUint32))
}
