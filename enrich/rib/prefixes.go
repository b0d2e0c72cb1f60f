package rib

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/route"
)

// prefixes numbers the prefixes of one family. A prefix has its number as long as a table has a route for it, and some
// time longer. Numbers begin at 1.
//
// Each prefix knows its parent: the longest shorter prefix that holds it. 0.0.0.0/0 and ::/0 are nobody's parent: they
// stand behind the end of every chain.
type prefixes struct {
	v6     bool
	seed   uint64
	hi, lo array[uint64] // of IPv4, hi has the prefix's length in its lowest byte, and lo is not used
	bits   array[uint8]  // of IPv6
	parent array[uint32]
	refs   array[uint32] // routes of all tables; listed is another bit
	index  index
	zero   atomic.Uint32 // the number of the prefix of length 0; 0: there is none
	next   uint32
	free   []uint32
	used   int
	// idle are prefixes that lost their last route, the oldest first; some have routes again. They are removed later:
	// a route that comes and goes must not move the tables of addresses each time.
	idle      []uint32
	idleHead  int
	idleCount int
}

// listed marks a prefix that is in the list of idle ones.
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

// at is the prefix with a number.
func (p *prefixes) at(n uint32) route.Prefix {
	if p.v6 {
		return route.Prefix{Hi: p.hi.all[n], Lo: p.lo.all[n], Bits: p.bits.all[n], V6: true}
	}
	w := p.hi.all[n]
	return route.Prefix{Hi: w &^ 0xff, Bits: uint8(w)}
}

// length is the length of the prefix with a number, in bits.
func (p *prefixes) length(n uint32) uint8 {
	if p.v6 {
		return p.bits.all[n]
	}
	return uint8(p.hi.all[n])
}

// find is the number of a prefix; 0: it has none.
func (p *prefixes) find(x route.Prefix) uint32 {
	if p.v6 {
		return p.index.find(p.hash(x), func(n uint32) bool {
			return p.hi.all[n] == x.Hi && p.lo.all[n] == x.Lo && p.bits.all[n] == x.Bits
		})
	}
	word := x.Hi | uint64(x.Bits)
	return p.index.find(p.hash(x), func(n uint32) bool { return p.hi.all[n] == word })
}

// add gives a prefix a number that it does not have yet. No reader can find it so far.
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

// forget takes a prefix out of the index. Its number is free after put.
func (p *prefixes) forget(n uint32) {
	p.index.remove(p.hash(p.at(n)), n)
	p.used--
}

// put makes a number free that no reader can see any more.
func (p *prefixes) put(n uint32) { p.free = append(p.free, n) }

func (p *prefixes) parentOf(n uint32) uint32 { return atomic.LoadUint32(&p.parent.all[n]) }

func (p *prefixes) setParent(n, parent uint32) { atomic.StoreUint32(&p.parent.all[n], parent) }

// shorter is the first of a chain that is shorter than so many bits.
func (p *prefixes) shorter(n uint32, bits uint8) uint32 {
	for n != 0 && p.length(n) >= bits {
		n = p.parentOf(n)
	}
	return n
}

// last is the last of a chain that is longer than so many bits; 0: none is.
func (p *prefixes) last(n uint32, bits uint8) uint32 {
	found := uint32(0)
	for n != 0 && p.length(n) > bits {
		found, n = n, p.parentOf(n)
	}
	return found
}

// ref counts a route.
func (p *prefixes) ref(n uint32) {
	p.refs.all[n]++
}

// unref takes a route off, and lists a prefix that has none any more.
func (p *prefixes) unref(n uint32) {
	p.refs.all[n]--
	p.list(n)
}

// list lists a prefix without routes.
func (p *prefixes) list(n uint32) {
	if p.refs.all[n] != 0 {
		return
	}
	p.refs.all[n] = listed
	p.idle = append(p.idle, n)
	p.idleCount++
}

// nextIdle takes the oldest prefix off the list that still has no route; 0: there is none. It looks at so many at most.
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
