package rib

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/route"
)

// prefixes numbers the prefixes of one family. A prefix keeps its number while a table has a route to it, and for some
// time after. Numbers start at 1.
//
// Each prefix has a parent, the next shorter prefix that contains it, and so starts a chain. Chains do not include the
// prefix of length 0: look-ups try it after the end of the chain.
type prefixes struct {
	v6     bool
	seed   uint64
	hi, lo array[uint64] // the address; for IPv4 the lowest byte of hi is the length, and lo is not used
	bits   array[uint8]  // the length, for IPv6
	parent array[uint32]
	refs   array[uint32] // number of routes in all tables, and the flag listed
	index  index
	zero   atomic.Uint32 // the number of the prefix of length 0; 0: there is none
	next   uint32
	free   []uint32
	used   int
	// idle holds prefixes that lost their last route, oldest first. Some have a route again. They are removed later, so
	// that a flapping route does not change the index of addresses each time.
	idle      []uint32
	idleHead  int
	idleCount int
}

// listed is the flag in refs of a prefix that is in idle.
const listed = 1 << 31

func newPrefixes(b *budget, v6 bool) (*prefixes, error) {
	p := &prefixes{v6: v6, seed: rand.Uint64(), next: 1}
	var err error
	if p.hi, err = newArray[uint64](b, maxNumbers); err != nil {
		return p, err
	}
	if v6 {
		if p.lo, err = newArray[uint64](b, maxNumbers); err != nil {
			return p, err
		}
		if p.bits, err = newArray[uint8](b, maxNumbers); err != nil {
			return p, err
		}
	}
	if p.parent, err = newArray[uint32](b, maxNumbers); err != nil {
		return p, err
	}
	if p.refs, err = newArray[uint32](b, maxNumbers); err != nil {
		return p, err
	}
	return p, p.index.init(b)
}

func (p *prefixes) release() {
	p.hi.release()
	p.lo.release()
	p.bits.release()
	p.parent.release()
	p.refs.release()
	p.index.release()
}

func (p *prefixes) hash(x route.Prefix) uint32 { return mix(p.seed, x.Hi|uint64(x.Bits), x.Lo) }

// at returns prefix n.
func (p *prefixes) at(n uint32) route.Prefix {
	if p.v6 {
		return route.Prefix{Hi: p.hi.all[n], Lo: p.lo.all[n], Bits: p.bits.all[n], V6: true}
	}
	w := p.hi.all[n]
	return route.Prefix{Hi: w &^ 0xff, Bits: uint8(w)}
}

// length returns the length of prefix n in bits.
func (p *prefixes) length(n uint32) uint8 {
	if p.v6 {
		return p.bits.all[n]
	}
	return uint8(p.hi.all[n])
}

// find returns the number of a prefix, or 0 if it has none.
func (p *prefixes) find(x route.Prefix) uint32 {
	if p.v6 {
		return p.index.find(p.hash(x), func(n uint32) bool {
			return p.hi.all[n] == x.Hi && p.lo.all[n] == x.Lo && p.bits.all[n] == x.Bits
		})
	}
	word := x.Hi | uint64(x.Bits)
	return p.index.find(p.hash(x), func(n uint32) bool { return p.hi.all[n] == word })
}

// add gives a number to a prefix that has none. Readers do not find it yet.
func (p *prefixes) add(x route.Prefix) (uint32, error) {
	if err := p.index.reserve(); err != nil {
		return 0, err
	}
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	p.hi.all[n] = x.Hi
	if p.v6 {
		p.lo.all[n], p.bits.all[n] = x.Lo, x.Bits
	} else {
		p.hi.all[n] |= uint64(x.Bits)
	}
	p.refs.all[n] = 0
	p.setParent(n, 0)
	p.index.add(p.hash(x), n)
	p.used++
	return n, nil
}

func (p *prefixes) number() (uint32, error) {
	if last := len(p.free) - 1; last >= 0 {
		n := p.free[last]
		p.free = p.free[:last]
		return n, nil
	}
	most := int(p.next) + 1
	for _, err := range []error{p.hi.grow(most), p.parent.grow(most), p.refs.grow(most)} {
		if err != nil {
			return 0, err
		}
	}
	if p.v6 {
		if err := p.lo.grow(most); err != nil {
			return 0, err
		}
		if err := p.bits.grow(most); err != nil {
			return 0, err
		}
	}
	p.next++
	return p.next - 1, nil
}

// forget removes a prefix from the index. Its number can be reused after put.
func (p *prefixes) forget(n uint32) {
	p.index.remove(p.hash(p.at(n)), n)
	p.used--
}

// put frees a number, which no reader may still use.
func (p *prefixes) put(n uint32) { p.free = append(p.free, n) }

func (p *prefixes) parentOf(n uint32) uint32 { return atomic.LoadUint32(&p.parent.all[n]) }

func (p *prefixes) setParent(n, parent uint32) { atomic.StoreUint32(&p.parent.all[n], parent) }

// shorter returns the first prefix of the chain from n that is shorter than bits, or 0.
func (p *prefixes) shorter(n uint32, bits uint8) uint32 {
	for n != 0 && p.length(n) >= bits {
		n = p.parentOf(n)
	}
	return n
}

// last returns the last prefix of the chain from n that is longer than bits, or 0.
func (p *prefixes) last(n uint32, bits uint8) uint32 {
	found := uint32(0)
	for n != 0 && p.length(n) > bits {
		found, n = n, p.parentOf(n)
	}
	return found
}

// ref counts a route to prefix n.
func (p *prefixes) ref(n uint32) {
	p.refs.all[n]++
}

// unref removes a route from the count of prefix n. A prefix without routes becomes idle.
func (p *prefixes) unref(n uint32) {
	p.refs.all[n]--
	p.list(n)
}

// alwaysKept is the length up to which IPv4 prefixes are never removed. There are 510 at most, and each takes long to
// add and to remove, since it covers many addresses: nobody should be able to repeat that.
const alwaysKept = 8

// list adds prefix n to idle if it has no routes, is not there yet, and is not always kept.
func (p *prefixes) list(n uint32) {
	if p.refs.all[n] != 0 || !p.v6 && p.length(n) > 0 && p.length(n) <= alwaysKept {
		return
	}
	p.refs.all[n] = listed
	p.idle = append(p.idle, n)
	p.idleCount++
}

// nextIdle removes the oldest prefix without a route from idle and returns it, or 0 if there is none among the first
// most.
func (p *prefixes) nextIdle(most int) uint32 {
	for ; most > 0 && p.idleHead < len(p.idle); most-- {
		n := p.idle[p.idleHead]
		p.idleHead++
		p.idleCount--
		if p.idleHead >= 1024 && p.idleHead*2 >= len(p.idle) {
			p.idle = append(p.idle[:0], p.idle[p.idleHead:]...)
			p.idleHead = 0
		}
		p.refs.all[n] &^= listed
		if p.refs.all[n] == 0 {
			return n
		}
	}
	return 0
}
