package service

import (
	"time"

	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/stream"
)

// receiveStreams is the loop of the worker of all connections. It ends when the listener is closed and empty.
func receiveStreams(l *stream.Listener, w *pipeline.Worker) {
	const wake, tick = 100 * time.Millisecond, time.Second
	defer w.Finish()
	next := time.Now().Add(tick)
	for {
		batch, err := l.Receive(wake)
		if err != nil {
			return
		}
		now := time.Now()
		w.Process(batch.Messages, now)
		if batch.Ended != 0 {
			w.Decoder.NetFlow().EndSession(batch.Ended)
		}
		if !now.Before(next) {
			w.Tick(now)
			next = now.Add(tick)
		}
	}
}

// waitWhileBehind returns a function that waits while an output is behind. Unlike senders of datagrams, exporters with
// connections stop sending meanwhile. Closing the listener ends the wait.
func waitWhileBehind(l *stream.Listener) func(*output) {
	const poll = 5 * time.Millisecond
	return func(o *output) {
		for o.behind() {
			select {
			case <-l.Closing():
				return
			case <-time.After(poll):
			}
		}
	}
}
