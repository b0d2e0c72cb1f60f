package kafka

import (
	"maps"
	"sync"
	"time"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
)

// Reasons lists the reasons.
func Reasons() []sink.Reason {
	return []sink.Reason{sink.QueueFull, sink.TooLarge, sink.Rejected, sink.Undelivered, sink.Shutdown, sink.SpoolFull,
		sink.SpoolAge, sink.SpoolDamaged}
}

// Count is a number of messages, with the bytes of their keys and values.
type Count struct {
	Messages, Bytes uint64
}

func (c *Count) add(d Count) {
	c.Messages += d.Messages
	c.Bytes += d.Bytes
}

// Stats are a Producer's counters since it was made. The sum of Enqueued and Spool.Found is the sum of Delivered, Lost,
// Queued and Spool.Waiting.
type Stats struct {
	Enqueued  Count
	Delivered Count
	// Spooled went to disk instead of being lost or retried. FromSpool is the part of Delivered that came from disk,
	// from this run or an earlier one.
	Spooled, FromSpool Count
	// Retried counts failed messages that we tried again, in addition to the client's own retries.
	Retried Count
	Lost    map[sink.Reason]Count
	// Queued are waiting or in transit.
	Queued Count
	// LastError is the latest failure, LastErrorTime its time; zero if there was none.
	LastError     error
	LastErrorTime time.Time
	// LastDelivery is when messages were last acknowledged; zero if none were.
	LastDelivery time.Time
	// Spool has the spool's counters, whose rows are messages; zero without one.
	Spool spool.Stats
}

// Stats returns the counters.
func (p *Producer) Stats() Stats {
	p.counters.mu.Lock()
	s := p.counters.stats
	s.Lost = maps.Clone(s.Lost)
	p.counters.mu.Unlock()
	if p.options.Spool == nil {
		return s
	}
	s.Spool = p.options.Spool.Stats()
	if s.Lost == nil {
		s.Lost = map[sink.Reason]Count{}
	}
	for reason, count := range sink.LostOnDisk(&s.Spool) {
		lost := s.Lost[reason]
		lost.add(Count{Messages: count.Rows, Bytes: count.Bytes})
		s.Lost[reason] = lost
	}
	return s
}

// counters are updated once for each batch and failure, so a lock is cheap enough.
type counters struct {
	mu    sync.Mutex
	stats Stats
}

// update changes the counters.
func (c *counters) update(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

func (c *counters) failed(err error) {
	c.update(func(s *Stats) { s.LastError, s.LastErrorTime = err, time.Now() })
}

func (c *counters) lost(n Count, reason sink.Reason) {
	c.update(func(s *Stats) {
		if s.Lost == nil {
			s.Lost = map[sink.Reason]Count{}
		}
		count := s.Lost[reason]
		count.add(n)
		s.Lost[reason] = count
	})
}

// unqueue subtracts enqueued messages from those that are waiting or in transit.
func (c *counters) unqueue(n Count) {
	c.update(func(s *Stats) {
		s.Queued.Messages -= n.Messages
		s.Queued.Bytes -= n.Bytes
	})
}
