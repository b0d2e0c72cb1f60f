package exporter

import (
	"slices"
	"sync/atomic"
)

// reorderWindow is how far back, in datagrams, a number may be and still be late rather than a restart.
const reorderWindow = 64

// maxGap is the largest gap that is taken for loss. A larger one means that the exporter restarted its count.
const maxGap = 1 << 22

// A numbering is one run of sequence numbers, followed in all ways in which its exporter may count. Each way keeps the
// losses that would be true if the exporter counted in that way. Once the right way is known, its losses are reported,
// from the first datagram on. The zero value is ready.
type numbering struct {
	ways     [maxWays]hypothesis
	recent   recentNumbers
	best     uint8 // the way that explains most of the numbers so far; of equal ones the first
	chosen   uint8
	said     account // what was reported, by the account of the chosen way
	decided  bool
	seenOnce bool
	aged     bool // fits and misses do not go back to the first datagram any more

	steady   uint8 // consecutive datagrams whose number the chosen way expected, up to steadyEnough
	followed uint8 // the ways that follow follows, as bits
}

// A hypothesis is the state of one way.
type hypothesis struct {
	next         uint32 // the expected number of the next datagram
	valid        bool   // next is known
	fitted       bool   // the number of the latest datagram was expected
	missed       bool   // another one was
	again, late  bool   // the latest datagram was a duplicate, or late
	fits, misses uint16 // how many datagrams had the expected number, and how many had not
	account      account
}

// account is what the numbers say if they are read in one way.
type account struct {
	lost                  uint64 // in the way's unit
	twice, late, restarts uint32 // datagrams
}

// enough is how many datagrams must fit before a way is chosen. A way that explains less than one in four is not.
const (
	enough   = 3
	oneInFew = 4
	// memorable bounds fits and misses, so that a changed way of counting is recognized in time.
	memorable = 256
)

// steadyEnough is how many datagrams in a row must have the number that the chosen way expects before the ways that
// explain little are not followed any more. That saves most of the work.
const steadyEnough = 32

// settle notes whether the latest number was expected, and decides which ways are followed from now on.
func (n *numbering) settle(list []way) {
	if !n.decided || !n.ways[n.chosen].fitted {
		n.steady = 0
		return
	}
	if n.steady++; n.steady < steadyEnough {
		return
	}
	n.followed = 0
	for i := range list {
		h := &n.ways[i]
		if h.valid && 2*h.fits >= n.ways[n.chosen].fits {
			n.followed |= 1 << i
		} else {
			h.valid = false
		}
		h.fitted, h.missed, h.again, h.late = false, false, false, false
	}
}

// follow takes a datagram's number if the count is steady and all followed ways expect it. Otherwise the number must go
// to observe.
func (n *numbering) follow(list []way, number uint32, u Units) bool {
	if n.steady < steadyEnough || u.Unknown {
		return false
	}
	increments := u.increments()
	for i, w := range list {
		begin := number
		if w.itself {
			begin -= increments[w.counts]
		}
		if n.followed&(1<<i) != 0 && begin != n.ways[i].next {
			n.steady = 0
			return false
		}
	}
	for i, w := range list {
		if n.followed&(1<<i) == 0 {
			continue
		}
		h := &n.ways[i]
		if h.next = number; !w.itself {
			h.next += increments[w.counts]
		}
		h.fits++
		n.aged = h.age() || n.aged
	}
	n.recent.add(number)
	return true
}

// age halves the counts of datagrams if there are many. It reports whether it did.
func (h *hypothesis) age() bool {
	if h.fits+h.misses < memorable {
		return false
	}
	h.fits, h.misses = h.fits/2, h.misses/2
	return true
}

// observe takes a datagram's number. fits says that the best way expected it, misses that it expected another one. It
// runs for each datagram and each way, so what is the same for all ways is computed once.
func (n *numbering) observe(list []way, number uint32, u Units) (fits, misses bool) {
	increments := u.increments()
	at := n.recent.locate(number)
	before, best := int(n.best), 0
	for i, w := range list {
		h := &n.ways[i]
		h.fitted, h.missed, h.again, h.late = false, false, false, false
		units, known := increments[w.counts], !u.Unknown || w.counts.fixed()
		begin := number
		if w.itself {
			begin -= units
		}
		switch {
		case !known && w.itself:
			h.valid = false
		case !h.valid:
			h.next, h.valid = begin+units, known
		case begin == h.next:
			h.fitted = true
			h.fits++
			h.next, h.valid = begin+units, known
			fits = fits || i == before
		default:
			h.missed = true
			h.misses++
			misses = misses || i == before
			was := h.account
			if h.account.add(int32(begin-h.next), units, number, &n.recent, at) {
				h.next, h.valid = begin+units, known
			}
			h.again, h.late = h.account.twice > was.twice, h.account.late > was.late
			if w.counts == CountsNothing {
				h.account, h.again, h.late = account{}, false, false
			}
		}
		n.aged = h.age() || n.aged
		if b := &n.ways[best]; h.fits >= enough && (b.fits < enough || h.better(b)) {
			best = i
		}
	}
	n.best = uint8(best)
	n.recent.add(number)
	n.seenOnce = true
	return fits, misses
}

