package listen

import (
	"math"
	"net/netip"
	"sync/atomic"
)

// census is what a worker's sources took in its latest second, for the shares of all workers.
type census struct {
	cost    atomic.Uint64 // the bits of a float64, in nanoseconds
	sources atomic.Uint64
	second  atomic.Uint32
}

const (
	// seniority is the part of the longest tenure from which on a source is compared with others by its cost alone.
	seniority = 8
	// believed is for how many seconds a census is believed: a worker without datagrams makes none. It is also for how
	// long costs are too low after datagrams were dropped.
	believed = 3
	// settledTenure is the least tenure of settled sources.
	settledTenure = 60
)

// among makes shares judge what is large by the sources of all of them. It is called before they are used.
func among(shares []*Share) {
	all := make([]*census, len(shares))
	for i, s := range shares {
		all[i] = &s.census
	}
	for _, s := range shares {
		s.all = all
	}
}

// Large reports whether a source takes more than its part: more than the mean of all that have been heard for long,
// among whom all other sources of a worker together count as one. A source that has not been heard for long is large,
// so that forged ones cannot lower the mean. It stays large as long as Large is called without a pause: until then
// there is too much, and it may be the cause.
func (s *Share) Large(from netip.Addr) bool {
	s.asked = s.second
	s.find(from)
	return !s.latest.known.judged() || s.latest.known.large
}

// Settled reports whether a source has been heard for long: for a minute, and for an eighth as long as the oldest one,
// in this run or in earlier ones.
func (s *Share) Settled(from netip.Addr) bool {
	s.find(from)
	at := s.latest.known
	return at != nil && at.tenure >= settledTenure && at.tenure >= s.longest/seniority
}

// isJunior reports whether a source has not been heard for long, beside the one that was heard for longest.
func (s *Share) isJunior(at *knownSource) bool { return at.tenure < s.longest/seniority }

// takeCensus finds out which sources are large. It is called every second, before costs are halved. While datagrams are
// dropped, and shortly after it, sources take less than they send: then the mean of before holds, if there is one, and
// what was large stays so.
func (s *Share) takeCensus() {
	dropping := s.limited > 0 && s.second <= s.limited+believed
	s.longest = 0
	s.eachKnown(func(at *knownSource) { s.longest = max(s.longest, at.tenure) })
	// Where nobody has been heard for long, everybody is new.
	lasting := s.asked > 0 && s.second <= s.asked+believed && s.longest >= settledTenure
	others, sum, n := float64(s.budget), 0.0, uint64(0)
	s.eachKnown(func(at *knownSource) {
		at.young = !at.judged() || s.isJunior(at) || at.young && lasting
		at.large = at.young || at.large && dropping
		switch {
		case !at.judged(): // its cost is in the budget
		case at.young:
			others += float64(at.cost)
		case at.cost >= 1:
			sum += float64(at.cost)
			n++
		}
	})
	if others >= 1 {
		sum += others
		n++
	}
	s.census.second.Store(s.second)
	if !dropping || s.usual == 0 {
		s.census.cost.Store(math.Float64bits(sum))
		s.census.sources.Store(n)
		s.usual = s.usualCost()
	}
	s.eachKnown(func(at *knownSource) { at.large = at.large || float64(at.cost) > s.usual })
}

// usualCost is the mean of the sources of all workers.
func (s *Share) usualCost() float64 {
	sum, n := 0.0, uint64(0)
	for _, c := range s.all {
		if c.second.Load()+believed >= s.second {
			sum += math.Float64frombits(c.cost.Load())
			n += c.sources.Load()
		}
	}
	return sum / float64(max(n, 1))
}

func (s *Share) eachKnown(f func(*knownSource)) {
	for i := range s.known {
		for j := range s.known[i] {
			if at := &s.known[i][j]; at.tenure > 0 {
				f(at)
			}
		}
	}
}
