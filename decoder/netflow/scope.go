package netflow

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

// An option record says its sampling rate of something: of a sampler, an interface, a line card. scopeKind is of what,
// in the order in which kinds count. Flow records name all of them but byOther. It is as wide as an id, so that a scope
// is one piece of memory to a map.
type scopeKind uint64

const (
	noScope      scopeKind = iota
	bySampler              // IE 48, 302
	bySequence             // IE 301: a selection sequence of PSAMP (RFC 5476 §6.5.1)
	byTemplate             // IE 145, scope Template
	byInterface            // IE 10, 14, 252, 253, scope Interface
	byCard                 // IE 141, scope Line Card
	byPort                 // IE 142
	byPoint                // IE 138: an observation point
	byIngressVRF           // IE 234
	byEgressVRF            // IE 235
	byDomain               // IE 149, where it is another domain's
	byOther                // what flow records cannot name
	scopeKinds
)

// String says what a scope of the kind is, for people.
func (k scopeKind) String() string {
	return [scopeKinds]string{
		"", "sampler", "selection sequence", "template", "interface", "line card", "port", "observation point",
		"ingress VRF",
		"egress VRF", "observation domain", "other scope",
	}[k]
}

// scopeElement is the kind of scope that an element names; noScope for an element that names none.
func scopeElement(id uint16) scopeKind {
	switch id {
	case 10, 14, 252, 253:
		return byInterface
	case 138:
		return byPoint
	case 141:
		return byCard
	case 142:
		return byPort
	case 234:
		return byIngressVRF
	case 235:
		return byEgressVRF
	case 301:
		return bySequence
	}
	return noScope
}

// A scopeKey is one thing of a kind.
type scopeKey struct {
	kind scopeKind
	id   uint64
}

// interfaceID is the id of an interface. An option record of an output interface (IE 14) holds for flows metered at
// egress, one of an input interface or of scope Interface for both.
func interfaceID(index uint32, out bool) uint64 {
	id := uint64(index) << 1
	if out {
		id |= 1
	}
	return id
}

// String names the thing, for people.
func (k scopeKey) String() string {
	switch {
	case k.kind == byInterface && k.id&1 != 0:
		return "output interface " + strconv.FormatUint(k.id>>1, 10)
	case k.kind == byInterface:
		return "interface " + strconv.FormatUint(k.id>>1, 10)
	case k.kind == byOther:
		return k.kind.String()
	}
	return k.kind.String() + " " + strconv.FormatUint(k.id, 10)
}

// maxKeys is how many things one option record may name as its scope. More are kept as one of byOther.
const maxKeys = 4

// A scope is what an option record speaks of: the things that it names, in the order of their kinds, then zeros.
type scope [maxKeys]scopeKey

func (s *scope) len() int {
	n := slices.IndexFunc(s[:], func(k scopeKey) bool { return k.kind == noScope })
	if n < 0 {
		return maxKeys
	}
	return n
}

// entries is how many entries a rate of the scope has in tables: see scopedRates.
func (s *scope) entries() int {
	if n := s.len(); n > 1 {
		return 1 + n
	}
	return 1
}

func (s *scope) names(kind scopeKind) bool {
	return slices.ContainsFunc(s[:], func(k scopeKey) bool { return k.kind == kind })
}

// String names the scope, for people.
func (s *scope) String() string {
	text := ""
	for i := range s.len() {
		if i > 0 {
			text += ", "
		}
		text += s[i].String()
	}
	return text
}

// scopeNames are the things that an option record names, by kind. The zero value names nothing.
type scopeNames struct {
	has [scopeKinds]bool
	ids [scopeKinds]uint64
}

// add names one thing. Things whose kind does not distinguish them make one of byOther.
func (n *scopeNames) add(kind scopeKind, id uint64) {
	if kind == byOther {
		id = mix(n.ids[kind], id)
	}
	n.has[kind], n.ids[kind] = true, id
}

// mix adds a number to a hash (FNV-1a).
func mix(hash, n uint64) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	if hash == 0 {
		hash = offset
	}
	return (hash ^ n) * prime
}

// hashOf is a number for the value of a scope that has no kind.
func hashOf(element uint16, value []byte) uint64 {
	hash := mix(0, uint64(element))
	for _, b := range value {
		hash = mix(hash, uint64(b))
	}
	return hash
}

// scope returns the things in order.
func (n *scopeNames) scope() (s scope) {
	at := 0
	left, any := uint64(0), false
	for kind := noScope + 1; kind < scopeKinds; kind++ {
		switch {
		case !n.has[kind]:
		case kind < byOther && at < maxKeys-1:
			s[at] = scopeKey{kind, n.ids[kind]}
			at++
		default:
			left, any = mix(left, n.ids[kind]), true
		}
	}
	if any {
		s[at] = scopeKey{byOther, left}
	}
	return s
}

// A shape is a combination of kinds that an exporter's option records have.
type shape struct {
	code  uint32 // the kinds as one number, see scope.code
	kinds [maxKeys]scopeKind
	set   kindSet // the same
	n     int     // scopes of the shape that have a rate
	rates rateSet // of all of them
}

// keys is how many kinds the shape has.
func (sh *shape) keys() int {
	n := slices.Index(sh.kinds[:], noScope)
	if n < 0 {
		return maxKeys
	}
	return n
}

// selectors are the samplers that a packet passes one after the other: of an interface, or of a selection sequence.
type selectors struct {
	ids [maxSelectors]uint64
	n   int
}

const maxSelectors = 4

// add notes one more; an option record may name one twice (IE 48 and 302).
func (s *selectors) add(id uint64) {
	if s.n < maxSelectors && !slices.Contains(s.ids[:s.n], id) {
		s.ids[s.n] = id
		s.n++
	}
}

