package service

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
)

// openStreams listens for IPFIX over TCP and TLS; nil where that is off.
func openStreams(cfg *config.Config, log *zap.Logger) (*stream.Listener, error) {
	if !cfg.Listen.Streams() {
		return nil, nil
	}
	return stream.Open(stream.Options{
		TCP: cfg.Listen.TCP, TLS: cfg.Listen.TLS.Addresses, Certificate: setup.Certificate(cfg),
		Allowed: cfg.Listen.Allowed.Sources, Log: log.Named("listen"),
	})
}

// streamWorker returns the worker of all connections. Its templates are those of connections and not saved.
func (s *service) streamWorker() *pipeline.Worker {
	n := len(s.listeners)
	w := s.newWorker(n, pipeline.Options{Sinks: s.outputs.batchers(n, true, s.waitWhileBehind)})
	w.Save = nil
	return w
}

// receiveStreams is the loop of the connections' worker: messages in and into blocks, until the listener is closed and
// empty.
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

// waitWhileBehind waits while an output is behind. Unlike datagrams, connections can wait: their exporters send no more
// meanwhile. A stop ends the wait.
func (s *service) waitWhileBehind(o *output) {
	const poll = 5 * time.Millisecond
	for o.behind() {
		select {
		case <-s.streams.Closing():
			return
		case <-time.After(poll):
		}
	}
}

// streamFields say in the log where connections are accepted.
func streamFields(l *stream.Listener) (fields []zap.Field) {
	for _, transport := range []stream.Transport{stream.TCP, stream.TLS} {
		if addresses := l.Addresses(transport); len(addresses) > 0 {
			fields = append(fields, zap.String(string(transport), strings.Join(addresses, " ")))
		}
	}
	return fields
}
