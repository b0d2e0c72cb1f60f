package netflow

import (
	"math"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// The forms of a flow's start and end, from the coarsest to the finest. If a record has several, the finest that is
// filled in and possible counts. Uptimes come before milliseconds, because they depend on the header's seconds. Each
// form stands twice: less possibleTime, it is that of an impossible time, which any possible one replaces.
const (
	noTime       uint8 = 0
	possibleTime uint8 = 16
)

const (
	// From a duration, with the export time as the end: any other form is better.
	estimatedTime = possibleTime + 1 + iota
	observedTime
	secondsTime
	uptimeTime
	deltaTime
	millisTime
	microsTime
	nanosTime
)

// setStart and setEnd store a time in Unix milliseconds. 0 means that the exporter did not fill it in.
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

// takeStart and takeEnd store a time that was sent in a form, and is possible or not.
func (w *usual) takeStart(form uint8, ms int64, possible bool) { w.setStart(ms, rank(form, possible)) }

func (w *usual) takeEnd(form uint8, ms int64, possible bool) { w.setEnd(ms, rank(form, possible)) }

// rank returns the form, or the one of an impossible time.
func rank(form uint8, possible bool) uint8 {
	if possible {
		return form
	}
	return form - possibleTime
}

const (
	dayMs = 24 * 3600 * 1000
	// firstDateMs is the first day of 2000: earlier dates come from clocks that were never set.
	firstDateMs = 946_684_800_000
	// aheadMs is how far a flow's times may be after the export time: clocks of one device differ by seconds.
	aheadMs = 60_000
	// oldestEndMs is how long before the export time a flow may have ended by its uptimes. Caches expire flows after
	// minutes or hours without a packet; an uptime further back is of another clock.
	oldestEndMs = dayMs
)

// headerAheadMs is how far a header may be ahead of the receive time. Nothing is exported after it was received, but a
// clock that is wrong by days or weeks must be set by the operator: the exporter's page says so, and rows of flows that
// are too far ahead get the receive time (flow.max_ahead).
const headerAheadMs = 100 * dayMs

// setClock sets a datagram's export time: the header's, or the receive time if the header's is impossible: from before
// clocks were set, or too far ahead.
func (c *context) setClock(headerMs int64) {
	receivedMs := c.received / int64(time.Millisecond)
	c.exportMs = headerMs
	if (headerMs < firstDateMs || headerMs > receivedMs+headerAheadMs) && receivedMs > firstDateMs {
		c.exportMs, c.shiftMs = receivedMs, receivedMs-headerMs
		c.session.read(exporter.HeaderClockWrong)
	}
	c.latestMs = max(c.exportMs, receivedMs) + aheadMs
}

// possible reports whether a flow can have a time: not before clocks were set, nor after it was exported and received.
func (c *context) possible(ms int64) bool { return ms >= firstDateMs && ms <= c.latestMs }

// finishTimes resolves the forms of time (RFC 7011 §6.1, RFC 3954 §8, RFC 5102 §5.9).
func finishTimes(r *flow.Record, w *raw, s *session, c *context) {
	if w.hasFirst || w.hasLast {
		w.uptimes(s, c)
		if w.startForm == uptimeTime && w.endForm == uptimeTime {
			// The usual case. Uptimes are possible and in order.
			r.Has |= flow.Start | flow.End
			r.StartMs, r.EndMs = w.startMs, w.endMs
			return
		}
	}
	if w.hasObserved {
		w.takeStart(observedTime, w.observedMs, c.possible(w.observedMs))
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

// exchange puts start and end in order. An end in whole seconds may be before a finer start of the same second.
func (w *usual) exchange(s *session) {
	if w.endForm == secondsTime && w.startMs-w.endMs < 1000 {
		w.endMs = w.startMs
		return
	}
	w.startMs, w.endMs = w.endMs, w.startMs
	s.read(exporter.EndBeforeStart)
}

// bound ensures that a flow has no impossible date. If only the clock is wrong, the duration is kept.
func (w *raw) bound(s *session, c *context, badStart, badEnd bool) {
	if c.exportMs < firstDateMs {
		return // there is nothing to compare with
	}
	if c.shiftMs != 0 {
		// The header's clock is wrong, and one or both of the record's times are of that clock.
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

// uptimes converts IE 22 and 21 to times: relative to the header's sysUptime (v9), or to the device's start (IE 160) in
// the record or an option record. Without either they only give the flow's duration, and the export time is taken as
// its end.
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

// filledIn reports which uptimes of a record an exporter filled in. 0 means "not" (case 6), except for the start of a
// flow that began with the exporter itself.
func filledIn(first, last uint32) (hasFirst, hasLast bool) {
	return first != 0 || last != 0 && last < skewMs, last != 0
}

// placeUptimes computes the start and end of a flow, given as uptimes in milliseconds, from the header's time and
// uptime. An end after the export, or a day or more before it, is of another clock than the header's: then the export
// time is taken as the end and the duration is kept, as an estimate, unless they are seconds since 1970. The start may
// be weeks ago. An uptime of 0 in the header (softflowd reading a capture) says nothing about the clocks: there the
// times stay as sent.
func (s *session) placeUptimes(exportMs int64, uptime, first, last uint32) (startMs, endMs int64, form uint8) {
	firstAge, lastAge := age(uptime, first), age(uptime, last)
	if firstAge < lastAge {
		if last-first <= first-last {
			// The end is far ahead, which looks like 49 days ago.
			s.read(exporter.RecordClockWrong)
			return exportMs - int64(last-first), exportMs, estimatedTime
		}
		s.read(exporter.EndBeforeStart)
		firstAge, lastAge = lastAge, firstAge
	}
	if lastAge < -aheadMs || lastAge > oldestEndMs && uptime != 0 {
		if startMs, endMs, is := inSeconds(exportMs, first, last); is {
			s.read(exporter.TimeUnitsMixed)
			return startMs, endMs, secondsTime
		}
		s.read(exporter.RecordClockWrong)
		return exportMs - (firstAge - lastAge), exportMs, estimatedTime
	}
	return exportMs - firstAge, exportMs - lastAge, uptimeTime
}

// inSeconds interprets uptimes that cannot be true as seconds since 1970, if those are near the export.
func inSeconds(exportMs int64, first, last uint32) (startMs, endMs int64, is bool) {
	startMs, endMs = int64(min(first, last))*1000, int64(max(first, last))*1000
	return startMs, endMs, startMs > exportMs-nearMs && endMs <= exportMs+aheadMs
}

// distance returns how far two uptimes are from each other.
func distance(a, b uint32) int64 { return int64(min(a-b, b-a)) }

// skewMs is how far a flow's uptime may be after the header's before it counts as one from before the wrap.
const skewMs = 3600 * 1000

// age returns how long before the header's uptime a flow's uptime was, in milliseconds. Both wrap every 49.7 days, so
// the difference is modulo 2^32. If it is nearly 2^32, the flow ended after the exporter had filled in the header.
func age(uptime, at uint32) int64 {
	diff := uptime - at
	if diff > math.MaxUint32-skewMs {
		return int64(int32(diff))
	}
	return int64(diff)
}
