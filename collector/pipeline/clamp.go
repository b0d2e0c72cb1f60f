package pipeline

import (
	"github.com/metranova/flow-collector/decoder/flow"
)

// Flow times come from the exporter's clock, or from whoever forges its datagrams, and they choose the partition of a
// row: the table has one for each day. 2,000 records of 2,000 days would open 2,000 partitions in one insert and stall
// the store for all. So times far from the time of receipt are not believed:
//
//   - Times beyond [received - MaxBehind, received + MaxAhead] are replaced by the time of receipt.
//   - Of the times within these bounds, a block takes a few days that are not those around its datagrams' receipt
//     (sink.DayLimiter). Rows of further days get the time of receipt too.
//
// The row keeps the stated times in ext (stated_start_ms, stated_end_ms), not in the quarantine: everything else in the
// record is sound and belongs into the sums, and nobody would look for it in a file.
const (
	dayMs = 24 * 60 * 60 * 1000

	defaultAheadMs = dayMs
	// clockSet is 2020-01-01. If this host's clock is earlier it was never set, and the exporters' times are believed.
	clockSetMs = 1577836800000
	// latestMs is the last second of a DateTime, which the views have (2106-02-07).
	latestMs = 1<<32*1000 - 1000
)

// stated are the times that the exporter sent, of a record whose times were replaced.
type stated struct{ startMs, endMs int64 }

// A flow that ended a day before its record came, or ends ten minutes later, has its times from a clock that is wrong.
const (
	behindMs = dayMs
	aheadMs  = 10 * 60 * 1000
)

// usual reports whether a record's times need no further check: the flow began within the day before the receipt, and
// ended at most ahead after it. ahead is usualAheadMs.
func usual(r *flow.Record, received, ahead int64) bool {
	return r.StartMs > received-dayMs && r.EndMs >= r.StartMs && r.EndMs <= received+ahead
}

// usualAheadMs is the ahead for which checkTimes does nothing with usual times.
func (w *Worker) usualAheadMs() int64 {
	if behind := w.maxBehindMs(); behind > 0 && behind < dayMs {
		return 0 // clamp believes these times, whatever its bound
	}
	if ahead := w.settings.MaxAheadMs; ahead != 0 {
		return min(ahead, aheadMs)
	}
	return aheadMs
}

// checkTimes counts times of a wrong clock and replaces those that are not believed. It returns the stated ones as
// clamp does. Most records do not come here.
func (w *Worker) checkTimes(stream flow.StreamKey, r *flow.Record, received int64) stated {
	// Within the bounds of clamp the row keeps its times: nobody knows better ones.
	if age := received - r.EndMs; age > behindMs {
		w.Decoder.Exporters().Get(stream, r.Source, r.Received).Behind.Add(1)
	} else if age < -aheadMs {
		w.Decoder.Exporters().Get(stream, r.Source, r.Received).Ahead.Add(1)
	}
	return w.clamp(r, received)
}

// clamp replaces times that are not believed, and returns the stated ones; the zero value where it replaced none. The
// flow's duration stays where it is believable.
func (w *Worker) clamp(r *flow.Record, received int64) stated {
	near := r.StartMs > received-dayMs && r.StartMs <= received && r.EndMs >= r.StartMs && r.EndMs <= received
	if near || w.KeepTimes || received < clockSetMs {
		return stated{}
	}
	earliest := int64(0)
	if behind := w.maxBehindMs(); behind > 0 {
		earliest = max(received-behind, 0)
	}
	ahead := w.settings.MaxAheadMs
	if ahead == 0 {
		ahead = defaultAheadMs
	}
	latest := min(received+ahead, latestMs)
	was := stated{max(r.StartMs, 0), max(r.EndMs, 0)}
	changed := false
	if r.EndMs < earliest || r.EndMs > latest {
		r.StartMs += received - r.EndMs
		r.EndMs = received
		changed = true
	}
	if r.StartMs < earliest || r.StartMs > latest {
		r.StartMs = r.EndMs
		changed = true
	}
	if !w.admitDay(r.StartMs, received) {
		r.StartMs, r.EndMs = received, received
		changed = true
	}
	if !changed {
		return stated{}
	}
	return was
}

// maxBehindMs is how old times may be, in milliseconds; 0 for any age. The table's TTL holds where nothing else is set:
// older rows are dropped at once.
func (w *Worker) maxBehindMs() int64 {
	if ms := w.settings.MaxBehindMs; ms > 0 {
		return ms
	}
	return w.ttlMs.Load()
}

// admitDay reports whether every sink takes a row that began then.
func (w *Worker) admitDay(startMs, received int64) bool {
	for _, d := range w.days {
		if !d.AdmitDay(startMs/dayMs, received/dayMs) {
			return false
		}
	}
	return true
}
