// Package sink says what a destination of rows is to the rest of the collector. ClickHouse and Kafka are two, each in a
// folder of its own. It imports no sink.
package sink

import (
	"context"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/spool"
)

// Info is how a sink is called.
type Info struct {
	Name    string   // label of metrics, and value of collector_loss.sink: clickhouse
	Title   string   // for people: ClickHouse
	Unit    string   // what rows are there: rows, messages
	Done    string   // what has become of those that are delivered: written, produced
	Place   string   // where these are: table default.data_flow
	Reasons []string // for which rows are lost or quarantined
}

// Sink is a destination of rows. Its methods are safe for concurrent use.
type Sink interface {
	// Batcher returns a worker's part; nil where rows of this run do not go there.
	Batcher(BatcherOptions) Batcher
	// Stats says how the sink is at the moment.
	Stats() Stats
	// Close takes no more batches and delivers those that wait, until ctx ends. What is left then goes to the spool
	// or is lost, which is an error. The workers must have ended. The spool stays open.
	Close(ctx context.Context) error
}

// BatcherOptions are what workers differ in.
type BatcherOptions struct {
	Worker int  // its number, of no other one
	Ageing bool // batches are handed over when they are old; false: only when they are full
	// Large reports whether a source takes more than its part at the moment: see Apart. The worker's goroutine calls
	// it. nil: no source does.
	Large func(source flow.Addr) bool
	// Settled reports whether a source has been heard for long. The worker's goroutine calls it. nil: it is not known.
	Settled func(source flow.Addr) bool
	// Handed is called after a batch was handed over, by the worker's goroutine. The worker waits for it. nil: nobody.
	Handed func()
}

// Stats is the state of a sink at one moment. What became of rows is in its book of accounts.
type Stats struct {
	QueuedBytes, QueueLimit int64     // that wait in memory or are on their way, and how many may
	Retries                 uint64    // attempts after which another followed
	LastDelivery            time.Time // zero: none yet
	// Down is why nothing is delivered for some seconds though something waits; nil: that is not so.
	Down error
	// Lost are rows by reason, with those that are of no exporter and in no account. nil: there are no such rows.
	Lost map[string]uint64
	// Incomplete are delivered rows that are not everywhere where they belong, by what is wrong with them.
	Incomplete map[string]uint64
	Spool      *spool.Stats // nil: nothing waits on disk
}

// LossWriter is a Sink that keeps the table of losses.
type LossWriter interface {
	Sink
	// WriteLosses stores what was counted, beside the rows.
	WriteLosses([]block.Loss)
	// Rest leaves what is on disk there, and reports whether nothing from there is under way any more, so that the
	// accounts stand still.
	Rest() bool
}

// Batcher collects the rows of one worker in batches and hands the batches to its sink. It belongs to the worker's
// goroutine. It must not wait for the sink, and must not allocate in steady state.
type Batcher interface {
	// Append adds a row, which the caller uses again afterwards. stream is the one that its record came in; now is the
	// time of the datagrams in hand.
	Append(row *enrich.Row, stream flow.StreamKey, now time.Time)
	// FlushIfOld hands the batch over if its first row is old enough.
	FlushIfOld(now time.Time)
	// Flush hands over what there is.
	Flush()
}

// TrafficBatcher is a Batcher that takes what interfaces counted too.
type TrafficBatcher interface {
	Batcher
	// TakesTraffic reports whether there is a table of it.
	TakesTraffic() bool
	// AppendTraffic adds a row, which the caller uses again afterwards.
	AppendTraffic(row *enrich.InterfaceTraffic, now time.Time)
}

// DayLimiter is a Batcher whose batches may have rows of a few days only.
type DayLimiter interface {
	Batcher
	// AdmitDay reports whether the batch in hand may have a row that began on a day, and takes note of it. today is the
	// day of the row's receipt. Both count since 1970.
	AdmitDay(day, today int64) bool
}

// TextLimiter is a Batcher that bounds how many different texts exporters bring: communities, route distinguishers.
type TextLimiter interface {
	Batcher
	// OnLeftOut has f called, by Append, for each record whose row lacks texts. It is called before the first Append.
	OnLeftOut(f func(r *flow.Record, stream flow.StreamKey))
}
