package kafka

import (
	"maps"
	"sync"
	"time"

	"github.com/metranova/flow-collector/sink/spool"
)

// Reason says why messages were lost.
type Reason string

// The reasons for which messages are lost.
const (
	// QueueFull messages were the oldest waiting when memory ran out.
	QueueFull Reason = "queue_full"
	// TooLarge messages are larger than the broker or max_batch_bytes allows, Rejected ones are malformed, says the
	// broker.
	TooLarge Reason = "too_large"
	Rejected Reason = "rejected"
	// Undelivered messages were tried until the delivery timeout and there was no spool, or it did not take them.
	Undelivered Reason = "undelivered"
	// Shutdown messages were not delivered before Close had to return, or came after it.
	Shutdown Reason = "shutdown"
	// SpoolFull messages were the oldest on disk when the spool was full, SpoolAge messages were there for too long,
	// and SpoolDamaged messages did not come back from there as they were. They may be of an earlier run.
	SpoolFull    Reason = "spool_full"
	SpoolAge     Reason = "spool_age"
	SpoolDamaged Reason = "spool_damaged"
)

// Reasons lists the reasons.
func Reasons() []Reason {
	return []Reason{QueueFull, TooLarge, Rejected, Undelivered, Shutdown, SpoolFull, SpoolAge, SpoolDamaged}
}

// Count is a number of messages and the bytes of their keys and values.
type Count struct {
	Messages, Bytes uint64
}

func (c *Count) add(d Count) {
	c.Messages += d.Messages
	c.Bytes += d.Bytes
}

// Stats are a Producer's counters at one moment, since it was made. Enqueued and Spool.Found together are Delivered,
// Lost, Queued and Spool.Waiting.
type Stats struct {
	Enqueued  Count
	Delivered Count
	// Spooled went to disk instead of being lost or retried on. FromSpool is what of Delivered came from there, from
	// this run or an earlier one.
	Spooled, FromSpool Count
	// Retried counts messages that failed and were tried again by us, beside what the client does itself.
	Retried Count
	Lost    map[Reason]Count
	// Queued wait or are on their way.
	Queued Count
	// LastError is the latest failure, LastErrorTime its time; zero if there was none.
	LastError     error
	LastErrorTime time.Time
	// LastDelivery is when messages were last acknowledged; zero if none were.
	LastDelivery time.Time
	// Spool are the spool's own counters, whose rows are messages; zero without one.
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
		s.Lost = map[Reason]Count{}
	}
	for reason, count := range map[Reason]spool.Count{
		SpoolFull: s.Spool.DroppedFull, SpoolAge: s.Spool.DroppedAge, SpoolDamaged: s.Spool.Unreadable,
	} {
		if count.Entries > 0 {
			lost := s.Lost[reason]
			lost.add(Count{Messages: count.Rows, Bytes: count.Bytes})
			s.Lost[reason] = lost
		}
	}
	return s
}

// counters are touched once per batch and failure, so a lock is cheap enough.
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

func (c *counters) lost(n Count, reason Reason) {
	c.update(func(s *Stats) {
		if s.Lost == nil {
			s.Lost = map[Reason]Count{}
		}
		count := s.Lost[reason]
		count.add(n)
		s.Lost[reason] = count
	})
}

// unqueue takes messages that were enqueued out of those that wait or are on their way.
func (c *counters) unqueue(n Count) {
	c.update(func(s *Stats) {
		s.Queued.Messages -= n.Messages
		s.Queued.Bytes -= n.Bytes
	})
}
