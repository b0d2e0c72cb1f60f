package netflow

// save fills in what is known of scopes.
func (s *DomainState) save(t *scopedRates) {
	for key, heard := range t.single {
		rate := heard.rate
		switch {
		case key.kind == bySampler:
			put(&s.BySampler, key.id, rate)
		case key.kind == byTemplate:
			put(&s.ByTemplate, uint16(key.id), rate)
		case key.kind == byInterface && key.id&1 != 0:
			put(&s.ByOutInterface, uint32(key.id>>1), rate)
		case key.kind == byInterface:
			put(&s.ByInterface, uint32(key.id>>1), rate)
		default:
			s.ByScope = append(s.ByScope, ScopeState{Of: scopeState(&scope{key}), Rate: rate})
		}
	}
	for of, heard := range t.several {
		s.ByScope = append(s.ByScope, ScopeState{Of: scopeState(&of), Rate: heard.rate})
	}
	for key, by := range t.joins {
		s.ByScope = append(s.ByScope, ScopeState{Of: scopeState(&scope{key}),
			Samplers: append([]uint64(nil), by.ids[:by.n]...)})
	}
}

func scopeState(of *scope) []ScopeName {
	names := make([]ScopeName, 0, maxKeys)
	for _, key := range of[:of.len()] {
		names = append(names, ScopeName{uint8(key.kind), key.id})
	}
	return names
}

// restored are a domain's rates as they were; nil where there are none. What the state says is bounded as what the wire
// says is.
func (s *DomainState) restored() *samplingRates {
	r := &samplingRates{domain: s.Rate, system: s.SystemRate, lastSampler: s.LastSampler, seen: s.Sampled}
	r.domainSeen, r.systemSeen = seconds(r.seen), seconds(r.seen)
	set := func(kind scopeKind, id uint64, rate uint32) {
		if rate != 0 {
			r.set(&scope{{kind, id}}, rate, seconds(r.seen))
		}
	}
	for id, rate := range s.BySampler {
		set(bySampler, id, rate)
	}
	for id, rate := range s.ByTemplate {
		set(byTemplate, uint64(id), rate)
	}
	for index, rate := range s.ByInterface {
		set(byInterface, interfaceID(index, false), rate)
	}
	for index, rate := range s.ByOutInterface {
		set(byInterface, interfaceID(index, true), rate)
	}
	for i := range s.ByScope {
		r.restore(&s.ByScope[i])
	}
	if r.empty() {
		return nil
	}
	return r
}

// restore takes one rate, or the samplers of one thing. A state that was made by a later release may have other kinds.
func (s *samplingRates) restore(one *ScopeState) {
	var of scope
	if len(one.Of) == 0 || len(one.Of) > maxKeys {
		return
	}
	for i, name := range one.Of {
		kind := scopeKind(name.Kind)
		if kind == noScope || kind >= scopeKinds || i > 0 && kind <= of[i-1].kind {
			return
		}
		of[i] = scopeKey{kind, name.ID}
	}
	if one.Rate != 0 {
		s.set(&of, one.Rate, seconds(s.seen))
		return
	}
	var by selectors
	for _, id := range one.Samplers {
		by.add(id)
	}
	if by.n > 0 {
		s.join(of[0], by, seconds(s.seen))
	}
}
