package rib

import (
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/decoder/route"
)

// leftRight finds the longest IPv6 prefix that contains an address. It has two tries (left-right concurrency): readers
// use the current one, while the writer changes the other one once its last reader has left, and then makes it current.
// The writer has a third trie, which is always up to date.
type leftRight struct {
	prefixes *prefixes
	own      bart.Table[uint32] // the writer's trie
	sides    [2]bart.Fast[uint32]
	current  atomic.Uint32 // index of the side that readers use
	swapped  uint64        // epoch of the last swap; the other side is free when all readers are in a later one
	changes  []treeChange  // changes that are not in both sides, oldest first
	behind   int           // the first of changes that are in the current side only
	removed  []uint32      // prefixes removed by changes that readers do not see yet
	version  atomic.Uint32 // incremented by each swap; 0: readers see no prefix yet
}

// treeChange is an added prefix, or a removed one if number is 0.
type treeChange struct {
	prefix route.Prefix
	number uint32
}

func newLeftRight(p *prefixes) *leftRight { return &leftRight{prefixes: p} }

// insert adds a prefix. Chains of parents include it at once; readers find it after the next publish.
func (t *leftRight) insert(n uint32) {
	x := t.prefixes.at(n)
	p := x.Netip()
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
}

// remove removes a prefix. Chains of parents exclude it at once; readers no longer find it after the next publish.
func (t *leftRight) remove(n uint32) {
	x := t.prefixes.at(n)
	p, parent := x.Netip(), t.prefixes.parentOf(n)
	t.own.Delete(p)
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
// epoch of all readers. It returns the prefixes that look-ups no longer find.
func (t *leftRight) publish(epoch, oldest uint64) (removed []uint32) {
	if t.pending() == 0 || oldest <= t.swapped {
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
	removed = t.removed
	t.removed = nil
	return removed
}
