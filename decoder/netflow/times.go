package netflow

import (
	"math"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// The forms of a flow's start and end, from the coarsest to the finest: where a record has several, the finest that is
// filled in counts. Uptimes come before milliseconds, because they are placed by the header's seconds.
const (
	noTime        uint8 = iota
	estimatedTime       // from a duration, with the export time as the end: any other form says more
	observedTime
	secondsTime
	uptimeTime
	deltaTime
	millisTime
	microsTime
	nanosTime
)

// setStart and setEnd take a time in Unix milliseconds. 0 is one that the exporter did not fill in.
func (w *usual) setStart(ms int64, form uint8) {
	if ms != 0 && form > w.startForm {
		w.startMs, w.startForm = ms, form
	}
}

func (w *usual) setEnd(ms int64, form uint8) {
	if ms != 0 && form > w.endForm {
		w.endMs, w.endForm = ms, form
	}
}

const (
	dayMs = 24 * 3600 * 1000
	// firstDateMs is the first day of 2000: earlier dates are those of clocks that were never set.
	firstDateMs = 946_684_800_000
	// aheadMs is how far a flow's times may lie after the export time: clocks of one device differ by seconds.
	aheadMs = 60_000
	// oldestEndMs is how long before the export time a flow may have ended by its uptimes. Caches give flows up after
	// minutes or hours without a packet; an uptime further off is that of another clock.
	oldestEndMs = dayMs
)

// headerAheadMs is how far a header may be ahead of the receive time. Nothing is exported after it was received, but a
// clock that is off by days or weeks is for the operator to set right: the exporter's page tells, and rows of flows
// that are too far ahead get the time of receipt (flow.max_ahead).
const headerAheadMs = 100 * dayMs

// setClock gives a datagram its export time: the header's, or the receive time where the header's cannot be true: from
// before clocks were set, or too far ahead.
func (c *context) setClock(headerMs int64) {
	receivedMs := c.received / int64(time.Millisecond)
	c.exportMs = headerMs
	if (headerMs < firstDateMs || headerMs > receivedMs+headerAheadMs) && receivedMs > firstDateMs {
		c.exportMs, c.shiftMs = receivedMs, receivedMs-headerMs
		c.session.read(exporter.HeaderClockWrong)
	}
	c.latestMs = max(c.exportMs, receivedMs) + aheadMs
}

// possible reports whether a record's flow can have a time: not before clocks were set, nor after it was exported and
// received.
func (c *context) possible(ms int64) bool { return ms >= firstDateMs && ms <= c.latestMs }

// finishTimes resolves the forms of time (RFC 7011 §6.1, RFC 3954 §8, RFC 5102 §5.9).
func finishTimes(r *flow.Record, w *raw, s *session, c *context) {
	if w.hasFirst || w.hasLast {
		w.uptimes(s, c)
		if w.startForm == uptimeTime && w.endForm == uptimeTime {
			// The usual case. Uptimes are placed within what is possible, and in order.
			r.Has |= flow.Start | flow.End
			r.StartMs, r.EndMs = w.startMs, w.endMs
			return
		}
	}
	if w.hasObserved {
		w.setStart(w.observedMs, observedTime)
	}
	if w.hasDuration {
		duration := int64(w.durationMicros / 1000)
		switch {
		case w.startForm == noTime && w.endForm == noTime && duration > 0:
			w.setStart(c.exportMs-duration, estimatedTime)
			w.setEnd(c.exportMs, estimatedTime)
		case w.startForm != noTime && w.endForm == noTime:
			w.setEnd(w.startMs+duration, w.startForm)
		case w.endForm != noTime && w.startForm == noTime:
			w.setStart(w.endMs-duration, w.endForm)
		}
	}
	badStart := w.startForm != noTime && !c.possible(w.startMs)
	badEnd := w.endForm != noTime && !c.possible(w.endMs)
	if badStart || badEnd {
		w.bound(s, c, badStart, badEnd)
	}
	if w.startForm != noTime {
		r.Has |= flow.Start
	}
	if w.endForm != noTime {
		r.Has |= flow.End
	}
	switch {
	case w.startForm == noTime && w.endForm == noTime:
		w.startMs, w.endMs = c.exportMs, c.exportMs
	case w.startForm == noTime:
		w.startMs = w.endMs
	case w.endForm == noTime:
		w.endMs = w.startMs
	case w.endMs < w.startMs:
		w.exchange(s)
	}
	r.StartMs, r.EndMs = w.startMs, w.endMs
}

// exchange puts start and end in order. An end in whole seconds may lie before a finer start of the same second.
func (w *usual) exchange(s *session) {
	if w.endForm == secondsTime && w.startMs-w.endMs < 1000 {
		w.endMs = w.startMs
		return
	}
	w.startMs, w.endMs = w.endMs, w.startMs
	s.read(exporter.EndBeforeStart)
}

// bound sees to it that a flow has no date that it cannot have. Where only the clock is another one the duration is
// kept.
func (w *raw) bound(s *session, c *context, badStart, badEnd bool) {
	if c.exportMs < firstDateMs {
		return // nothing is known to compare with
	}
	if c.shiftMs != 0 {
		// The header's clock is wrong, and the record's times are of that clock: both of them, or one.
		startMs, endMs := w.startMs+c.shiftMs, w.endMs+c.shiftMs
		if w.startForm != noTime && w.endForm != noTime && c.possible(startMs) && c.possible(endMs) {
			w.startMs, w.endMs = startMs, endMs
			return
		}
		if badStart {
			w.startMs = startMs
			badStart = !c.possible(w.startMs)
		}
		if badEnd {
			w.endMs = endMs
			badEnd = !c.possible(w.endMs)
		}
		if !badStart && !badEnd {
			return
		}
	}
	s.read(exporter.RecordClockWrong)
	duration := w.endMs - w.startMs
	switch {
	case badStart && badEnd && max(duration, -duration) <= math.MaxUint32:
		w.startMs, w.endMs = c.exportMs-max(duration, -duration), c.exportMs
	default:
		if badStart {
			w.startMs, w.startForm = 0, noTime
		}
		if badEnd {
			w.endMs, w.endForm = 0, noTime
		}
	}
}

// uptimes turns IE 22 and 21 into times: relative to the header's sysUptime (v9), or to the device's start (IE 160),
// which the record or an option record says. Without either they say how long the flow was, and its end is taken for
// the export time.
func (w *raw) uptimes(s *session, c *context) {
	first, last := w.firstUptime, w.lastUptime
	hasFirst, hasLast := filledIn(first, last)
	hasFirst, hasLast = hasFirst && w.hasFirst, hasLast && w.hasLast
	uptime := c.uptime
	if !c.hasUptime {
		initMs := w.initMs
		if initMs == 0 {
			initMs = s.source.initMs
		}
		if initMs == 0 {
			if hasFirst && hasLast {
				s.read(exporter.UptimeWithoutStart)
				w.setStart(c.exportMs-distance(first, last), estimatedTime)
				w.setEnd(c.exportMs, estimatedTime)
			}
			return
		}
		uptime = uint32(c.exportMs - initMs)
	}
	switch {
	case hasFirst && hasLast:
		startMs, endMs, form := s.placeUptimes(c.exportMs, uptime, first, last)
		w.setStart(startMs, form)
		w.setEnd(endMs, form)
	case hasFirst:
		if a := age(uptime, first); a >= -aheadMs {
			w.setStart(c.exportMs-a, uptimeTime)
		}
	case hasLast:
		if a := age(uptime, last); a >= -aheadMs && a <= oldestEndMs {
			w.setEnd(c.exportMs-a, uptimeTime)
		}
	}
}

// filledIn tells which uptimes of a record an exporter filled in: 0 is none (case 6), but for the start of a flow that
// began with the exporter itself.
func filledIn(first, last uint32) (hasFirst, hasLast bool) {
	return first != 0 || last != 0 && last < skewMs, last != 0
}

// placeUptimes places the start and end of a flow, given as uptimes in milliseconds, by the header's time and uptime.
// An end that lies after the export, or a day or more before it, is of another clock than the header's: the export time
// is taken for it, and the flow's duration is kept: an estimate. The start may be weeks ago. An uptime of 0 in the
// header (softflowd reading a capture) shows nothing of the clocks: there the times stay as they were sent.
func (s *session) placeUptimes(exportMs int64, uptime, first, last uint32) (startMs, endMs int64, form uint8) {
	firstAge, lastAge := age(uptime, first), age(uptime, last)
	if firstAge < lastAge {
		if last-first <= first-last {
			// The end lies far ahead, which looks as if it were 49 days ago.
			s.read(exporter.RecordClockWrong)
			return exportMs - int64(last-first), exportMs, estimatedTime
		}
		s.read(exporter.EndBeforeStart)
		firstAge, lastAge = lastAge, firstAge
	}
	if lastAge < -aheadMs || lastAge > oldestEndMs && uptime != 0 {
		s.read(exporter.RecordClockWrong)
		return exportMs - (firstAge - lastAge), exportMs, estimatedTime
	}
	return exportMs - firstAge, exportMs - lastAge, uptimeTime
}

// distance is how far two uptimes are apart, in whichever order.
func distance(a, b uint32) int64 { return int64(min(a-b, b-a)) }

// skewMs is how far a flow's uptime may lie after the header's before it counts as one from before the wrap.
const skewMs = 3600 * 1000

// age is how long before the header's uptime a flow's was, in milliseconds. Both wrap every 49.7 days, so the
// difference is taken modulo 2^32; one of nearly 2^32 is an exporter whose flow ended after it had filled in the
// header.
func age(uptime, at uint32) int64 {
	diff := uptime - at
	if diff > math.MaxUint32-skewMs {
		return int64(int32(diff))
	}
	return int64(diff)
}
