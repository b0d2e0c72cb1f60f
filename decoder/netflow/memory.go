package netflow

import (
	"maps"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// The cost of state in bytes, including the runtime's overhead, as measured with large numbers of each.
const (
	templateBytes = 288 // and for each field:
	fieldBytes    = 56
	rateBytes     = 64  // the rate of a sampler, an interface, a template or a domain
	nameBytes     = 168 // an interface or a VRF in addition to its texts, with the copy that is saved
	parkedBytes   = 768 // an observation domain whose stream was evicted
	// nameTableBytes is what a source's first name takes in addition: maps have room for 8 entries from the first on,
	// and the copy that is saved has its own. With many sources of few names this is most of the memory of names.
	nameTableBytes = 1024
)

// memory has the budgets for all sources of a decoder: see package budget.
type memory struct {
	templates *budget.Budget[*source] // with sampling rates, in bytes
	names     *budget.Budget[*source] // in bytes
	held      *budget.Budget[*source] // in bytes
}

func newMemory(o *Options) memory {
	return memory{
		templates: budget.New[*source](budget.Quarter(o.TemplateBytes)),
		// Half of it for one source, so that a router with thousands of interfaces has room with many workers too.
		names: budget.New[*source](budget.Limits{
			Total: o.NameBytes, Reserve: o.NameBytes / 4, Share: o.NameBytes / 2,
		}),
		held: budget.New[*source](budget.Limits{Total: o.HeldBytes, Reserve: o.HeldBytes / 4, Share: o.HoldBytes}),
	}
}

// holdings are a source's shares of the memory.
type holdings struct {
	templates, names, held budget.Holder[*source]
}

func (h *holdings) each(f func(*budget.Holder[*source])) {
	f(&h.templates)
	f(&h.names)
	f(&h.held)
}

// prove notes that a stream has given data: sources that have not cannot displace its state.
func (d *Decoder) prove(s *session) {
	d.table.Prove(s.stream)
	src := s.source
	if src.has.held.Trusted() {
		return
	}
	d.memory.templates.Trust(&src.has.templates)
	d.memory.names.Trust(&src.has.names)
	d.memory.held.Trust(&src.has.held)
	d.evictTemplates()
	d.evictNames()
	d.evictHeld()
}

// age reports to the budgets how long a source has been useful.
func (src *source) age() {
	if len(src.sessions) == 0 {
		return
	}
	standing, seen := uint32(0), int64(0)
	for _, s := range src.sessions {
		seconds, at := s.stream.Standing()
		standing, seen = max(standing, seconds), max(seen, at)
	}
	src.has.each(func(h *budget.Holder[*source]) { h.Standing, h.Seen = standing, seen })
}

// fits reports whether a source may have n more bytes of templates. Its own unused ones are evicted for this. Where
// hardly any are unused, looking for them takes as long as there are templates: that is done again only after as many
// refusals, so that it costs each new template little.
func (d *Decoder) fits(src *source, n int) bool {
	if d.memory.templates.Fits(&src.has.templates, n) {
		return true
	}
	if src.refusals > 0 {
		src.refusals--
		return false
	}
	const few = 8 // of so many
	before := src.has.templates.Used()
	src.evictTemplates(d, func(t *template) bool { return !t.used })
	if before-src.has.templates.Used() < before/few {
		src.refusals = before / templateBytes
	}
	return d.memory.templates.Fits(&src.has.templates, n)
}

// settle updates the source's share for the session's templates and rates, and evicts others' if the budget is
// exceeded.
func (d *Decoder) settle(s *session) {
	if now := s.cost(); now != s.charged {
		s.source.has.templates.Seen = s.stream.LastSeen.Load()
		d.memory.templates.Add(&s.source.has.templates, now-s.charged)
		s.charged = now
		d.evictTemplates()
	}
}

// cost is what the session has of the source's account: definitions, rates and sequence numbers of ports.
func (s *session) cost() int { return s.bytes + s.sampling.bytes() + s.numbers.Bytes() }

// evictTemplates keeps the budget of templates.
func (d *Decoder) evictTemplates() {
	for d.memory.templates.Over() {
		src := d.memory.templates.Victim().Of
		before := src.has.templates.Used()
		src.evictTemplates(d, func(t *template) bool { return !t.used })
		src.evictTemplates(d, func(*template) bool { return true })
		if src.has.templates.Used() >= before {
			return // impossible, because everything that is charged can be evicted
		}
	}
}

// evictTemplates evicts a quarter of the source's templates for which may returns true: those of evicted streams first,
// then those of domains with many sampling rates, then any.
func (src *source) evictTemplates(d *Decoder, may func(*template) bool) {
	enough := src.has.templates.Used() - max(1, src.has.templates.Used()/4)
	for key, p := range src.parked {
		if src.has.templates.Used() <= enough {
			return
		}
		gone := true
		for _, t := range p.byID {
			gone = gone && may(t)
		}
		if gone {
			src.forget(d, key)
		}
	}
	for _, s := range src.sessions {
		s.numbers.ForgetPorts()
		if s.sampling.count() > manyRates {
			s.stream.Fail(exporter.NameLimit, uint64(s.sampling.count()))
			src.silence(s.key)
			s.sampling = samplingRates{}
		}
		n := uint64(0)
		for id, t := range s.byID {
			if src.has.templates.Used()-(s.charged-s.cost()) <= enough {
				break
			}
			if may(t) {
				s.forget(id)
				n++
			}
		}
		s.stream.Fail(exporter.TemplateEvicted, n)
		now := s.cost()
		d.memory.templates.Add(&src.has.templates, now-s.charged)
		s.charged = now
		if src.has.templates.Used() <= enough {
			break
		}
	}
	src.changed = true
	d.dropIfEmpty(src)
}

// manyRates is the number of sampling rates from which on they are evicted before templates.
const manyRates = 64

// parked is the remaining state of an observation domain whose stream was evicted, so that it can continue.
type parked struct {
	templates
	sampling  samplingRates
	bootMs    int64
	evictions uint64
	charged   int
}

// StreamEvicted implements exporter.User. It keeps only the part of the session that is needed to continue.
func (s *session) StreamEvicted(*exporter.Stream) {
	s.giveUpHeld()
	d, src := s.decoder, s.source
	delete(src.sessions, s.key)
	if d.last == s {
		d.last = nil
	}
	s.numbers = exporter.Numbers{} // which are not kept
	d.settle(s)
	p := &parked{
		templates: s.templates, sampling: s.sampling, bootMs: s.bootMs,
		evictions: s.stream.Evictions.Load() + 1, charged: s.charged,
	}
	if p.charged > 0 {
		p.charged += parkedBytes
		d.memory.templates.Add(&src.has.templates, parkedBytes)
		if src.parked == nil {
			src.parked = map[sessionKey]*parked{}
		}
		src.parked[s.key] = p
		if !p.sampling.empty() {
			src.announce(s.key, &p.sampling, nil)
		}
		d.evictTemplates()
	}
	d.dropIfEmpty(src)
}

// unpark removes and returns the parked state of an observation domain; nil if there is none.
func (src *source) unpark(d *Decoder, key sessionKey) *parked {
	p := src.parked[key]
	if p == nil {
		return nil
	}
	delete(src.parked, key)
	src.changed = true
	d.memory.templates.Add(&src.has.templates, -p.charged)
	return p
}

// forget removes the parked state of an observation domain.
func (src *source) forget(d *Decoder, key sessionKey) {
	src.unpark(d, key)
	src.silence(key)
}

// dropIfEmpty removes a source without any state.
func (d *Decoder) dropIfEmpty(src *source) {
	if len(src.sessions)+len(src.parked) > 0 || d.sources[src.addr] != src {
		return
	}
	delete(d.sources, src.addr)
	d.memory.names.Clear(&src.has.names)
	src.names, src.savedNames = nil, nil
	if src.saved {
		d.forgotten = append(d.forgotten, src.addr.Netip())
	}
}

// evictNames enforces the budget of names: the chosen source loses a quarter of its names.
func (d *Decoder) evictNames() {
	for d.memory.names.Over() {
		src := d.memory.names.Victim().Of
		enough := src.has.names.Used() - max(1, src.has.names.Used()/4)
		n := uint64(0)
		for index, name := range src.names.Interface {
			if src.has.names.Used() <= enough {
				break
			}
			delete(src.names.Interface, index)
			d.memory.names.Add(&src.has.names, -nameSize(len(name.Name)+len(name.Description)))
			n++
		}
		for id, name := range src.names.VRF {
			if src.has.names.Used() <= enough {
				break
			}
			delete(src.names.VRF, id)
			d.memory.names.Add(&src.has.names, -nameSize(len(name)))
			n++
		}
		for id := range src.names.RD {
			if src.has.names.Used() <= enough {
				break
			}
			delete(src.names.RD, id)
			d.memory.names.Add(&src.has.names, -nameSize(rdBytes))
			n++
		}
		src.renamed, src.savedNames = true, nil
		src.names = compactNames(src.names)
		if src.names == nil {
			d.memory.names.Clear(&src.has.names)
		}
		src.fail(exporter.NameLimit, n)
	}
}

// compactNames returns a copy with no more room than its names need: maps do not shrink when entries are deleted. nil:
// there are no names.
func compactNames(n *flow.Names) *flow.Names {
	if len(n.Interface)+len(n.VRF)+len(n.RD) == 0 {
		return nil
	}
	return &flow.Names{Interface: compactMap(n.Interface), VRF: compactMap(n.VRF), RD: compactMap(n.RD)}
}

func compactMap[V any](m map[uint32]V) map[uint32]V {
	if len(m) == 0 {
		return nil
	}
	compact := make(map[uint32]V, len(m))
	maps.Copy(compact, m)
	return compact
}

func nameSize(texts int) int { return nameBytes + texts }

// fail counts n losses in one of the source's streams.
func (src *source) fail(reason exporter.Reason, n uint64) {
	for _, s := range src.sessions {
		s.stream.Fail(reason, n)
		return
	}
}

// evictHeld enforces the budget of waiting data: the chosen source loses a quarter of it.
func (d *Decoder) evictHeld() {
	for d.memory.held.Over() {
		src := d.memory.held.Victim().Of
		src.evictHeld(d, src.has.held.Used()-max(1, src.has.held.Used()/4))
	}
}

func (src *source) evictHeld(d *Decoder, enough int) {
	for _, s := range src.sessions {
		for id, waiting := range s.held {
			n := 0
			for n < len(waiting) && src.has.held.Used() > enough {
				d.memory.held.Add(&src.has.held, -waiting[n].size())
				n++
			}
			s.keepHeld(id, waiting, n)
			s.stream.Fail(exporter.HoldFull, uint64(n))
			if src.has.held.Used() <= enough {
				return
			}
		}
	}
}
