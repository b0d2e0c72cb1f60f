package listen

import (
	"errors"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// Run is the loop of a worker's goroutine: it hands on datagrams until the worker is closed and empty, or cannot
// receive any more, which is an error. process takes a batch, whose memory is free again when it returns; tick is
// called about once a second, also while nothing comes.
func (w *Worker) Run(process func(datagrams []exporter.Datagram, now time.Time), tick func(now time.Time)) error {
	const wake, every = 100 * time.Millisecond, time.Second
	next := time.Now().Add(every)
	for {
		datagrams, err := w.Receive(wake)
		if errors.Is(err, ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		now := time.Now()
		process(datagrams, now)
		if !now.Before(next) {
			tick(now)
			next = now.Add(every)
		}
	}
}
