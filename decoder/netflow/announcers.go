package netflow

import (
	"math/bits"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// maxAnnouncers limits the observation domains whose sampling rates an exporter's other domains use.
const maxAnnouncers = 64

// announcers are an exporter's observation domains with sampling rates in their option records. Exporters announce what
// applies to all their domains in one of them: a route processor for its line cards (RFC 3954 §6.1, scope System), a
// Catalyst 9300 in a separate source id. The zero value has none.
type announcers struct {
	places []announcer // one without rates is free
	used   int
	index  scopeIndex
}

type announcer struct {
	key    sessionKey
	rates  *samplingRates
	stream *exporter.Stream // nil: from an earlier run, or evicted
	keys   int              // of the index
}

// announce notes that a domain has rates, and returns its place, and whether that is news. What it announced before may
// be elsewhere now, such as in the session of what was parked. place -1: there are too many domains.
func (a *announcers) announce(key sessionKey, rates *samplingRates, stream *exporter.Stream) (place int, news bool) {
	place = -1
	for i := range a.places {
		one := &a.places[i]
		if one.rates != nil && one.key == key {
			news = one.rates != rates || one.stream != stream
			one.rates, one.stream = rates, stream
			return i, news
		}
		if one.rates != nil && one.stream != nil && one.stream.Gone() {
			a.remove(i)
		}
		if one.rates == nil && place < 0 && !a.index.gone.has(i) {
			place = i
		}
	}
	switch {
	case place >= 0:
	case len(a.places) < maxAnnouncers:
		place = len(a.places)
		a.places = append(a.places, announcer{})
	case a.index.gone != 0:
		place = bits.TrailingZeros64(uint64(a.index.gone))
		a.index.sweep()
	default:
		return -1, false
	}
	a.places[place] = announcer{key: key, rates: rates, stream: stream}
	a.used++
	a.fill(place)
	return place, true
}

// of returns the place of a session's domain; -1: it has none.
func (a *announcers) of(s *session) int {
	if s.place < len(a.places) && a.places[s.place].rates == &s.sampling {
		return s.place
	}
	for i := range a.places {
		if a.places[i].rates == &s.sampling {
			s.place = i
			return i
		}
	}
	return -1
}

// silence removes a domain.
func (a *announcers) silence(key sessionKey) {
	for i := range a.places {
		if one := &a.places[i]; one.rates != nil && one.key == key {
			a.remove(i)
		}
	}
}

func (a *announcers) remove(place int) {
	one := &a.places[place]
	a.index.keys -= one.keys
	a.index.gone |= 1 << place
	*one = announcer{}
	a.used--
}

// learned notes a scope of which a domain has a rate or samplers from now on.
func (a *announcers) learned(place int, of *scope) {
	one := &a.places[place]
	a.index.keys -= one.keys
	one.keys = one.rates.keys()
	if a.index.keys += one.keys; a.index.full() {
		a.reindex()
		return
	}
	a.index.add(place, of)
}

// forgot notes that a domain has less than before.
func (a *announcers) forgot(place int) {
	a.index.keys -= a.places[place].keys
	a.index.gone |= 1 << place
	a.index.sweep()
	a.fill(place)
}

// fill puts all of a domain into the index, which has nothing of it.
func (a *announcers) fill(place int) {
	one := &a.places[place]
	one.keys = one.rates.keys()
	a.index.keys += one.keys
	if a.index.full() || a.index.oversized() {
		a.reindex()
		return
	}
	one.rates.each(func(of *scope) { a.index.add(place, of) })
}

// reindex makes the index anew, as large as it must be.
func (a *announcers) reindex() {
	keys := a.index.keys
	a.index = newScopeIndex(keys)
	a.index.keys = keys
	for place := range a.places {
		if one := &a.places[place]; one.rates != nil {
			one.rates.each(func(of *scope) { a.index.add(place, of) })
		}
	}
}
