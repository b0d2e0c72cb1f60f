package exporter

import "slices"

// A numbering is one run of sequence numbers, followed in all ways in which its exporter may count. Each way keeps the
// losses that would be true if the exporter counted in that way. Once the right way is known, its losses are reported,
// from the first datagram on. The zero value is ready.
type numbering struct {
	ways     [maxWays]hypothesis
	recent   recentNumbers
	chosen   uint8
	said     account // the part of the chosen way's account that was reported
	decided  bool
	seenOnce bool
}

// A hypothesis is the state of one way.
type hypothesis struct {
	next         uint32 // the expected number of the next datagram
	valid        bool   // next is known
	missed       bool   // another number was expected than that of the latest datagram
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
	}
	n.recent.add(number)
	n.seenOnce = true
	return fits, misses
}

func (h *hypothesis) observe(w way, recent *recentNumbers, number uint32, u Units) (fits, misses bool) {
	h.missed = false
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
	if h.fits+h.misses >= memorable {
		h.fits, h.misses = h.fits/2, h.misses/2
	}
	return fits, misses
}

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
	if n.decided && n.chosen != uint8(best) {
		// Another way explains more now. Its losses of the past are not reported, as some were reported in the old way.
		n.said = h.account
	}
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
	s.Duplicated.Add(uint64(now.twice - said.twice))
	s.Reordered.Add(uint64(now.late - said.late))
	s.Restarts.Add(uint64(now.restarts - said.restarts))
	*said = *now
	said.lost = lost
}

// forget drops what was not reported.
func (n *numbering) forget() {
	for i := range n.ways {
		n.ways[i].account = account{}
	}
	n.said = account{}
}

// keepQuiet marks everything so far as reported.
func (n *numbering) keepQuiet() {
	if n.decided {
		n.said = n.ways[n.chosen].account
		return
	}
	// Whichever way is chosen later must not report what was before.
	for i := range n.ways {
		n.ways[i].account = account{}
	}
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
