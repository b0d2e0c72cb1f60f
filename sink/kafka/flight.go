package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
)

// flight is a batch that was passed to franz-go. Flights are reused, with the memory of their records.
type flight struct {
	batch   *message.Batch
	entry   *spool.Entry // its entry, if it was on disk
	topic   string
	began   time.Time // when it was first tried
	records []kgo.Record
	left    atomic.Int64 // number of records that franz-go has not finished
	promise func(*kgo.Record, error)

	mu     sync.Mutex
	failed map[*kgo.Record]error
}

// newFlight returns a flight that adds itself to all when its last record is finished.
func newFlight(all *finished, wake func()) *flight {
	f := &flight{}
	// one function for all records of all batches, because it has to be allocated
	f.promise = func(r *kgo.Record, err error) {
		if err != nil {
			f.fail(r, err)
		}
		if f.left.Add(-1) == 0 {
			all.add(f)
			wake()
		}
	}
	return f
}

func (f *flight) fail(r *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = map[*kgo.Record]error{}
	}
	f.failed[r] = err
}

// produce passes all messages to franz-go. It does not block, because the client's own limits are out of reach.
func (f *flight) produce(client *kgo.Client, now time.Time) {
	n := f.batch.Len()
	if cap(f.records) < n {
		f.records = make([]kgo.Record, n)
	}
	f.records = f.records[:n]
	clear(f.failed)
	f.left.Store(int64(n))
	ctx := context.Background()
	for i := range f.records {
		f.records[i] = kgo.Record{Topic: f.topic, Key: f.batch.Key(i), Value: f.batch.Message(i), Timestamp: now}
		client.Produce(ctx, &f.records[i], f.promise)
	}
}

// keep removes all but the given messages, which must be in ascending order, from the batch.
func keep(b *message.Batch, messages []int) {
	b.Tally = b.Tally.Select(messages)
	data, keys := b.Data[:0], b.Keys[:0]
	keyed := len(b.KeyEnds) > 0
	for n, i := range messages {
		m, k := b.Message(i), b.Key(i)
		data = append(data, m...) // moves left, over data that was kept or dropped
		b.Ends[n] = len(data)
		if keyed {
			keys = append(keys, k...)
			b.KeyEnds[n] = len(keys)
		}
	}
	b.Data, b.Ends = data, b.Ends[:len(messages)]
	b.Keys = keys
	if keyed {
		b.KeyEnds = b.KeyEnds[:len(messages)]
	}
}

// finished holds the flights that franz-go has finished and the sender has not seen.
type finished struct {
	mu      sync.Mutex
	flights []*flight
}

func (d *finished) add(f *flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flights = append(d.flights, f)
}

// take appends them to all and removes them.
func (d *finished) take(all []*flight) []*flight {
	d.mu.Lock()
	defer d.mu.Unlock()
	all = append(all, d.flights...)
	clear(d.flights)
	d.flights = d.flights[:0]
	return all
}
