package rib

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/decoder/route"
)

// leftRight finds the longest IPv6 prefix that contains an address. It has two tries (left-right concurrency): readers
// use the current one, while the writer changes the other one once its last reader has left, and then makes it current.
// The writer has a third trie, which is always up to date.
type leftRight struct {
	budget   *budget
	prefixes *prefixes
	own      bart.Table[uint32] // the writer's trie
	sides    [2]bart.Fast[uint32]
	current  atomic.Uint32 // index of the side that readers use
	swapped  uint64        // epoch of the last swap; the other side is free when all readers are in a later one
	changes  []treeChange  // changes that are not in both sides, oldest first
	behind   int           // the first of changes that are in the current side only
	removed  []uint32      // prefixes removed by changes that readers do not see yet
	version  atomic.Uint32 // incremented by each swap; 0: readers see no prefix yet
	bytes    int64         // of the budget that the tries take
	freed    [2]int64      // part of bytes of removed prefixes that both sides still have, and the other side alone
}

// The tries are in Go's heap. They count as memory of the RIB, because a peer can choose prefixes that take much: two
// that differ in their last byte alone have a node of their own for each byte before.
const (
	// triePrefixBytes is about what a prefix takes in the three tries, with its entry in prefixes.idle.
	triePrefixBytes = 105 * withGarbage / live
	// trieLeafBytes is about what a prefix takes besides if it is a leaf with its bits.
	trieLeafBytes = 145 * withGarbage / live
	// trieNodeBytes is about what a node takes in the three tries: 128 bytes in bart.Table, 384 in each bart.Fast.
	trieNodeBytes = 895 * withGarbage / live

	// For each live bytes in the heap there are withGarbage bytes in it at the most before garbage is collected: the
	// collector's percentage for garbage is 40 or less.
	live        = 5
	withGarbage = 7
)

// treeChange is an added prefix, or a removed one if number is 0.
type treeChange struct {
	prefix route.Prefix
	number uint32
}

func newLeftRight(b *budget, p *prefixes) *leftRight { return &leftRight{budget: b, prefixes: p} }

// cost returns about how many bytes the tries grow by when a prefix is added that they do not have, or shrank by when
// it was removed. A trie has a node for each sequence of whole bytes that two prefixes begin with. So the prefix adds
// those that it has in common with exactly one other, which thereby may cease to be a leaf.
func (t *leftRight) cost(p netip.Prefix) int64 {
	before, after := 0, 0 // depth of the last node of p's bytes without p, and with it
	var one netip.Prefix
	for depth := p.Bits() / 8; depth > before; depth-- {
		others, other := 0, netip.Prefix{}
		for q := range t.own.Subnets(netip.PrefixFrom(p.Addr(), 8*depth).Masked()) {
			other = q
			if others++; others == 2 {
				break
			}
		}
		switch others {
		case 1:
			one, after = other, max(after, depth)
		case 2:
			before, after = depth, max(after, depth)
		}
	}
	cost := triePrefixBytes + int64(after-before)*trieNodeBytes + leafBytes(p, after)
	if after > before {
		cost += leafBytes(one, after) - leafBytes(one, before)
	}
	return cost
}

// leafBytes is what a prefix takes besides as a leaf: it is one unless the node of its last byte exists.
func leafBytes(p netip.Prefix, depth int) int64 {
	if depth < (p.Bits()-1)/8 {
		return trieLeafBytes
	}
	return 0
}

// insert adds a prefix. Chains of parents include it at once; readers find it after the next publish. The only error is
// errMemory.
func (t *leftRight) insert(n uint32) error {
	x := t.prefixes.at(n)
	p := x.Netip()
	cost := t.cost(p)
	if !t.budget.take(cost) {
		return errMemory
	}
	t.bytes += cost
	parent := uint32(0)
	if x.Bits > 0 {
		_, parent, _ = t.own.LookupPrefixLPM(p) // the trie does not have p yet
	}
	t.prefixes.setParent(n, parent)
	for _, child := range t.own.Subnets(p) {
		if t.prefixes.parentOf(child) == parent {
			t.prefixes.setParent(child, n)
		}
	}
	t.own.Insert(p, n)
	t.changes = append(t.changes, treeChange{x, n})
	return nil
}

// remove removes a prefix. Chains of parents exclude it at once; readers no longer find it after the next publish.
func (t *leftRight) remove(n uint32) {
	x := t.prefixes.at(n)
	p, parent := x.Netip(), t.prefixes.parentOf(n)
	t.own.Delete(p)
	t.freed[0] += t.cost(p)
	for _, child := range t.own.Subnets(p) {
		if t.prefixes.parentOf(child) == n {
			t.prefixes.setParent(child, parent)
		}
	}
	t.changes = append(t.changes, treeChange{x, 0})
	t.removed = append(t.removed, n)
}

// pending returns the number of changes that readers do not see yet.
func (t *leftRight) pending() int { return len(t.changes) - t.behind }

// publish makes all changes visible to readers, unless a reader may still use the other side. oldest is the lowest
// epoch of all readers. It returns the prefixes that look-ups no longer find. Without changes, it removes from the
// other side what only that still has, to give back its memory.
func (t *leftRight) publish(epoch, oldest uint64) (removed []uint32) {
	if t.pending() == 0 && t.freed[1] == 0 || oldest <= t.swapped {
		return nil
	}
	other := t.current.Load() ^ 1
	side := &t.sides[other]
	for _, c := range t.changes {
		if c.number == 0 {
			side.Delete(c.prefix.Netip())
		} else {
			side.Insert(c.prefix.Netip(), c.number)
		}
	}
	t.current.Store(other)
	t.version.Add(1)
	t.swapped = epoch
	t.changes = append(t.changes[:0], t.changes[t.behind:]...)
	t.behind = len(t.changes)
	t.bytes -= t.freed[1]
	t.budget.used -= t.freed[1]
	t.freed = [2]int64{0, t.freed[0]}
	removed = t.removed
	t.removed = nil
	return removed
}
