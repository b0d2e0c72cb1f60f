// Package sink says what a destination of rows is to the rest of the collector. ClickHouse and Kafka are two, each in a
// folder of its own. It imports the row and the accounts of rows, and no sink.
package sink

import (
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

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
