package netflow

import (
	"math"
	"math/bits"
)

// The algorithms of IE 304, and of IE 390 for the sampling of flows (RFC 7014 §6), that determine which elements have a
// selector's rate (RFC 5477 §8.2.1). Flow-state dependent selection (9) and time-based sampling (2) have no rate.
const (
	countBased    = 1
	timeBased     = 2
	nOutOfN       = 3
	uniform       = 4
	propertyMatch = 5
	hashFirst     = 6 // 6 to 8 are hash functions
	hashLast      = 8
)

// rate returns the rate in a record's elements, one in so many packets; 0 if there is none. If the elements have rates
// in several forms, the algorithm decides, else the first counts: interval and space (RFC 5476 §6.5.2.1), n of N,
// probability, a hash's ranges, the older interval of NetFlow v9. swapped says that the byte order was corrected.
func (w *raw) rate(rates *samplingRates) (rate uint32, swapped bool) {
	switch n := w.algorithm; {
	case n == 0:
	case n == countBased && w.hasSpace:
		return w.spaced(rates)
	case n == nOutOfN && w.population != 0:
		return w.sampled(rates)
	case n == uniform && w.probable():
		return rounded(1, w.probability), false
	case n >= hashFirst && n <= hashLast && w.hashRate() != 0:
		return w.hashRate(), false
	case n == propertyMatch:
		return 1, false // a filter: everything of that kind passes
	}
	switch {
	case w.hasSpace:
		return w.spaced(rates)
	case w.population != 0:
		return w.sampled(rates)
	case w.probable():
		return rounded(1, w.probability), false
	case w.hashRate() != 0:
		return w.hashRate(), false
	case w.samplingInterval != 0:
		n, swapped := rates.sensible(w.samplingInterval)
		return rounded(float64(n), 1), swapped
	case w.interval != 0:
		// Without a space some vendors mean one in so many.
		n, swapped := rates.sensible(w.interval)
		return rounded(float64(n), 1), swapped
	}
	return 0, false
}

// spaced returns the rate of so many packets or flows (IE 305, 396, else one) and so many between them (IE
// 306, 397).
func (w *raw) spaced(rates *samplingRates) (rate uint32, swapped bool) {
	interval, a := rates.sensible(max(w.interval, 1))
	space, b := rates.sensible(w.space)
	return rounded(float64(interval)+float64(space), float64(interval)), a || b
}

// sampled returns the rate of so many packets (IE 309, else one) out of so many (IE 310).
func (w *raw) sampled(rates *samplingRates) (rate uint32, swapped bool) {
	size, a := rates.sensible(max(w.sampleSize, 1))
	population, b := rates.sensible(w.population)
	return rounded(float64(population), float64(size)), a || b
}

func (w *raw) probable() bool { return w.probability > 0 && w.probability <= 1 }

// hashRate returns the part of a hash's values (IE 329-330) that is selected (IE 331-332), with inclusive ranges (RFC
// 5475 §6.2); 0 if it is not stated.
func (w *raw) hashRate() uint32 {
	h := &w.hash
	selected, all := float64(h[selectedMax])-float64(h[selectedMin])+1, float64(h[outputMax])-float64(h[outputMin])+1
	if h[selectedMax] == 0 || h[outputMax] == 0 || selected < 1 || all < selected {
		return 0
	}
	return rounded(all, selected)
}

// The values of raw.hash, by their index: IE 329 and on.
const (
	outputMin = iota
	outputMax
	selectedMin
	selectedMax
)

// senseless is the value from which on a rate is implausible: one in 16 million packets says nothing about the others.
const senseless = 1 << 24

// sensible returns n, or n with its bytes reversed if only that is plausible (MikroTik RouterOS sends rates in the
// wrong byte order: 1 as 16777216). If both are plausible, as for 65536 and 256, the exporter's earlier rates decide.
func (s *samplingRates) sensible(n uint64) (sensible uint64, swapped bool) {
	if n == 0 || n < senseless && !s.swapped {
		return n, false
	}
	other := uint64(bits.ReverseBytes32(uint32(n)))
	if n > math.MaxUint32 {
		other = bits.ReverseBytes64(n)
	}
	switch {
	case n < senseless && other >= senseless:
		s.swapped = false
	case other < senseless:
		s.swapped = true
		return other, true
	}
	return n, false
}

// rounded returns the whole number closest to a/b, at least 1.
func rounded(a, b float64) uint32 {
	return uint32(min(max(math.Round(a/b), 1), math.MaxUint32))
}
