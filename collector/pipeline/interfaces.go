package pipeline

import (
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Counters turns an interface's counters into a row of how much they grew. The worker's decoder calls it.
func (w *Worker) Counters(c *flow.InterfaceCounters) {
	w.given++
	if len(w.traffic) == 0 {
		return
	}
	stream := flow.StreamKey{Exporter: c.Exporter, Protocol: flow.SFlow5, Domain: c.SubAgent}
	if w.renames {
		c.Exporter = w.settings.Name(c.Exporter, c.Source)
	}
	c.Received += w.TimeShiftMs * int64(time.Millisecond)
	evicted := w.meter.Evicted()
	measured := w.meter.Measure(w.snapshot, c, &w.counted)
	if n := w.meter.Evicted() - evicted; n > 0 {
		w.Decoder.Exporters().Get(stream, c.Source, c.Received).Fail(exporter.CounterLimit, n)
	}
	if !measured {
		return
	}
	w.counted.Origin, w.counted.PolicyScope = w.Enricher.Origin(w.snapshot, c.Exporter)
	for _, t := range w.traffic {
		t.AppendTraffic(&w.counted, w.now)
	}
}
