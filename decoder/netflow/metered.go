package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// metered is what a record says of where and how it was metered: the things of which rates may be known.
type metered struct {
	named  kindSet
	things [scopeKinds]thing // one of each kind, but for interfaces
	// Of interfaces a record may name three, the likelier first: one that does not say its direction was metered where
	// there is a rate, at ingress first.
	interfaces     [3]thing
	interfaceCount int
}

// A thing is one of a kind, with the domains that may have announced something of it.
type thing struct {
	id      uint64
	domains domainSet
}

// metered returns what a record names, of the kinds of which this domain or another knows rates.
func (s *session) metered(r *flow.Record, w *raw) (m metered) {
	x, wanted := &s.source.announcers.index, s.rates.kinds
	name := func(kind scopeKind, id uint64, named bool) {
		if named && wanted.has(kind) {
			m.named.add(kind)
			m.things[kind] = x.thing(kind, id)
		}
	}
	name(bySampler, w.samplerID, w.hasSampler)
	name(byTemplate, uint64(r.TemplateID), true)
	name(byIngressVRF, uint64(r.IngressVRF), r.Sent(flow.IngressVRF))
	name(byEgressVRF, uint64(r.EgressVRF), r.Sent(flow.EgressVRF))
	name(byDomain, uint64(s.key.domain), true)
	for _, kind := range [...]scopeKind{bySequence, byCard, byPort, byPoint} {
		at := partAt(kind)
		name(kind, w.parts[at], w.hasParts&(1<<at) != 0)
	}
	if wanted.has(byInterface) {
		m.nameInterfaces(r, x)
	}
	return m
}

// partAt is where raw.parts has a kind.
func partAt(kind scopeKind) uint8 {
	switch kind {
	case byCard:
		return 1
	case byPort:
		return 2
	case byPoint:
		return 3
	}
	return 0 // bySequence
}

func (x *scopeIndex) thing(kind scopeKind, id uint64) thing {
	return thing{id, x.domains(scopeKey{kind, id})}
}

func (m *metered) nameInterfaces(r *flow.Record, x *scopeIndex) {
	name := func(index uint32, out bool) {
		m.named.add(byInterface)
		m.interfaces[m.interfaceCount] = x.thing(byInterface, interfaceID(index, out))
		m.interfaceCount++
	}
	directed := r.Sent(flow.Direction)
	if r.Sent(flow.InIf) && (!directed || r.Direction != egress) {
		name(r.InIf, false)
	}
	if r.Sent(flow.OutIf) && (!directed || r.Direction == egress) {
		name(r.OutIf, true)
		name(r.OutIf, false)
	}
}

// of returns the things of a kind that the record names.
func (m *metered) of(kind scopeKind) []thing {
	switch {
	case !m.named.has(kind):
		return nil
	case kind == byInterface:
		return m.interfaces[:m.interfaceCount]
	}
	return m.things[kind : kind+1]
}

// domains are those that may have announced something of the named things of some kinds.
func (m *metered) domains(from, to scopeKind) (all domainSet) {
	for kind := from; kind <= to; kind++ {
		for _, one := range m.of(kind) {
			all |= one.domains
		}
	}
	return all
}

// A rateTable is what one domain announced.
type rateTable struct {
	rates *samplingRates
	place int // among the announcers; -1: it has none
}

// own is what the session's own domain announced.
func (s *session) own() rateTable { return rateTable{&s.sampling, s.source.announcers.of(s)} }

// mayHave reports whether the table's domain is one of those that may have a scope.
func (t rateTable) mayHave(domains domainSet) bool { return t.place < 0 || domains.has(t.place) }

// match is what option records say of a record.
type match struct {
	rate   uint32
	kind   scopeKind // of the thing that the rate is of
	unsure agreed    // rates of a thing that the record names, of which it does not say which one
	known  bool      // something is said of a thing that it names
}

// find looks for the things of some kinds that a record names, those of scopes that it names whole first.
func (s *session) find(in rateTable, m *metered, from, to scopeKind) (found match) {
	for kind := from; kind <= to; kind++ {
		things := m.of(kind)
		if len(things) == 0 || !in.rates.kinds.has(kind) {
			continue
		}
		found.kind = kind
		if len(in.rates.several) > 0 {
			if found.rate = in.whole(kind, m, &s.source.announcers.index); found.rate != 0 {
				found.known = true
				return found
			}
		}
		for _, one := range things {
			if !in.mayHave(one.domains) {
				continue
			}
			if s.findOne(in.rates, scopeKey{kind, one.id}, &found); found.rate != 0 {
				return found
			}
		}
	}
	return found
}

// findOne looks for one thing.
func (s *session) findOne(rates *samplingRates, key scopeKey, found *match) {
	if heard, single := rates.single[key]; single {
		found.rate, found.known = heard.rate, true
		return
	}
	if by, joined := rates.joins[key]; joined {
		found.known = true
		if found.rate = s.product(rates, &by.selectors); found.rate != 0 {
			return
		}
	}
	if all := rates.shared[key]; all != nil {
		found.known = true
		one := all.agreed()
		if found.rate = one.sure(); found.rate == 0 {
			found.unsure.add(one)
		}
	}
}

// whole is the rate of a scope that names several things, the first of a kind, all of which a record names.
func (t rateTable) whole(kind scopeKind, m *metered, x *scopeIndex) uint32 {
	if !slices.ContainsFunc(m.of(kind), func(one thing) bool { return t.mayHave(one.domains) }) {
		return 0
	}
	for i := range t.rates.shapes {
		sh := &t.rates.shapes[i]
		if sh.kinds[0] != kind || sh.keys() == 1 || sh.set&^m.named != 0 {
			continue
		}
		tries := 1
		if sh.set.has(byInterface) { // only of interfaces a record names several
			tries = m.interfaceCount
		}
		for try := range tries {
			key, domains := m.scope(sh, try)
			if !t.mayHave(domains) || !t.mayHave(x.domains(key.folded())) {
				continue
			}
			if rate := t.rates.several[key].rate; rate != 0 {
				return rate
			}
		}
	}
	return 0
}

// scope is the one of a shape that the record names, by one of its interfaces, and the domains that may have something
// of each thing in it: no other has the scope.
func (m *metered) scope(sh *shape, which int) (of scope, domains domainSet) {
	domains = ^domains
	for at, kind := range sh.kinds[:sh.keys()] {
		things := m.of(kind)
		one := &things[min(which, len(things)-1)]
		of[at] = scopeKey{kind, one.id}
		domains &= one.domains
	}
	return of, domains
}
