package service

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/message"
)

// openStreams listens for IPFIX over TCP and TLS; nil where that is off.
func openStreams(cfg *config.Config, log *zap.Logger) (*stream.Listener, error) {
	if !cfg.Listen.Streams() {
		return nil, nil
	}
	return stream.Open(stream.Options{
		TCP: cfg.Listen.TCP, TLS: cfg.Listen.TLS.Addresses, Certificate: setup.Certificate(cfg),
		Allowed: cfg.Listen.Allowed, Log: log.Named("listen"),
	})
}

// streamWorker returns the worker of all connections. Its templates are those of connections and not saved.
func (s *service) streamWorker() *pipeline.Worker {
	w := s.newWorker(len(s.listeners), handover{
		maxAge: s.cfg.Batch.Age, deliver: s.deliverPatiently, produce: s.producePatiently,
	}, pipeline.Options{})
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

// deliverPatiently hands a block over when there is room for it. Unlike datagrams, connections can wait: their
// exporters send no more meanwhile. A stop ends the wait.
func (s *service) deliverPatiently(ins *clickhouse.Insert) {
	s.waitWhile(s.rowsPile)
	s.writer.Enqueue(ins)
}

// rowsPile reports whether rows are made faster than they get away: what comes now would displace others soon.
func (s *service) rowsPile() bool {
	const nearlyFull = 0.95
	stats := s.writer.Stats()
	return stats.QueuedBytes > int64(s.cfg.Batch.QueueBytes)/2 ||
		s.spool != nil && float64(stats.Spool.DiskBytes) > nearlyFull*float64(s.cfg.Spool.MaxBytes)
}

// producePatiently is the same for messages to Kafka.
func (s *service) producePatiently(b *message.Batch) {
	const nearlyFull = 0.95
	s.waitWhile(func() bool {
		return s.producer.Stats().Queued.Bytes > uint64(s.cfg.Kafka.QueueBytes)/2 || s.kafkaSpool != nil &&
			float64(s.kafkaSpool.Stats().DiskBytes) > nearlyFull*float64(s.cfg.Kafka.SpoolMaxBytes)
	})
	s.producer.Enqueue(b)
}

func (s *service) waitWhile(busy func() bool) {
	const poll = 5 * time.Millisecond
	for busy() {
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
