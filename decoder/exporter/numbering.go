package exporter

import (
	"slices"
	"sync/atomic"
)

// A numbering is one run of sequence numbers, followed in all ways in which its exporter may count. Each way keeps the
// losses that would be true if the exporter counted in that way. Once the right way is known, its losses are reported,
// from the first datagram on. The zero value is ready.
type numbering struct {
	ways     [maxWays]hypothesis
	recent   recentNumbers
	chosen   uint8
	said     account // what was reported, by the account of the chosen way
	decided  bool
	seenOnce bool
	aged     bool // fits and misses do not go back to the first datagram any more
}

// A hypothesis is the state of one way.
type hypothesis struct {
	next         uint32 // the expected number of the next datagram
	valid        bool   // next is known
	fitted       bool   // the number of the latest datagram was expected
	missed       bool   // another one was
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

// observe takes a datagram's number. fits says that the chosen way expected it, misses that it expected another one.
func (n *numbering) observe(list []way, number uint32, u Units) (fits, misses bool) {
	n.recent.asked = false
	best := n.best(list)
	for i, w := range list {
		f, m := n.ways[i].observe(w, &n.recent, number, u)
		if i == best {
			fits, misses = f, m
		}
		n.aged = n.ways[i].age() || n.aged
	}
	n.recent.add(number)
	n.seenOnce = true
	return fits, misses
}

func (h *hypothesis) observe(w way, recent *recentNumbers, number uint32, u Units) (fits, misses bool) {
	h.fitted, h.missed = false, false
	units, known := w.of(u)
	begin := number
	if w.itself {
		begin -= units
		if !known {
			h.valid = false
			return false, false
		}
	}
	move := true
	if h.valid {
		gap := int32(begin - h.next)
		if fits = gap == 0; fits {
			h.fitted = true
			h.fits++
		} else {
			misses, h.missed = true, true
			h.misses++
			move = h.account.add(gap, units, number, recent)
		}
	}
	if move {
		h.next, h.valid = begin+units, known
	}
	if w.counts == CountsNothing {
		h.account = account{}
	}
	return fits, misses
}

// age halves the counts of datagrams if there are many. It reports whether it did.
func (h *hypothesis) age() bool {
	if h.fits+h.misses < memorable {
		return false
	}
	h.fits, h.misses = h.fits/2, h.misses/2
	return true
}

// explains reports whether a way of counting explains what it has seen, except for losses.
func (h *hypothesis) explains() bool { return 2*h.misses <= h.fits }

// add takes a number that differs by gap from the expected one. It reports whether the next number continues from here.
func (a *account) add(gap int32, units, number uint32, recent *recentNumbers) (move bool) {
	switch {
	case gap > 0 && gap < maxGap:
		a.lost += uint64(gap)
	case recent.seen(number):
		a.twice++
		return false
	case gap < 0 && recent.late(number):
		// It was counted as lost when later numbers were received.
		a.late++
		a.lost -= min(uint64(units), a.lost)
		return false
	default:
		a.restarts++
	}
	return true
}

// best returns the way that explains most of the numbers; of equal ones the first.
func (n *numbering) best(list []way) int {
	best := 0
	for i := range list {
		if a, b := &n.ways[i], &n.ways[best]; a.fits >= enough && (b.fits < enough || a.better(b)) {
			best = i
		}
	}
	return best
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
	best := n.best(list)
	h := &n.ways[best]
	if h.fits < enough || h.fits*oneInFew < h.fits+h.misses {
		s.setConvention(CountsUnknown)
		return
	}
	s.setConvention(list[best].counts)
	if n.decided && n.chosen != uint8(best) && (n.aged || !h.explains()) {
		// The exporter counts in another way now. What this way makes of the past is not true.
		n.said = h.account
	}
	// If this way explains the stream from its first datagram, the choice before was wrong: what was reported is
	// replaced.
	n.decided, n.chosen = true, uint8(best)
	now, said := &h.account, &n.said
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

func (r *recentNumbers) add(number uint32) {
	if r.filled == 0 || int32(number-r.newest) > 0 {
		r.newest = number
	}
	r.list[r.at] = number
	r.at = (r.at + 1) % reorderWindow
	r.filled = min(r.filled+1, reorderWindow)
}

func (r *recentNumbers) seen(number uint32) bool {
	if int32(number-r.newest) > 0 {
		return false // true for nearly all numbers: no need to search
	}
	if !r.asked {
		r.asked, r.answer = true, slices.Contains(r.list[:r.filled], number)
	}
	return r.answer
}

// late reports whether a number is newer than the oldest of the recent numbers.
func (r *recentNumbers) late(number uint32) bool {
	if r.filled == 0 {
		return false
	}
	return int32(number-r.list[(r.at-r.filled+reorderWindow)%reorderWindow]) > 0
}
