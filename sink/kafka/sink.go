package kafka

import (
	"context"
	"math"
	"time"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
)

// SinkOptions say what a Sink makes of rows and where it goes.
type SinkOptions struct {
	Options
	Format message.Format
	Key    message.Key
	Layout message.Layout
	Linger time.Duration // how long the first message of a batch waits for others
}

// Sink is Kafka as a sink.Sink: a Producer of messages that are made of rows.
type Sink struct {
	o        SinkOptions
	producer *Producer
}

// NewSink starts a Producer. It fails as NewProducer does.
func NewSink(o SinkOptions) (*Sink, error) {
	p, err := NewProducer(o.Options)
	if err != nil {
		return nil, err
	}
	return &Sink{o, p}, nil
}

// Batcher returns the batches of a worker.
func (s *Sink) Batcher(o sink.BatcherOptions) sink.Batcher {
	b := BatchesOptions{
		Encoder: message.NewEncoder(s.o.Format, s.o.Key, s.o.Layout),
		Linger:  s.o.Linger, Produce: s.producer.Enqueue, Next: s.producer.Batch,
		Apart: sink.Apart{Large: o.Large, Pressed: s.producer.Pressed},
	}
	if !o.Ageing {
		b.Linger = math.MaxInt64
	}
	if o.Handed != nil {
		b.Produce = func(batch *message.Batch) {
			s.producer.Enqueue(batch)
			o.Handed()
		}
	}
	return NewBatches(b)
}

// Stats is the Producer's.
func (s *Sink) Stats() sink.Stats {
	stats := s.producer.Stats()
	all := sink.Stats{
		QueuedBytes: int64(stats.Queued.Bytes), QueueLimit: s.producer.options.QueueBytes,
		Retries: stats.Retried.Messages, LastDelivery: stats.LastDelivery, Down: s.producer.Down(),
	}
	if s.producer.options.Spool != nil {
		all.Spool = &stats.Spool
	}
	return all
}

// Close is the Producer's.
func (s *Sink) Close(ctx context.Context) error { return s.producer.Close(ctx) }

var _ sink.Sink = (*Sink)(nil)
