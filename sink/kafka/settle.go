package kafka

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// outcome is the result of a flight's messages.
type outcome struct {
	delivered      Count
	lost, rejected Count      // too large; rejected permanently for another reason
	rest           []int      // messages that may be retried
	tooLarge, bad  []int      // those that are lost and rejected
	shrink         bool       // several of them together exceed the broker's limit
	class          sink.Class // of the failure of the rest
	err            error      // of the rest; without a rest, of the other failures
}

// settle handles a flight that has ended: it counts what was delivered and what never will be, and retries the rest.
func (s *sender) settle(f *flight) {
	all := f.batch.Len()
	o := s.sort(f)
	s.count(f, &o)
	if len(o.rest) == 0 {
		if o.delivered.Messages > 0 {
			s.succeed()
		}
		s.land(f)
		return
	}
	if o.shrink && !s.renew {
		s.shrink(o.err)
	}
	if errors.Is(o.err, kgo.ErrRecordTimeout) { // which does not say why there was not enough time
		if _, why := s.p.trouble.get(); why != nil {
			o.class, o.err = Classify(why), why
		}
	}
	if !o.shrink {
		s.fail(len(o.rest), o.class, o.err)
	}
	if f.entry != nil {
		s.settleOnDisk(f, &o, all)
		return
	}
	before := size(f.batch)
	if len(o.rest) < all {
		keep(f.batch, o.rest)
		s.p.queue.done(before - size(f.batch))
	}
	switch {
	case s.p.aborting.Load():
		s.giveUp(f.batch, sink.Shutdown, o.err)
		s.putAway(f)
	case !o.shrink && time.Since(f.began) >= s.p.options.DeliveryTimeout:
		s.down = true
		s.giveUp(f.batch, sink.Undelivered, o.err)
		s.putAway(f)
	default:
		s.again(f)
	}
}

// settleOnDisk gives an entry back to the spool, without the messages that need no retry.
func (s *sender) settleOnDisk(f *flight, o *outcome, all int) {
	disk := s.p.options.Spool
	if len(o.rest) < all {
		whole := f.batch.Tally
		keep(f.batch, o.rest)
		n := count(f.batch)
		err := disk.Put(entryOf(f.batch, f.topic))
		if err != nil { // delivering the whole entry again duplicates what was acknowledged, but loses nothing
			s.findAgain(o, whole)
			s.p.log.notSpooled(n, err)
			s.p.counters.update(func(stats *Stats) { stats.Retried.add(n) })
			disk.Return(f.entry, 0)
		} else {
			disk.Done(f.entry)
		}
	} else {
		disk.Return(f.entry, s.aside(f, o.class))
	}
	s.putAway(f)
}

// aside returns how long a failed entry of the spool must wait: if others are delivered, it must not block them.
func (s *sender) aside(f *flight, class sink.Class) time.Duration {
	s.p.counters.mu.Lock()
	defer s.p.counters.mu.Unlock()
	if class == sink.Configuration || s.p.counters.stats.LastDelivery.After(f.began) {
		return s.p.options.ConfigurationRetry
	}
	return 0
}

// sort sorts the messages of a flight by result.
func (s *sender) sort(f *flight) outcome {
	var o outcome
	if len(f.failed) == 0 {
		o.delivered = count(f.batch)
		return o
	}
	for i := range f.records {
		r := &f.records[i]
		n := Count{Messages: 1, Bytes: uint64(len(r.Value) + len(r.Key))}
		err := f.failed[r]
		class := sink.Retryable
		if err != nil {
			class = Classify(err)
		}
		switch {
		case err == nil:
			o.delivered.add(n)
		case errors.Is(err, kerr.MessageTooLarge) && !s.isTooLarge(n):
			o.rest, o.shrink = append(o.rest, i), true
			o.class, o.err = class, err
		case class == sink.Permanent:
			if errors.Is(err, kerr.MessageTooLarge) {
				o.lost.add(n)
				o.tooLarge = append(o.tooLarge, i)
			} else {
				o.rejected.add(n)
				o.bad = append(o.bad, i)
			}
			if len(o.rest) == 0 {
				o.class, o.err = class, err
			}
		default:
			o.rest = append(o.rest, i)
			o.class, o.err = class, err
		}
	}
	if o.class == sink.Retryable || o.class == sink.Configuration {
		o.shrink = false // one change at a time
	}
	return o
}

// isTooLarge reports whether a message that the broker refused for its size was alone in its batch: two like it do not
// fit.
func (s *sender) isTooLarge(n Count) bool {
	return int(n.Bytes)*2 > s.maxBatch || s.maxBatch <= leastBatchBytes
}

// shrink requests a client with a lower limit, until the broker accepts the batches. If that follows soon after
// growing, the next attempt to grow waits twice as long.
func (s *sender) shrink(err error) {
	now := time.Now()
	if s.growAfter == 0 {
		s.growAfter = s.p.options.GrowAfter
	} else if now.Sub(s.resized) < s.p.options.GrowAfter && s.grew {
		s.growAfter = min(2*s.growAfter, maxGrowAfter)
	}
	s.resized, s.grew = now, false
	s.maxBatch = max(s.maxBatch/2, leastBatchBytes)
	s.renew = true
	s.p.counters.failed(err)
	s.p.log.shrunk(s.maxBatch, err)
}

