// Package kafka handles all communication with Apache Kafka: it delivers batches of messages with franz-go, with
// retries, in bounded memory, and through the spool if that runs out. It does not know what the messages contain.
//
// The life of a batch: a worker fills it and passes it to Enqueue, which never waits. One goroutine, the sender, takes
// batches in order and passes their messages to franz-go, limited to a part of the queue's bytes at a time; the
// messages point into the batch's memory. When franz-go has finished the last of them, the batch is emptied, and a
// worker gets it from Batch. Failed messages are retried until the delivery timeout; then they go to disk, or are lost
// and counted.
//
// Without failures a message is stored once: the idempotent producer numbers messages, and brokers recognize a repeated
// one. A message may be stored twice if it went to disk although a broker had stored it without acknowledging it: this
// happens if the collector is stopped or crashes while the broker is unreachable.
package kafka

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
)

// Producer delivers batches in the background. It is safe for concurrent use.
type Producer struct {
	options  Options
	log      producerLog
	counters counters
	queue    queue
	free     chan *message.Batch

	wake      chan struct{} // the sender has something to do
	closing   atomic.Bool   // no more batches will come
	aborting  atomic.Bool   // and nothing is waited for
	ended     chan struct{} // closed when the sender has ended
	finished  finished
	connected connection
	trouble   trouble
}

// maxFree is how many empty batches are kept for workers.
const maxFree = 16

// NewProducer starts a producer. It fails if the options cannot work, such as a certificate that cannot be read. It
// waits for brokers that do not respond.
func NewProducer(o Options) (*Producer, error) {
	o = o.withDefaults()
	p := &Producer{
		options: o,
		log:     producerLog{log: o.Log, topic: o.Topic},
		queue:   queue{limit: o.QueueBytes},
		free:    make(chan *message.Batch, maxFree),
		wake:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	s := newSender(p)
	var err error
	if s.client, err = p.newClient(s.maxBatch); err != nil {
		return nil, err
	}
	go s.run()
	return p, nil
}

func (p *Producer) newClient(maxBatchBytes int) (*kgo.Client, error) {
	return p.options.newClient(maxBatchBytes, kgo.WithHooks(p), kgo.WithLogger(clientLog{p}))
}

// Batch returns an empty batch to fill.
func (p *Producer) Batch() *message.Batch {
	select {
	case b := <-p.free:
		return b
	default:
		return &message.Batch{}
	}
}

// recycle receives a batch that nobody reads any more.
func (p *Producer) recycle(b *message.Batch) {
	b.Reset()
	select {
	case p.free <- b:
	default: // enough are kept
	}
}

// Enqueue passes a batch to the Producer and returns immediately. If the queue is full, the oldest waiting batches are
// lost and counted, of those that are Apart or of the others, whichever take more; after Close the batch itself is.
// With a spool, batches that fill more than half of the queue are moved to disk in the background.
func (p *Producer) Enqueue(b *message.Batch) {
	n := count(b)
	p.options.Book.Take(b.Tally.Shares())
	p.counters.update(func(s *Stats) {
		s.Enqueued.add(n)
		s.Queued.add(n)
	})
	lost, reason := p.queue.push(b)
	for _, old := range lost {
		p.lose(old, reason, nil)
	}
	p.kick()
}

// Pressed reports whether there may soon be no room for batches. From then on some should be Apart.
func (p *Producer) Pressed() bool {
	return sink.Pressed(float64(p.queue.used.Load())/float64(p.options.QueueBytes), p.options.Spool)
}

// lose is the only place where a whole enqueued batch is lost.
func (p *Producer) lose(b *message.Batch, reason sink.Reason, err error) {
	n := count(b)
	p.counters.lost(n, reason)
	p.options.Book.Lose(b.Tally.Shares(), false, string(reason))
	p.counters.unqueue(n)
	p.log.lost(n, reason, err)
	p.recycle(b)
}

// kick makes the sender look again.
func (p *Producer) kick() {
	select {
	case p.wake <- struct{}{}:
	default: // it is already awake
	}
}

// Close stops accepting batches and waits until the waiting ones are delivered or ctx ends. The rest is lost, and the
// error says how much. With a spool the rest goes to disk instead, immediately if the brokers do not respond; what is
// on disk stays there.
func (p *Producer) Close(ctx context.Context) error {
	p.queue.close()
	p.closing.Store(true)
	p.kick()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.aborting.Store(true)
		p.kick()
		<-p.ended
	}
	s := p.Stats()
	if l := s.Lost[sink.Shutdown]; l.Messages > 0 {
		return fmt.Errorf("close Kafka producer: %d messages were not delivered; last error: %v", l.Messages,
			s.LastError)
	}
	return nil
}

// connection is the result of the client's latest attempt to connect.
type connection struct {
	mu       sync.Mutex
	failure  error // nil: it succeeded
	failedAt time.Time
}

// OnBrokerConnect is called by franz-go with the result of each attempt to connect, including the login.
func (p *Producer) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if p.aborting.Load() {
		return // cancelled by ourselves
	}
	err = p.options.explain(err)
	p.connected.mu.Lock()
	p.connected.failure, p.connected.failedAt = err, time.Now()
	p.connected.mu.Unlock()
	if err == nil {
		return
	}
	p.trouble.note(err)
	p.counters.failed(err)
	p.log.connectFailed(net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port)), err)
	p.kick() // nothing is waited for during Close
}

// unreachable returns why connecting failed, if nothing was delivered since; nil otherwise.
func (p *Producer) unreachable() error {
	p.connected.mu.Lock()
	failure, at := p.connected.failure, p.connected.failedAt
	p.connected.mu.Unlock()
	p.counters.mu.Lock()
	defer p.counters.mu.Unlock()
	if p.counters.stats.LastDelivery.After(at) {
		return nil
	}
	return failure
}

// count returns the messages of a batch and their bytes.
func count(b *message.Batch) Count {
	return Count{Messages: uint64(b.Len()), Bytes: uint64(size(b))}
}

// size returns the bytes of a batch's keys and messages.
func size(b *message.Batch) int64 { return int64(len(b.Data) + len(b.Keys)) }