// scopedRates are rates by scope. The zero value has none. For its worker only; reading may be shared.
type scopedRates struct {
	single  map[scopeKey]heardRate
	several map[scope]heardRate         // of scopes that name more than one thing
	shared  map[scopeKey]*rateSet       // of the scopes in several that name a thing
	joins   map[scopeKey]heardSelectors // things of which only the samplers are said
	shapes  []shape                     // by their kinds
	oldest  uint32                      // none was heard before, Unix seconds; 0: there are none
	stale   bool                        // sets of rates may lack some, see tallyAnew
	kinds   kindSet                     // that occur in any of them; noScope says nothing
}

// maxShapes bounds the shapes of one observation domain, maxSamplers the scopes of one shape.
const (
	maxShapes   = 16
	maxSamplers = 4096
)

// get returns the rate of exactly one scope; 0: none is known.
func (t *scopedRates) get(s *scope) uint32 {
	if s.len() == 1 {
		return t.single[s[0]].rate
	}
	return t.several[*s].rate
}

// set keeps the rate of a scope that is not empty, within the bounds. It reports whether that is news.
func (t *scopedRates) set(s *scope, rate, now uint32) (changed bool) {
	sh := t.shapeOf(s)
	was := t.get(s)
	if sh == nil || was == 0 && sh.n >= maxSamplers {
		return false
	}
	heard := heardRate{rate, now}
	if was == rate {
		if s.len() == 1 {
			t.single[s[0]] = heard
		} else {
			t.several[*s] = heard
		}
		return false
	}
	t.heardSince(now)
	if s.len() == 1 {
		put(&t.single, s[0], heard)
	} else {
		put(&t.several, *s, heard)
	}
	t.tally(sh, s, was, rate)
	return true
}

// tally counts a scope's rate in that of its shape, and of the things that it names.
func (t *scopedRates) tally(sh *shape, s *scope, was, rate uint32) {
	if was == 0 {
		sh.n++
	}
	stale := sh.rates.change(was, rate)
	n := s.len()
	if n > 1 && !s.names(byDomain) { // of which nothing holds for other domains' records
		for _, key := range s[:n] {
			all := t.shared[key]
			if all == nil {
				all = &rateSet{}
				put(&t.shared, key, all)
			}
			stale = all.change(was, rate) || stale
		}
	}
	t.stale = t.stale || stale
}

// tallyAnew counts all rates again, after some are gone.
func (t *scopedRates) tallyAnew() {
	t.stale, t.shared = false, nil
	for i := range t.shapes {
		t.shapes[i].n, t.shapes[i].rates = 0, rateSet{}
	}
	tally := func(of *scope, rate uint32) {
		if sh := t.shapeOf(of); sh != nil {
			t.tally(sh, of, 0, rate)
		}
	}
	for key, heard := range t.single {
		tally(&scope{key}, heard.rate)
	}
	for of, heard := range t.several {
		tally(&of, heard.rate)
	}
}

// join keeps by which samplers a thing's packets pass. It reports whether that is news.
func (t *scopedRates) join(key scopeKey, by selectors, now uint32) (changed bool) {
	was, known := t.joins[key]
	if !known && len(t.joins) >= maxSamplers {
		return false
	}
	put(&t.joins, key, heardSelectors{by, now})
	if was.selectors == by {
		return false
	}
	t.heardSince(now)
	t.kinds.add(key.kind)
	return true
}

func put[K comparable, V any](m *map[K]V, key K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = v
}

// shapeOf returns the shape of a scope, a new one if need be; nil: there are too many.
func (t *scopedRates) shapeOf(s *scope) *shape {
	code := s.code()
	for i := range t.shapes {
		if t.shapes[i].code == code {
			return &t.shapes[i]
		}
	}
	if len(t.shapes) >= maxShapes {
		return nil
	}
	sh := shape{code: code}
	for i, key := range s[:s.len()] {
		sh.kinds[i] = key.kind
		sh.set.add(key.kind)
	}
	at, _ := slices.BinarySearchFunc(t.shapes, code,
		func(sh shape, code uint32) int { return cmp.Compare(sh.code, code) })
	t.shapes = slices.Insert(t.shapes, at, sh)
	t.kinds |= sh.set
	return &t.shapes[at]
}

// code has the kinds of a scope, the first one in the highest byte.
func (s *scope) code() (code uint32) {
	for _, key := range s {
		code = code<<8 | uint32(key.kind)
	}
	return code
}

// bytes is what the rates cost.
func (t *scopedRates) bytes() int {
	return rateBytes*(len(t.single)+2*len(t.joins)+4*len(t.several)+2*len(t.shared)) + indexBytes*t.keys()
}

// keys is how many keys an index has of the rates.
func (t *scopedRates) keys() int {
	return len(t.single) + len(t.joins) + len(t.several) + len(t.shared)
}

// each calls f for each scope that has a rate or samplers.
func (t *scopedRates) each(f func(of *scope)) {
	for key := range t.single {
		f(&scope{key})
	}
	for key := range t.joins {
		f(&scope{key})
	}
	for of := range t.several {
		f(&of)
	}
}

// count is how many scopes have a rate or samplers.
func (t *scopedRates) count() int { return len(t.single) + len(t.several) + len(t.joins) }

func (t *scopedRates) clone() scopedRates {
	c := *t
	c.single, c.several, c.joins = maps.Clone(t.single), maps.Clone(t.several), maps.Clone(t.joins)
	c.shared = maps.Clone(t.shared)
	for key, all := range c.shared {
		copied := *all
		c.shared[key] = &copied
	}
	c.shapes = slices.Clone(t.shapes)
	return c
}
