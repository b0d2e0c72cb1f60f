// Package pipeline is one core's way from a datagram to an encoded block: decode, enrich, append, encode.
//
// A Worker owns everything that it writes to. Nothing on this path takes a lock, waits for another core, or allocates
// in steady state; what it shares with others it reads through atomic pointers (the metadata snapshot) or hands over
// whole (an encoded block).
package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/tally"
)

// Options is what a worker is made of.
type Options struct {
	Decoder  *decoder.Decoder
	Enricher *enrich.Enricher
	Snapshot *atomic.Pointer[enrich.Snapshot] // replaced whole when metadata changes
	Block    *block.Block                     // of rows for ClickHouse; nil: none go there
	MaxRows  int                              // a block of so many rows is handed over
	MaxAge   time.Duration                    // and one whose first row is so old
	// Query is the INSERT statement of every block, as clickhouse.InsertQuery makes it.
	Query string
	// Deliver takes an encoded block; it must not block. Buffer returns memory to encode the next one into.
	Deliver func(*clickhouse.Insert)
	Buffer  func() native.Packed
	// TokenPrefix begins every block's deduplication token; it must differ between workers and between runs.
	TokenPrefix string
	// Interfaces are for what devices count of their interfaces; without a Block that is dropped.
	Interfaces Interfaces
	// Encoder makes messages of rows, for Kafka, in Batch; nil: none are made. A batch of BatchBytes, or whose first
	// message is Linger old, is handed to Produce, which must not block; NextBatch returns an empty one.
	Encoder    *message.Encoder
	Batch      *message.Batch
	BatchBytes int
	Linger     time.Duration
	Produce    func(*message.Batch)
	NextBatch  func() *message.Batch
	// Save takes what changed of what the decoder has learned of templates, every SaveEvery and at the end; it must not
	// block. Much comes in parts. nil: nobody.
	Save      func(netflow.State)
	SaveEvery time.Duration
	// Settings are replaced whole when the operator changes them.
	Settings *atomic.Pointer[Settings]
	// Share takes note of what the datagrams of each source take; nil: nobody does.
	Share *listen.Share
	// TimeShiftMs is added to all times of all records, in milliseconds: captures of long ago are moved to today.
	TimeShiftMs int64
	// KeepTimes believes all times of flows: those of a capture are the operator's own. See clamp.
	KeepTimes bool
}

// Worker takes datagrams and delivers blocks. It belongs to one goroutine; Rows is safe anywhere.
type Worker struct {
	Options
	batch      *flow.Batch
	interfaces interfaces
	snapshot   *enrich.Snapshot
	settings   *Settings
	renames    bool // the settings name some exporters otherwise
	row        enrich.Row
	tally      tally.Counter // of the block's rows
	started    time.Time     // when the block got its first row
	now        time.Time     // of the batch of datagrams in hand
	saved      time.Time
	lingers    time.Time // since when the batch's first message does
	given      int       // records and interface counters that datagrams gave
	odd        []int64   // days of the block, since 1970, that are not those around its datagrams' receipt

	rows, blocks, expired, messages atomic.Uint64
	expiry, ttlMs                   atomic.Int64
}

// NewWorker returns a worker with an empty block.
func NewWorker(o Options) *Worker {
	w := &Worker{Options: o, odd: make([]int64, 0, oddDays)}
	w.batch = flow.NewBatch(w.append)
	w.interfaces.Interfaces, w.interfaces.meter.Limit = o.Interfaces, o.Interfaces.Limit
	return w
}

// Rows returns how many rows went into blocks so far.
func (w *Worker) Rows() uint64 { return w.rows.Load() }

// SetExpiry says before which time of their beginning, in Unix milliseconds, the table drops rows: its TTL. 0: none.
func (w *Worker) SetExpiry(ms int64) { w.expiry.Store(ms) }

// SetTTL says how long the table keeps rows after they began; 0: for good.
func (w *Worker) SetTTL(d time.Duration) { w.ttlMs.Store(d.Milliseconds()) }

// Expired returns how many of the rows were too old for the table.
func (w *Worker) Expired() uint64 { return w.expired.Load() }

// Messages returns how many messages were made so far.
func (w *Worker) Messages() uint64 { return w.messages.Load() }

// begin takes what is shared as it is now, for one batch.
func (w *Worker) begin(now time.Time) {
	w.now = now
	w.snapshot = w.Snapshot.Load()
	if s := w.Settings.Load(); s != w.settings {
		w.change(s)
	}
}

// Process takes datagrams through to the block. The datagrams' memory is free again when it returns.
func (w *Worker) Process(datagrams []exporter.Datagram, now time.Time) {
	w.begin(now)
	if w.Share != nil {
		w.processCharged(datagrams)
	} else {
		for i := range datagrams {
			w.Decoder.Decode(&datagrams[i], w.batch)
		}
	}
	w.flushIfOld(now)
}

// processCharged has the share take note of what each datagram takes.
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

// Tick does what time alone brings: it expires what waited too long and delivers a block that is old enough.
func (w *Worker) Tick(now time.Time) {
	w.begin(now)
	w.Decoder.Tick(now.UnixNano(), w.batch)
	w.Enricher.Publish()
	w.flushIfOld(now)
	if w.Save != nil {
		w.save(now)
	}
}

