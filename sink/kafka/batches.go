package kafka

import (
	"sync"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

// BatchesOptions configure Batches.
type BatchesOptions struct {
	Encoder *message.Encoder
	Bytes   int           // a batch is flushed when it has this many bytes. 0: 1 MiB
	Linger  time.Duration // or when its first message is this old
	// Produce receives a batch; it must not block. Next returns an empty one.
	Produce func(*message.Batch)
	Next    func() *message.Batch
}

const defaultBatchBytes = 1 << 20

// Batches encodes the rows of one worker as messages, one batch at a time. It is a sink.Batcher and belongs to one
// goroutine.
type Batches struct {
	_ [0]sync.Mutex // go vet reports copies

	o       BatchesOptions
	batch   *message.Batch
	started time.Time // when the batch got its first message
}

// NewBatches returns an empty batch.
func NewBatches(o BatchesOptions) *Batches {
	o.Bytes = orDefault(o.Bytes, defaultBatchBytes)
	return &Batches{o: o, batch: o.Next()}
}

// Append adds a row's message to the batch.
func (b *Batches) Append(row *enrich.Row, stream flow.StreamKey, now time.Time) {
	if b.batch.Len() == 0 {
		b.started = now
	}
	b.o.Encoder.Append(b.batch, row)
	b.batch.Counter.Add(stream)
	if len(b.batch.Data) >= b.o.Bytes {
		b.Flush()
	}
}

// FlushIfOld flushes the batch if its first message is old enough.
func (b *Batches) FlushIfOld(now time.Time) {
	if b.batch.Len() > 0 && now.Sub(b.started) >= b.o.Linger {
		b.Flush()
	}
}

// Flush flushes all messages.
func (b *Batches) Flush() {
	if b.batch.Len() == 0 {
		return
	}
	b.batch.Tally = b.batch.Counter.View()
	b.o.Produce(b.batch)
	b.batch = b.o.Next()
}
