package pipeline

import (
	"fmt"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// Interfaces says what becomes of the counters of interfaces that devices send.
type Interfaces struct {
	Block *block.Traffic // of rows for ClickHouse
	Query string         // the INSERT statement of every block
	Limit int            // interfaces that are remembered; 0: enrich's default
}

// interfaces is what a worker knows of interfaces.
type interfaces struct {
	Interfaces
	meter   enrich.Meter
	row     enrich.InterfaceTraffic
	started time.Time // when the block got its first row
	blocks  int
}

// leastTrafficAge is how long the first row of a block waits for others: they are few, and an insert costs the same.
const leastTrafficAge = 10 * time.Second

// Counters takes an interface's counters to a row of what they grew by. It is for the worker's decoder.
func (w *Worker) Counters(c *flow.InterfaceCounters) {
	w.given++
	x := &w.interfaces
	if x.Block == nil {
		return
	}
	stream := flow.StreamKey{Exporter: c.Exporter, Protocol: flow.SFlow5, Domain: c.SubAgent}
	if w.renames {
		c.Exporter = w.settings.Name(c.Exporter, c.Source)
	}
	c.Received += w.TimeShiftMs * int64(time.Millisecond)
	evicted := x.meter.Evicted()
	measured := x.meter.Measure(w.snapshot, c, &x.row)
	if n := x.meter.Evicted() - evicted; n > 0 {
		w.Decoder.Exporters().Get(stream, c.Source, c.Received).Fail(exporter.CounterLimit, n)
	}
	if !measured {
		return
	}
	x.row.PolicyScope = w.settings.Policy.Scopes
	if x.Block.Rows() == 0 {
		x.started = w.now
	}
	x.Block.Append(&x.row)
	if x.Block.Rows() >= w.MaxRows {
		w.flushTraffic()
	}
}

func (w *Worker) flushTrafficIfOld(now time.Time) {
	if x := &w.interfaces; x.Block != nil && x.Block.Rows() > 0 &&
		now.Sub(x.started) >= max(w.MaxAge, leastTrafficAge) {
		w.flushTraffic()
	}
}

func (w *Worker) flushTraffic() {
	x := &w.interfaces
	if x.Block == nil || x.Block.Rows() == 0 {
		return
	}
	x.blocks++
	w.Deliver(&clickhouse.Insert{
		Query: x.Query,
		Token: fmt.Sprintf("%s-interfaces-%d", w.TokenPrefix, x.blocks),
		Rows:  x.Block.Rows(),
		Data:  x.Block.Encode(nil),
	})
	x.Block.Reset()
}
