package netflow

import (
	"cmp"
	"slices"
)

// A rateSet counts how often each rate occurs: the lowest ones, in ascending order.
type rateSet struct {
	counts [maxDistinct]rateCount
	n      int
	more   bool // there were higher rates, which are not counted
}

type rateCount struct{ rate, n uint32 }

// maxDistinct bounds the rates of a set. Exporters have one or two.
const maxDistinct = 4

func (s *rateSet) list() []rateCount { return s.counts[:s.n] }

// change takes was out of the set and puts rate in; 0 is none. It reports whether a set that is not complete may lack
// some of its lowest rates now.
func (s *rateSet) change(was, rate uint32) (stale bool) {
	stale = s.remove(was)
	s.add(rate)
	return stale
}

func (s *rateSet) find(rate uint32) (at int, found bool) {
	return slices.BinarySearchFunc(s.list(), rate,
		func(c rateCount, rate uint32) int { return cmp.Compare(c.rate, rate) })
}

func (s *rateSet) add(rate uint32) {
	if rate == 0 {
		return
	}
	at, found := s.find(rate)
	if found {
		s.counts[at].n++
		return
	}
	if s.n == maxDistinct {
		s.more = true
		if at == maxDistinct {
			return
		}
		s.n--
	}
	s.n = len(slices.Insert(s.list(), at, rateCount{rate, 1}))
}

func (s *rateSet) remove(rate uint32) (stale bool) {
	if rate == 0 {
		return false
	}
	at, found := s.find(rate)
	if !found {
		return false
	}
	if s.counts[at].n--; s.counts[at].n == 0 {
		s.n = len(slices.Delete(s.list(), at, at+1))
	}
	return s.more
}

// agreed returns the rates of the set as one.
func (s *rateSet) agreed() agreed {
	if s.n == 0 {
		return agreed{}
	}
	return agreed{s.counts[0].rate, s.n > 1 || s.more}
}

// agreed adds up rates that should be one: the lowest, and whether they differ.
type agreed struct {
	rate   uint32
	differ bool
}

func (a *agreed) add(other agreed) {
	switch {
	case other.rate == 0:
		return
	case a.rate == 0:
		*a = other
		return
	}
	a.differ = a.differ || other.differ || a.rate != other.rate
	a.rate = min(a.rate, other.rate)
}

// sure is the rate if it is the only one; else 0.
func (a agreed) sure() uint32 {
	if a.differ {
		return 0
	}
	return a.rate
}
