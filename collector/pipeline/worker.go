// Package pipeline is one core's way from a datagram to the batches of the sinks: decode, enrich, append, encode.
//
// A Worker owns everything that it writes to. Nothing on this path takes a lock, waits for another core, or allocates
// in steady state; what it shares with others it reads through atomic pointers (the metadata snapshot) or hands over
// whole (an encoded batch).
package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
)

// Options configure a worker.
type Options struct {
	Decoder  *decoder.Decoder
	Enricher *enrich.Enricher
	Snapshot *atomic.Pointer[enrich.Snapshot] // replaced whole when metadata changes
	// Sinks take the rows, each all of them. Those that are a sink.TrafficBatcher get what devices count of their
	// interfaces; the latest counters of so many Interfaces are remembered for it. 0: enrich's default.
	Sinks      []sink.Batcher
	Interfaces int
	// Save takes what changed of what the decoder has learned of templates, every SaveEvery and at the end; it must not
	// block. Much comes in parts. nil: nobody.
	Save      func(netflow.State)
	SaveEvery time.Duration
	// Settings are replaced whole when the operator changes them.
	Settings *atomic.Pointer[Settings]
	// Tap points to what shows rows to people; what it points to is nil while nobody looks. nil: nobody ever does.
	Tap *atomic.Pointer[tap.Func]
	// Share accounts for the cost of each source's datagrams; nil: nobody does.
	Share *listen.Share
	// TimeShiftMs is added to all times of all records, in milliseconds. It moves old captures to today.
	TimeShiftMs int64
	// KeepTimes believes all times of flows: those of a capture are the operator's own. See clamp.
	KeepTimes bool
}

// Worker decodes datagrams and hands rows to sinks. It belongs to one goroutine; Rows, Small and Expired are safe for
// concurrent use.
type Worker struct {
	Options
	batch    *flow.Batch
	traffic  []sink.TrafficBatcher // those of Sinks that have a table
	days     []sink.DayLimiter     // those of Sinks that are
	meter    enrich.Meter
	counted  enrich.InterfaceTraffic
	snapshot *enrich.Snapshot
	settings *Settings
	tap      *tap.Func
	renames  bool // the settings name some exporters otherwise
	row      enrich.Row
	now      time.Time // of the batch of datagrams in hand
	saved    time.Time
	given    int // records and interface counters that datagrams gave

	rows, expired, small atomic.Uint64
	expiry, ttlMs        atomic.Int64
}

// NewWorker returns a worker without templates and counts.
func NewWorker(o Options) *Worker {
	w := &Worker{Options: o}
	w.batch = flow.NewBatch(w.append)
	w.meter.Limit = o.Interfaces
	for _, s := range o.Sinks {
		if t, ok := s.(sink.TrafficBatcher); ok && t.TakesTraffic() {
			w.traffic = append(w.traffic, t)
		}
		if d, ok := s.(sink.DayLimiter); ok {
			w.days = append(w.days, d)
		}
		if t, ok := s.(sink.TextLimiter); ok {
			t.OnLeftOut(w.leftOut)
		}
	}
	return w
}

// Rows returns how many rows went to the sinks so far.
func (w *Worker) Rows() uint64 { return w.rows.Load() }

// Small returns how many records gave no row because their flows were smaller than Settings.MinPackets or MinBits.
func (w *Worker) Small() uint64 { return w.small.Load() }

// SetExpiry says before which time of their beginning, in Unix milliseconds, the table drops rows: its TTL. 0: none.
func (w *Worker) SetExpiry(ms int64) { w.expiry.Store(ms) }

// SetTTL says how long the table keeps rows after they began; 0: for good.
func (w *Worker) SetTTL(d time.Duration) { w.ttlMs.Store(d.Milliseconds()) }

// Expired returns how many of the rows were too old for the table.
func (w *Worker) Expired() uint64 { return w.expired.Load() }

// begin reads the shared snapshot and settings once for one batch.
func (w *Worker) begin(now time.Time) {
	w.now = now
	w.snapshot = w.Snapshot.Load()
	if w.Tap != nil {
		w.tap = w.Tap.Load()
	}
	if s := w.Settings.Load(); s != w.settings {
		w.change(s)
	}
	w.Enricher.Begin()
}

// Process decodes and enriches datagrams and appends their rows to the sinks. The caller may reuse the datagrams'
// memory when it returns.
func (w *Worker) Process(datagrams []exporter.Datagram, now time.Time) {
	w.begin(now)
	if w.Share != nil {
		w.processCharged(datagrams)
	} else {
		for i := range datagrams {
			w.Decoder.Decode(&datagrams[i], w.batch)
		}
	}
	w.Enricher.End()
	w.flushIfOld(now)
}

