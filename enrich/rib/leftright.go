package rib

import (
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/decoder/route"
)

// leftRight finds the longest IPv6 prefix of an address. There are two tries with the same prefixes: readers have one,
// and the writer changes the other one when no reader has it any more, and exchanges them. A third one is the writer's
// own and always up to date.
type leftRight struct {
	prefixes *prefixes
	own      bart.Table[uint32]
	sides    [2]bart.Fast[uint32]
	current  atomic.Uint32 // the side that readers have
	// swapped is the epoch of the latest exchange: the other side is free once all readers have a later one.
	swapped uint64
	changes []treeChange // not in both sides yet, the oldest first
	behind  int          // so many of them are in the current side, and not in the other one
	removed []uint32     // numbers that the changes which no reader sees yet take away
	version atomic.Uint32
}

// treeChange is a prefix that came or, without a number, went.
type treeChange struct {
	prefix route.Prefix
	number uint32
}

func newLeftRight(p *prefixes) *leftRight { return &leftRight{prefixes: p} }

// insert makes a new prefix one that readers find after the next publish. The chains hold it at once.
func (t *leftRight) insert(n uint32) {
	x := t.prefixes.at(n)
	p := x.Netip()
	parent := uint32(0)
	if x.Bits > 0 {
		_, parent, _ = t.own.LookupPrefixLPM(p) // p itself is not in yet
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

// remove takes a prefix out of the chains at once, and out of what readers find with the next publish.
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

// pending is how many changes no reader sees yet.
func (t *leftRight) pending() int { return len(t.changes) - t.behind }

// publish lets readers see all changes, if all of them have left the other side: their least epoch is oldest. It
// returns the numbers that no new reader finds any more, which are valid until the next remove.
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
