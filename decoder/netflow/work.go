package netflow

import "math"

// work limits the work for one datagram. Exporters keep datagrams within the path's MTU (RFC 7011 §10.3.3), 9216 bytes
// with jumbo frames. Anything beyond these limits is malicious.
type work struct {
	sets, definitions, options, records int
	newDefinitions, news                int  // what was not known before; news are rates and names
	held                                int  // sets that wait for a template
	size                                int  // bytes of the datagram
	wide                                int  // what long flow records took more than others, see mostWide
	waits                               bool // sets that waited or wait count here, whenever they are decoded
}

// Limits of each kind of work, times source.scale.
const (
	maxSets        = 1024
	maxDefinitions = 512
	maxOptions     = 1024
	maxNews        = 256
	maxHeld        = 256
)

// Sizes of datagrams, in bytes: the MTU of Ethernet, and that of jumbo frames.
const ethernetFrame, jumboFrame = 1500, 9216

// then returns the work of the next datagram, in the same memory if no set can count on it any more.
func (w *work) then(size int) *work {
	if w.waits {
		w = new(work)
	}
	*w = work{size: size}
	return w
}

// mostNews is how many new rates and names a message of the source may teach. What is new costs several times as much
// as what is repeated, which exporters do all the time. A datagram of 1500 bytes has no more than maxNews sampling
// rates with what they are of; a jumbo frame has twice as many, if each has 18 bytes. A rate of several things counts
// as the entries that it makes, three or more, because it costs as much more. Of larger datagrams, which no network
// carries whole, there are half as many. What is beyond is new when it is repeated. Of definitions, which cost more,
// maxNews may be new in any datagram.
func (w *work) mostNews(src *source) int {
	switch {
	case w.size <= ethernetFrame:
		return maxNews * src.scale
	case w.size <= jumboFrame:
		return 2 * maxNews * src.scale
	}
	return maxNews / 2 * src.scale
}

// The time of a datagram is shared by all that it has, in sixteenths of what a flow record and its row take, and no
// datagram takes more than usualRecords. A datagram of 1500 bytes has time for all that fits into it. So has a jumbo
// frame, in any mixture, if its records have 72 bytes, its rates and names 18, and its new definitions 36.
const (
	recordEffort     = 16
	definitionEffort = 7 // of a new one, in addition to 1 for any
	newsEffort       = 3
	heldEffort       = 4
	// usualRecords have their time in any datagram, also where fewer records are taken.
	usualRecords = 128
	// wholeRecord is the length of a record from which on it takes longer the longer it is.
	wholeRecord = 64
	// few is how many of everything else are taken behind any number of records.
	few = 16
)

// effort is what the datagram has taken, but for recordEffort of each flow record.
func (w *work) effort() int {
	return w.definitions + w.options + definitionEffort*w.newDefinitions + newsEffort*w.news + heldEffort*w.held +
		w.wide
}

// mostWide is how many records a datagram larger than a jumbo frame may give before the end of a set that has n records
// of a length; most is without regard to that. Long records take longer: such a datagram, which no network carries
// whole, gives no more than what seven eighths of a jumbo frame can hold.
func (w *work) mostWide(most, length, n int) int {
	if w.size <= jumboFrame || length <= wholeRecord || most <= w.records || most == math.MaxInt {
		return most
	}
	each := recordEffort * length / wholeRecord
	left := (most - w.records) * recordEffort / each
	w.wide += (each - recordEffort) * min(n, left)
	return w.records + left
}

// mostRecords is how many flow records the datagram in hand may give, the last one in the rest of its time. A
// connection is read no faster than it is decoded, so it may give any number.
func (d *Decoder) mostRecords(s *session) int {
	limit := d.o.MaxRecords
	if limit <= 0 || s.source.transport != 0 {
		return math.MaxInt
	}
	return min(limit, (recordEffort*(max(limit, usualRecords)+1)-1-d.work.effort())/recordEffort)
}

// exhausted reports whether the datagram in hand has no time for the n-th thing of a kind that is not a record.
func (d *Decoder) exhausted(s *session, n int) bool {
	return n > few && d.work.records >= d.mostRecords(s)
}

// mayLearn reports whether the datagram in hand may have its latest option record.
func (d *Decoder) mayLearn(s *session) bool {
	w := d.work
	return w.options <= maxOptions*s.source.scale && w.news < w.mostNews(s.source) && !d.exhausted(s, w.options)
}

// mayAddDefinition reports whether the datagram in hand may have one more definition that is new.
func (d *Decoder) mayAddDefinition(s *session) bool {
	n := d.work.newDefinitions
	return n < maxNews*s.source.scale && !d.exhausted(s, n+1)
}

// mayHold reports whether one more of the datagram's sets may wait for its template.
func (d *Decoder) mayHold(s *session) bool {
	n := d.work.held
	return n < maxHeld*s.source.scale && !d.exhausted(s, n+1)
}