// processCharged is Process that reports the cost of each datagram to the share.
func (w *Worker) processCharged(datagrams []exporter.Datagram) {
	start := time.Now()
	var before time.Duration
	for i := range datagrams {
		d, given := &datagrams[i], w.given
		w.Decoder.Decode(d, w.batch)
		after := time.Since(start)
		w.Share.Charge(d.Source.Addr(), after-before, len(d.Payload), w.given-given)
		before = after
	}
}

// Tick does what depends on time only: it expires held data and hands over batches that are old enough. Call it about
// once a second.
func (w *Worker) Tick(now time.Time) {
	w.begin(now)
	w.Decoder.Tick(now.UnixNano(), w.batch)
	w.Enricher.End()
	w.Enricher.Publish()
	w.flushIfOld(now)
	if w.Save != nil {
		w.save(now)
	}
}

// Finish hands over the last batches and gives up data that waits for templates.
func (w *Worker) Finish() {
	w.Decoder.Discard()
	w.Flush()
	if w.Save != nil {
		w.Decoder.NetFlow().BeginSave()
		for more := true; more; {
			var state netflow.State
			state, more = w.Decoder.NetFlow().Save(savedAtOnce)
			w.Save(state)
		}
	}
}

// savedAtOnce is how many templates and names are handed over at each Tick, about: some milliseconds of work.
const savedAtOnce = 10_000

// save hands over a part of what the decoder has learned, if SaveEvery has passed.
func (w *Worker) save(now time.Time) {
	if now.Sub(w.saved) >= w.SaveEvery {
		w.Decoder.NetFlow().BeginSave()
		w.saved = now
	}
	if state, _ := w.Decoder.NetFlow().Save(savedAtOnce); len(state.Sources)+len(state.Forgotten) > 0 {
		w.Save(state)
	}
}

// append turns the records of a batch into rows and appends them to the sinks.
func (w *Worker) append(records []flow.Record) {
	w.given += len(records)
	w.Enricher.Prefetch(w.snapshot, records)
	expiry, ahead := w.expiry.Load(), w.usualAheadMs()
	small, minPackets, minBits := 0, w.settings.MinPackets, w.settings.MinBits
	for i := range records {
		r := &records[i]
		if w.TimeShiftMs != 0 {
			shift(r, w.TimeShiftMs)
		}
		stream := r.Stream()
		if w.renames {
			r.Exporter = w.settings.Name(r.Exporter, r.Source)
		}
		was := stated{}
		received := r.Received / int64(time.Millisecond)
		if !usual(r, received, ahead) {
			was = w.checkTimes(stream, r, received)
		}
		w.Enricher.Enrich(w.snapshot, r, &w.row)
		if w.row.Packets < minPackets || w.row.Bits < minBits {
			w.Decoder.Exporters().Get(stream, r.Source, r.Received).Small.Add(1)
			small++
			continue
		}
		if w.row.StatedStartMs, w.row.StatedEndMs = was.startMs, was.endMs; was != (stated{}) {
			w.Decoder.Exporters().Get(stream, r.Source, r.Received).Clamped.Add(1)
		}
		if w.row.StartMs < expiry {
			w.expired.Add(1)
		}
		for _, s := range w.Sinks {
			s.Append(&w.row, stream, w.now)
		}
		if w.tap != nil {
			(*w.tap)(&w.row)
		}
	}
	if len(w.Sinks) > 0 {
		w.rows.Add(uint64(len(records) - small))
	}
	if small > 0 {
		w.small.Add(uint64(small))
	}
}

// leftOut counts a record whose row lacks texts.
func (w *Worker) leftOut(r *flow.Record, stream flow.StreamKey) {
	w.Decoder.Exporters().Get(stream, r.Source, r.Received).LeftOut.Add(1)
}

func shift(r *flow.Record, ms int64) {
	r.StartMs += ms
	r.EndMs += ms
	r.ExportMs += ms
	r.Received += ms * int64(time.Millisecond)
}

func (w *Worker) flushIfOld(now time.Time) {
	for _, s := range w.Sinks {
		s.FlushIfOld(now)
	}
}

// Flush hands over the batches of all sinks, however small they are.
func (w *Worker) Flush() {
	for _, s := range w.Sinks {
		s.Flush()
	}
}
