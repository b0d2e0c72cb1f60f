package kafka

import (
	"sync"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
)

// BatchesOptions configure Batches.
type BatchesOptions struct {
	Encoder *message.Encoder
	Bytes   int           // a batch is flushed when it has this many bytes. 0: 1 MiB
	Linger  time.Duration // or when its first message is this old
	// Apart says which messages have batches of their own.
	Apart sink.Apart
	// Produce receives a batch; it must not block. Next returns an empty one.
	Produce func(*message.Batch)
	Next    func() *message.Batch
}

const defaultBatchBytes = 1 << 20

// Batches encodes the rows of one worker as messages, one batch at a time. It is a sink.Batcher and belongs to one
// goroutine.
type Batches struct {
	_ [0]sync.Mutex // go vet reports copies

	o            BatchesOptions
	usual, apart filling
}

// filling is a batch that fills.
type filling struct {
	batch   *message.Batch // nil until there is a message
	started time.Time      // when it got its first message
}

// NewBatches returns an empty batch.
func NewBatches(o BatchesOptions) *Batches {
	o.Bytes = orDefault(o.Bytes, defaultBatchBytes)
	return &Batches{o: o}
}

// Append adds a row's message to the batch.
func (b *Batches) Append(row *enrich.Row, stream flow.StreamKey, now time.Time) {
	x := &b.usual
	if b.o.Apart.Is(row.Flow.Source) {
		x = &b.apart
	}
	if x.batch == nil {
		x.batch, x.started = b.o.Next(), now
	}
	b.o.Encoder.Append(x.batch, row)
	x.batch.Counter.Add(stream)
	if len(x.batch.Data) >= b.o.Bytes {
		b.flush(x)
	}
}

// FlushIfOld flushes the batches whose first message is old enough.
func (b *Batches) FlushIfOld(now time.Time) {
	for _, x := range []*filling{&b.usual, &b.apart} {
		if x.batch != nil && now.Sub(x.started) >= b.o.Linger {
			b.flush(x)
		}
	}
	b.o.Apart.Update()
}

// Flush flushes all messages.
func (b *Batches) Flush() {
	b.flush(&b.usual)
	b.flush(&b.apart)
}

func (b *Batches) flush(x *filling) {
	if x.batch == nil || x.batch.Len() == 0 {
		return
	}
	x.batch.Tally, x.batch.Apart = x.batch.Counter.View(), x == &b.apart
	b.o.Produce(x.batch)
	x.batch = nil
}