// Finish delivers all that is left and gives up what waits for templates.
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

// save hands over a part of what the decoder has learned, if it is time.
func (w *Worker) save(now time.Time) {
	if now.Sub(w.saved) >= w.SaveEvery {
		w.Decoder.NetFlow().BeginSave()
		w.saved = now
	}
	if state, _ := w.Decoder.NetFlow().Save(savedAtOnce); len(state.Sources)+len(state.Forgotten) > 0 {
		w.Save(state)
	}
}

// append is the batch's receiver: it turns records into rows of the block.
func (w *Worker) append(records []flow.Record) {
	w.given += len(records)
	w.Enricher.Warm(w.snapshot, records)
	expiry := w.expiry.Load()
	for i := range records {
		r := &records[i]
		if w.TimeShiftMs != 0 {
			shift(r, w.TimeShiftMs)
		}
		stream := r.Stream()
		if w.renames {
			r.Exporter = w.settings.Name(r.Exporter, r.Source)
		}
		if age := r.Received/int64(time.Millisecond) - r.EndMs; age > behindMs || age < -aheadMs {
			w.wrongClock(stream, r, age > 0)
		}
		was := w.clamp(r)
		w.Enricher.Enrich(w.snapshot, r, &w.row)
		if w.row.StatedStartMs, w.row.StatedEndMs = was.startMs, was.endMs; was != (stated{}) {
			w.Decoder.Exporters().Get(stream, r.Source, r.Received).Clamped.Add(1)
		}
		if w.Encoder != nil {
			w.addMessage(stream)
		}
		if w.Block != nil {
			w.addRow(stream, expiry)
		}
	}
	if w.Block != nil {
		w.rows.Add(uint64(len(records)))
	}
	if w.Encoder != nil {
		w.messages.Add(uint64(len(records)))
	}
}

// addRow puts the row into the block.
func (w *Worker) addRow(stream flow.StreamKey, expiry int64) {
	if w.Block.Rows() == 0 {
		w.started = w.now
	}
	w.Block.Append(&w.row)
	w.tally.Add(stream)
	if w.row.StartMs < expiry {
		w.expired.Add(1)
	}
	if w.Block.Rows() >= w.MaxRows || w.Block.Days() >= maxDays || w.Block.Full() {
		w.flushBlock()
	}
}

// A flow that ended a day before its record came, or ends ten minutes later, has its times from a clock that is wrong.
const (
	behindMs = 24 * 60 * 60 * 1000
	aheadMs  = 10 * 60 * 1000
)

// wrongClock counts a record by its exporter. Within the bounds of clamp the row keeps its times: nobody knows better
// ones.
func (w *Worker) wrongClock(stream flow.StreamKey, r *flow.Record, behind bool) {
	s := w.Decoder.Exporters().Get(stream, r.Source, r.Received)
	if behind {
		s.Behind.Add(1)
	} else {
		s.Ahead.Add(1)
	}
}

// addMessage puts a message of the row into the batch.
func (w *Worker) addMessage(stream flow.StreamKey) {
	if w.Batch.Len() == 0 {
		w.lingers = w.now
	}
	w.Encoder.Append(w.Batch, &w.row)
	w.Batch.Counter.Add(stream)
	if len(w.Batch.Data) >= w.BatchBytes {
		w.flushBatch()
	}
}

// maxDays bounds the partitions, of a day each by default, that one insert opens on the server.
const maxDays = 100

func shift(r *flow.Record, ms int64) {
	r.StartMs += ms
	r.EndMs += ms
	r.ExportMs += ms
	r.Received += ms * int64(time.Millisecond)
}

func (w *Worker) flushIfOld(now time.Time) {
	if w.Block != nil && w.Block.Rows() > 0 && now.Sub(w.started) >= w.MaxAge {
		w.flushBlock()
	}
	w.flushTrafficIfOld(now)
	if w.Encoder != nil && w.Batch.Len() > 0 && now.Sub(w.lingers) >= w.Linger {
		w.flushBatch()
	}
}

// Flush delivers what the block and the batch hold.
func (w *Worker) Flush() {
	if w.Block != nil {
		w.flushBlock()
	}
	w.flushTraffic()
	if w.Encoder != nil && w.Batch.Len() > 0 {
		w.flushBatch()
	}
}

func (w *Worker) flushBatch() {
	w.Batch.Tally = w.Batch.Counter.View()
	w.Produce(w.Batch)
	w.Batch = w.NextBatch()
}

func (w *Worker) flushBlock() {
	rows := w.Block.Rows()
	if rows == 0 {
		return
	}
	n := w.blocks.Add(1)
	packed := w.Block.Pack(w.Buffer())
	w.Deliver(&clickhouse.Insert{
		Query: w.Query,
		Token: fmt.Sprintf("%s-%d", w.TokenPrefix, n),
		Rows:  rows,
		Data:  packed.Data,
		Fills: packed.Fills,
		Tally: w.tally.Take(),
	})
	w.Block.Reset()
	w.odd = w.odd[:0]
}