// explains reports whether a way of counting explains what it has seen, except for losses.
func (h *hypothesis) explains() bool { return 2*h.misses <= h.fits }

// add takes a number that differs by gap from the expected one. It reports whether the next number continues from here.
func (a *account) add(gap int32, units, number uint32, recent *recentNumbers, at location) (move bool) {
	switch {
	case gap > 0 && gap < maxGap:
		a.lost += uint64(gap)
	case !at.newest && recent.seen(number):
		a.twice++
		return false
	case gap < 0 && at.late:
		// It was counted as lost when later numbers were received.
		a.late++
		a.lost -= min(uint64(units), a.lost)
		return false
	default:
		a.restarts++
	}
	return true
}

// fitsUnlike reports whether the run expected the latest number in a way in which another run did not.
func (n *numbering) fitsUnlike(other *numbering, list []way) bool {
	for i := range list {
		if n.ways[i].fitted && (other.ways[i].missed || list[i].counts == CountsNothing) {
			return true
		}
	}
	return false
}

// better compares the shares of numbers that fit. One is added to each count, so that few datagrams weigh less.
func (h *hypothesis) better(other *hypothesis) bool {
	return (uint32(h.fits)+1)*(uint32(other.fits)+uint32(other.misses)+2) >
		(uint32(other.fits)+1)*(uint32(h.fits)+uint32(h.misses)+2)
}

// tell adds to the stream s what was not reported yet, if the exporter's way is known. Losses that late datagrams
// correct are taken back from the stream from.
func (n *numbering) tell(list []way, s, from *Stream) {
	best := n.best
	h := &n.ways[best]
	presumably := presumed(s.Key.Protocol) && best == 0 && h.misses <= enough
	if !presumably && (h.fits < enough || h.fits*oneInFew < h.fits+h.misses) {
		s.setConvention(CountsUnknown)
		if presumed(s.Key.Protocol) && !n.aged {
			n.report(&account{}, s, from) // what was presumed was wrong
		}
		return
	}
	s.setConvention(list[best].counts)
	if n.decided && n.chosen != best && (n.aged || !h.explains()) {
		// The exporter counts in another way now. What this way makes of the past is not true.
		n.said = h.account
	}
	// If this way explains the stream from its first datagram, the choice before was wrong: what was reported is
	// replaced.
	n.decided, n.chosen = true, best
	n.report(&h.account, s, from)
}

// report adds to a stream how an account differs from what was reported.
func (n *numbering) report(now *account, s, from *Stream) {
	said := &n.said
	if *now == *said {
		return
	}
	lost := now.lost
	if now.lost >= said.lost {
		s.Lost.Add(now.lost - said.lost)
	} else { // late datagrams were counted as lost before
		back := min(said.lost-now.lost, from.Lost.Load())
		from.Lost.Add(-back)
		lost = said.lost - back
	}
	change(&s.Duplicated, now.twice, said.twice)
	change(&s.Reordered, now.late, said.late)
	change(&s.Restarts, now.restarts, said.restarts)
	*said = *now
	said.lost = lost
}

// change corrects a counter by the difference of what is known now and what was reported.
func change(counter *atomic.Uint64, now, said uint32) {
	if now >= said {
		counter.Add(uint64(now - said))
		return
	}
	counter.Add(-min(uint64(said-now), counter.Load()))
}

// forget drops what was not reported.
func (n *numbering) forget() {
	for i := range n.ways {
		n.ways[i].account = account{}
	}
	n.said = account{}
}

// begin starts a new count, as after a restart of the exporter.
func (n *numbering) begin() {
	for i := range n.ways {
		n.ways[i].valid = false
	}
	n.recent = recentNumbers{}
}

// recentNumbers are the latest numbers.
type recentNumbers struct {
	list   [reorderWindow]uint32
	newest uint32 // the greatest since the count began
	filled int
	at     int
	asked  bool // seen was called for the current number, once for all ways
	answer bool
}

// location is where a number is among the recent ones.
type location struct {
	newest bool // after all of them, as nearly all numbers are
	late   bool // after the oldest of them
}

// locate begins with a number, which is not among the recent ones yet.
func (r *recentNumbers) locate(number uint32) location {
	r.asked = false
	if r.filled == 0 {
		return location{}
	}
	oldest := r.list[(r.at-r.filled+reorderWindow)%reorderWindow]
	return location{newest: int32(number-r.newest) > 0, late: int32(number-oldest) > 0}
}

func (r *recentNumbers) add(number uint32) {
	if r.filled == 0 || int32(number-r.newest) > 0 {
		r.newest = number
	}
	r.list[r.at] = number
	r.at = (r.at + 1) % reorderWindow
	r.filled = min(r.filled+1, reorderWindow)
}

// seen reports whether a number is among the recent ones.
func (r *recentNumbers) seen(number uint32) bool {
	if !r.asked {
		r.asked, r.answer = true, slices.Contains(r.list[:r.filled], number)
	}
	return r.answer
}
