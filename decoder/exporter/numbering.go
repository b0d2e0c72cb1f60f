package exporter

import "slices"

// A numbering is one run of sequence numbers, followed in all ways in which its exporter may count. Each way keeps the
// account of losses that would be true if it were the exporter's; once one is known to be, its account is told, from
// the beginning. The zero value is a numbering of which nothing was seen.
type numbering struct {
	ways     [mostWays]hypothesis
	recent   recentNumbers
	chosen   uint8
	said     account // what of the chosen way's account was told
	decided  bool
	seenOnce bool
}

// A hypothesis is what is known of one way.
type hypothesis struct {
	next         uint32 // the number that the next datagram should have
	valid        bool   // next is known
	fits, misses uint16 // how many datagrams had the number that they should have
	account      account
}

// account is what the numbers tell, if they are read in one way.
type account struct {
	lost                  uint64 // in the way's unit
	twice, late, restarts uint32 // datagrams
}

// enough is how many datagrams must have fitted until a way is known, and a way that explains less than one in four is
// none.
const (
	enough   = 3
	oneInFew = 4
	// memorable bounds the memory of what an exporter did, so that one that is replaced by another kind is understood
	// in time.
	memorable = 256
)

// observe takes a datagram's number. fits tells that the way that is taken for the exporter's expected it, misses that
// it expected another.
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
			misses = true
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

// add takes a number that lies gap off the one expected. It reports whether the numbers go on from there.
func (a *account) add(gap int32, units, number uint32, recent *recentNumbers) (move bool) {
	switch {
	case gap > 0 && gap < maxGap:
		a.lost += uint64(gap)
	case recent.seen(number):
		a.twice++
		return false
	case gap < 0 && recent.late(number):
		// It was counted as lost when the numbers after it came.
		a.late++
		a.lost -= min(uint64(units), a.lost)
		return false
	default:
		a.restarts++
	}
	return true
}

// best returns the way that explains most of the numbers; of equals the first.
func (n *numbering) best(list []way) int {
	best := 0
	for i := range list {
		if a, b := &n.ways[i], &n.ways[best]; a.fits >= enough && (b.fits < enough || a.better(b)) {
			best = i
		}
	}
	return best
}

// better compares the shares of what fits, with one of each added so that few datagrams count for less.
func (h *hypothesis) better(other *hypothesis) bool {
	return (uint32(h.fits)+1)*(uint32(other.fits)+uint32(other.misses)+2) >
		(uint32(other.fits)+1)*(uint32(h.fits)+uint32(h.misses)+2)
}

// tell adds to the stream what the numbers tell and was not told yet, if it is known how the exporter counts.
func (n *numbering) tell(list []way, s *Stream) {
	best := n.best(list)
	h := &n.ways[best]
	if h.fits < enough || h.fits*oneInFew < h.fits+h.misses {
		s.setConvention(CountsUnknown)
		return
	}
	s.setConvention(list[best].counts)
	if n.decided && n.chosen != uint8(best) {
		// Another way explains more. What it makes of the past is not told: some of that was told in the other way.
		n.said = h.account
	}
	n.decided, n.chosen = true, uint8(best)
	now, said := &h.account, &n.said
	if *now == *said {
		return
	}
	s.Lost.Add(now.lost - said.lost) // it may fall: what came late was counted as lost before
	s.Duplicated.Add(uint64(now.twice - said.twice))
	s.Reordered.Add(uint64(now.late - said.late))
	s.Restarts.Add(uint64(now.restarts - said.restarts))
	*said = *now
}

// keepQuiet makes what was not told so far never told.
func (n *numbering) keepQuiet() {
	if n.decided {
		n.said = n.ways[n.chosen].account
	}
}

// begin makes the next number the start of a new count, as after a restart of the exporter.
func (n *numbering) begin() {
	for i := range n.ways {
		n.ways[i].valid = false
	}
	n.recent = recentNumbers{}
}

// recentNumbers are the numbers seen last.
type recentNumbers struct {
	list   [reorderWindow]uint32
	newest uint32 // of all since the count began
	filled int
	at     int
	asked  bool // seen was asked for the number in hand: all ways ask the same
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
		return false // as nearly all are: nothing to look for
	}
	if !r.asked {
		r.asked, r.answer = true, slices.Contains(r.list[:r.filled], number)
	}
	return r.answer
}

// late reports whether a number lies within those seen last: newer than the oldest of them.
func (r *recentNumbers) late(number uint32) bool {
	if r.filled == 0 {
		return false
	}
	return int32(number-r.list[(r.at-r.filled+reorderWindow)%reorderWindow]) > 0
}
