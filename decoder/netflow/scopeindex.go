package netflow

import (
	"math/bits"
	"math/rand/v2"
)

// A kindSet is a set of kinds of scopes, as bits.
type kindSet uint16

func (s kindSet) has(kind scopeKind) bool { return s>>kind&1 != 0 }

func (s *kindSet) add(kind scopeKind) { *s |= 1 << kind }

// A scopeIndex says which of an exporter's observation domains may have announced something of a scope, by a hash: a
// record names up to a dozen things, and asks nobody of most of them. It never hides a domain that has; another one may
// look as if it had. A scope has two slots in one line of the processor's cache: a domain that is in only one of them
// has another scope there. So hardly any domain is asked in vain, and a look-up waits for memory once.
type scopeIndex struct {
	slots []domainSet // a power of two of them, lineSlots or more
	seed  uint64      // which senders cannot know
	keys  int         // things and scopes of all domains
	gone  domainSet   // domains that have nothing any more, which the slots do not know yet
}

// A domainSet is a set of announcers, as bits by their places.
type domainSet uint64

func (s domainSet) has(place int) bool { return s>>place&1 != 0 }

// lineSlots is how many slots a line of the processor's cache has.
const lineSlots = 8

// The index has two to four slots for each key while keys are added, which cost indexBytes each. It becomes smaller
// when most keys are gone, and not after each eviction.
const (
	slotsPerKey = 2
	mostSlots   = 8 * slotsPerKey
	fewestSlots = 16
	indexBytes  = 4 * 8
)

func newScopeIndex(keys int) scopeIndex {
	size := max(fewestSlots, 1<<bits.Len(uint(slotsPerKey*keys-1)))
	return scopeIndex{slots: make([]domainSet, size), seed: rand.Uint64() | 1}
}

// places are the two slots of a scope.
func (x *scopeIndex) places(key scopeKey) (a, b *domainSet) {
	high, low := bits.Mul64(key.id^x.seed, golden^x.seed<<8^uint64(key.kind)<<1)
	hash := high ^ low
	line := hash & uint64(len(x.slots)-1) &^ (lineSlots - 1)
	first := hash % lineSlots
	second := first ^ (1 + hash>>32%(lineSlots-1)) // another one
	return &x.slots[line|first], &x.slots[line|second]
}

// full reports whether there are too many keys for the slots.
func (x *scopeIndex) full() bool { return slotsPerKey*x.keys > len(x.slots) }

// oversized reports whether there are too few.
func (x *scopeIndex) oversized() bool {
	return len(x.slots) > fewestSlots && mostSlots*x.keys < len(x.slots)
}

// domains are those that may have a scope of one thing, or several folded to one.
func (x *scopeIndex) domains(key scopeKey) domainSet {
	if len(x.slots) == 0 {
		return 0
	}
	a, b := x.places(key)
	return *a & *b &^ x.gone
}

// add notes that a domain has a scope, and so each thing that the scope names.
func (x *scopeIndex) add(place int, of *scope) {
	n := of.len()
	for _, key := range of[:n] {
		x.note(place, key)
	}
	if n > 1 {
		x.note(place, of.folded())
	}
}

func (x *scopeIndex) note(place int, key scopeKey) {
	a, b := x.places(key)
	*a |= 1 << place
	*b |= 1 << place
}

// sweep takes those that are gone out of the slots.
func (x *scopeIndex) sweep() {
	for i := range x.slots {
		x.slots[i] &^= x.gone
	}
	x.gone = 0
}

// folded stands for a scope of several things in an index.
func (s *scope) folded() (key scopeKey) {
	for _, part := range s {
		key.id = key.id*golden + part.id ^ uint64(part.kind)
	}
	return key
}