// grow doubles the limit again after a while without failures: a single message may have been too large, or the
// broker's limit may have changed.
func (s *sender) grow() {
	most := s.p.options.MaxBatchBytes
	if s.maxBatch >= most || s.renew || time.Since(s.resized) < s.growAfter {
		return
	}
	s.maxBatch = min(2*s.maxBatch, most)
	s.resized, s.grew, s.renew = time.Now(), true, true
	if s.maxBatch == most {
		s.p.log.grown(most)
	}
}

// count adds the outcome to the counters.
func (s *sender) count(f *flight, o *outcome) {
	c := &s.p.counters
	s.book(f, o)
	if o.delivered.Messages > 0 {
		s.p.trouble.over()
		c.update(func(stats *Stats) {
			stats.Delivered.add(o.delivered)
			stats.LastDelivery = time.Now()
			if f.entry != nil {
				stats.FromSpool.add(o.delivered)
			}
		})
	}
	for _, l := range []struct {
		n      Count
		reason sink.Reason
	}{{o.lost, sink.TooLarge}, {o.rejected, sink.Rejected}} {
		if l.n.Messages > 0 {
			c.failed(o.err)
			c.lost(l.n, l.reason)
			s.p.log.lost(l.n, l.reason, o.err)
		}
	}
	if f.entry != nil {
		return // it was not in the queue
	}
	done := o.delivered
	done.add(o.lost)
	done.add(o.rejected)
	c.unqueue(done)
	if len(o.rest) == 0 {
		s.p.queue.done(size(f.batch))
	}
}

// book records the outcome by exporter.
func (s *sender) book(f *flight, o *outcome) {
	book, t, fromDisk := s.p.options.Book, f.batch.Tally, f.entry != nil
	if t == nil {
		return
	}
	book.Lose(t.Select(o.tooLarge).Shares(), fromDisk, string(sink.TooLarge))
	book.Lose(t.Select(o.bad).Shares(), fromDisk, string(sink.Rejected))
	book.Deliver(o.stored(t).Shares(), fromDisk)
}

// stored returns the tally of the delivered messages.
func (o *outcome) stored(t *tally.Tally) *tally.Tally {
	others := slices.Sorted(slices.Values(slices.Concat(o.rest, o.tooLarge, o.bad)))
	if len(others) == 0 {
		return t
	}
	var stored []int
	for i := range int(t.Rows()) {
		if _, other := slices.BinarySearch(others, i); !other {
			stored = append(stored, i)
		}
	}
	return t.Select(stored)
}

// giveUp moves a batch of the queue to disk, or loses it.
func (s *sender) giveUp(b *message.Batch, reason sink.Reason, err error) {
	bytes := size(b)
	if !s.put(b) {
		s.p.lose(b, reason, err)
	}
	s.p.queue.done(bytes)
}

// findAgain books messages that came to an end but stay on disk.
func (s *sender) findAgain(o *outcome, t *tally.Tally) {
	if t == nil {
		return
	}
	for _, part := range []*tally.Tally{o.stored(t), t.Select(o.tooLarge), t.Select(o.bad)} {
		s.p.options.Book.Find(part.Shares())
	}
}

// entryOf returns a batch's entry for the spool.
func entryOf(b *message.Batch, topic string) spool.Entry {
	return spool.Entry{Query: topic, Rows: b.Len(), Data: encodeBatch(b), Note: b.Tally.Append(nil),
		Ref: b.Tally.Shares(), Apart: b.Apart}
}

// put writes a batch to disk and reports whether it succeeded; then the batch is finished.
func (s *sender) put(b *message.Batch) bool {
	disk := s.p.options.Spool
	if disk == nil {
		return false
	}
	n, shares, book := count(b), b.Tally.Shares(), s.p.options.Book
	book.ToDisk(shares)
	if err := disk.Put(entryOf(b, s.p.options.Topic)); err != nil {
		book.NotToDisk(shares)
		s.p.log.notSpooled(n, err)
		return false
	}
	book.Spooled(shares)
	s.p.counters.update(func(stats *Stats) { stats.Spooled.add(n) })
	s.p.counters.unqueue(n)
	s.p.log.spooled(n)
	s.p.recycle(b)
	return true
}

// moveToDisk moves the oldest waiting batches to disk: all of them while the brokers are down, else those that fill
// more than half of the queue.
func (s *sender) moveToDisk() {
	if s.p.options.Spool == nil {
		return
	}
	limit := s.p.options.QueueBytes / 2
	if s.down {
		limit = 0
	}
	for {
		b := s.p.queue.takeOver(limit)
		if b == nil {
			return
		}
		bytes := size(b)
		if !s.put(b) {
			s.p.queue.giveBack(b)
			return
		}
		s.p.queue.done(bytes)
	}
}
