// Package budget shares a bounded amount of memory fairly among those who use it, such as the addresses that send
// datagrams. It imports nothing of the project.
//
// Three rules hold for all state that datagrams can create:
//
//   - The sum is bounded, and so is each holder's part of it.
//   - Whoever has much loses first. Small holders count as equally small.
//   - Trusted holders (those that have given data) never lose anything to untrusted ones, which have a reserve of their
//     own.
package budget

import (
	"cmp"
	"math/bits"
)

// Limits are the limits of a Budget, in any one unit (bytes, streams, ...).
type Limits struct {
	Total   int
	Reserve int // the part of Total that trusted holders leave to untrusted ones
	Share   int // the most that one holder may have
	Small   int // holders with less count as equally small; 0: 1/64 of Total
}

// Quarter returns limits of which a quarter is in reserve and one holder may have a quarter.
func Quarter(total int) Limits { return Limits{Total: total, Reserve: total / 4, Share: total / 4} }

// Budget counts what holders have and chooses who must give up something. It does not hold anything itself. It belongs
// to one goroutine. Every operation takes constant time.
type Budget[T any] struct {
	limits Limits
	small  int
	used   [2]int // of untrusted and of trusted holders
	// holders by the magnitude of what they have; holders of nothing are in no level
	levels [2][bits.UintSize][]*Holder[T]
	random uint64
}

// Holder is a user of a budget. Only its Budget changes the unexported fields; Standing and Seen belong to the owner.
type Holder[T any] struct {
	Of T
	// Standing is how long the holder has been useful. Of holders with equally much, the one with the lowest standing
	// loses.
	Standing uint32
	Seen     int64 // when it was last active: of equal standings, the one that was silent longest loses

	used  int
	tier  uint8
	level uint8
	place int // index in its level; valid while used > 0
}

const untrusted, trusted = 0, 1

// New returns an unused budget.
func New[T any](limits Limits) *Budget[T] {
	return &Budget[T]{limits: limits, small: max(1, cmp.Or(limits.Small, limits.Total/64)), random: 1}
}

// Limits returns the limits.
func (b *Budget[T]) Limits() Limits { return b.limits }

// Used returns the sum of what all holders have.
func (b *Budget[T]) Used() int { return b.used[untrusted] + b.used[trusted] }

// Used returns how much the holder has.
func (h *Holder[T]) Used() int { return h.used }

// Trusted reports whether Trust was called.
func (h *Holder[T]) Trusted() bool { return h.tier == trusted }

// Fits reports whether h may have n more.
func (b *Budget[T]) Fits(h *Holder[T], n int) bool { return h.used+n <= b.limits.Share }

// Add notes that h has n more, or less if n is negative. Call Over afterwards.
func (b *Budget[T]) Add(h *Holder[T], n int) {
	b.used[h.tier] += n
	before := h.used
	h.used += n
	switch level := b.level(h.used); {
	case before == 0 && h.used > 0:
		b.insert(h, level)
	case before > 0 && h.used <= 0:
		b.remove(h)
	case before > 0 && level != h.level:
		b.remove(h)
		b.insert(h, level)
	}
}

// Clear notes that h has nothing any more.
func (b *Budget[T]) Clear(h *Holder[T]) { b.Add(h, -h.used) }

// Trust makes h a trusted holder. Over may be true afterwards.
func (b *Budget[T]) Trust(h *Holder[T]) {
	if h.tier == trusted {
		return
	}
	used := h.used
	b.Add(h, -used)
	h.tier = trusted
	b.Add(h, used)
}

// Over reports whether someone must give up something: see Victim.
func (b *Budget[T]) Over() bool { return b.Used() > b.limits.Total || b.trustedOver() }

func (b *Budget[T]) trustedOver() bool { return b.used[trusted] > b.limits.Total-b.limits.Reserve }

// Victim compares some random holders and as many of the newest, because a flood is mostly among these.
const samples = 8

// Victim returns a holder that must give up something: of some holders with the most, the one with the lowest standing.
// nil: no holder has anything.
func (b *Budget[T]) Victim() *Holder[T] {
	tier := untrusted
	if b.trustedOver() || b.used[untrusted] <= 0 {
		tier = trusted
	}
	for level := len(b.levels[tier]) - 1; level >= 0; level-- {
		if all := b.levels[tier][level]; len(all) > 0 {
			return b.worst(all)
		}
	}
	return nil
}

func (b *Budget[T]) worst(all []*Holder[T]) *Holder[T] {
	worst := all[len(all)-1]
	for i := range min(2*samples, len(all)) {
		h := all[len(all)-1-i]
		if i >= samples && len(all) > 2*samples {
			h = all[b.next(len(all))]
		}
		if h.Standing < worst.Standing || h.Standing == worst.Standing && h.Seen < worst.Seen {
			worst = h
		}
	}
	return worst
}

// next returns a random number in [0, n) (xorshift64).
func (b *Budget[T]) next(n int) int {
	b.random ^= b.random << 13
	b.random ^= b.random >> 7
	b.random ^= b.random << 17
	return int(b.random % uint64(n))
}

func (b *Budget[T]) level(used int) uint8 {
	return uint8(bits.Len(uint(max(used, 0) / b.small)))
}

func (b *Budget[T]) insert(h *Holder[T], level uint8) {
	list := &b.levels[h.tier][level]
	h.level, h.place = level, len(*list)
	*list = append(*list, h)
}

func (b *Budget[T]) remove(h *Holder[T]) {
	list := &b.levels[h.tier][h.level]
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[h.place], moved.place = moved, h.place
	(*list)[last] = nil
	*list = (*list)[:last]
}
