// Package kafka owns the conversation with Apache Kafka: it delivers batches of messages with franz-go, with retries,
// in bounded memory, and by way of the spool where that runs out. It knows nothing of what the messages hold.
//
// The life of a batch: a worker fills it and hands it to Enqueue, which never waits. One goroutine, the sender, takes
// batches in order and gives their messages to franz-go, no more than a part of the queue's bytes at a time; the
// messages point into the batch's memory. When franz-go is done with the last of them the batch is empty again and a
// worker gets it from Batch. What failed is tried again until the delivery timeout, and then goes to disk or is lost
// and counted.
//
// Without failures a message is stored once: the idempotent producer numbers messages, and brokers know a repeated one.
// A message may be stored twice when it went to disk though a broker had stored it without saying so: the collector was
// stopped or crashed while the broker was away.
package kafka

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink/message"
)

// Producer delivers batches in the background. It is safe for concurrent use.
type Producer struct {
	options  Options
	log      producerLog
	counters counters
	queue    queue
	free     chan *message.Batch

	wake      chan struct{} // the sender has something to look at
	closing   atomic.Bool   // nothing comes any more
	aborting  atomic.Bool   // and nothing is waited for
	ended     chan struct{} // the sender has
	finished  finished
	connected connection
	trouble   trouble
}

// maxFree is how many empty batches are kept for workers.
const maxFree = 16

// NewProducer starts a producer. It fails for options that cannot work, such as a certificate that cannot be read;
// brokers that do not answer are waited for.
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

// recycle takes back a batch that nobody reads any more.
func (p *Producer) recycle(b *message.Batch) {
	b.Reset()
	select {
	case p.free <- b:
	default: // enough are kept
	}
}

// Enqueue hands a batch over and returns at once. Where the queue is full the oldest waiting batches are lost for it,
// and counted; after Close the batch itself is. With a spool what fills the queue by more than half goes to disk in the
// background.
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

// lose is the one place where a whole batch that was enqueued is lost.
func (p *Producer) lose(b *message.Batch, reason Reason, err error) {
	n := count(b)
	p.counters.lost(n, reason)
	p.options.Book.Lose(b.Tally.Shares(), false, string(reason))
	p.counters.unqueue(n)
	p.log.lost(n, reason, err)
	p.recycle(b)
}

// kick has the sender look again.
func (p *Producer) kick() {
	select {
	case p.wake <- struct{}{}:
	default: // it will
	}
}

// Close stops taking batches and waits until those that wait are delivered or ctx ends. What is left then is lost, and
// the error says how much. With a spool it goes there instead, at once where the brokers do not answer; what is on disk
// stays there.
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
	if l := s.Lost[Shutdown]; l.Messages > 0 {
		return fmt.Errorf("close Kafka producer: %d messages were not delivered; last error: %v", l.Messages,
			s.LastError)
	}
	return nil
}

// connection is what the client's latest attempt to connect came to.
type connection struct {
	mu       sync.Mutex
	failure  error // nil: it succeeded
	failedAt time.Time
}

// OnBrokerConnect is called by franz-go with the outcome of each attempt to connect, credentials and all.
func (p *Producer) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if p.aborting.Load() {
		return // our own doing
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
	p.kick() // nothing is waited for where it is to be closed
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

// count is the messages of a batch and their bytes.
func count(b *message.Batch) Count {
	return Count{Messages: uint64(b.Len()), Bytes: uint64(size(b))}
}

// size is the bytes of a batch's keys and messages.
func size(b *message.Batch) int64 { return int64(len(b.Data) + len(b.Keys)) }
