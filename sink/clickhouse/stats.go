package clickhouse

import (
	"maps"
	"sync"
	"time"

	"github.com/metranova/flow-collector/sink/spool"
)

// Reason says why an insert was lost.
type Reason string

// The reasons for which inserts are lost.
const (
	// QueueFull inserts were the oldest waiting when memory ran out.
	QueueFull Reason = "queue_full"
	// Rejected inserts do not fit the table or are malformed, says the server.
	Rejected Reason = "rejected"
	// Unexplained inserts failed again and again with an error of no known class. Some of the rows may be stored.
	Unexplained Reason = "unexplained"
	// Shutdown inserts were not delivered before Close had to return, or came after it.
	Shutdown Reason = "shutdown"
	// SpoolFull inserts were the oldest on disk when the spool was full, SpoolAge inserts were there for too long, and
	// SpoolDamaged inserts did not come back from there as they were. They may be of an earlier run.
	SpoolFull    Reason = "spool_full"
	SpoolAge     Reason = "spool_age"
	SpoolDamaged Reason = "spool_damaged"
)

// ViewFailed is why inserts are in the quarantine that the table took and one of its views did not.
const ViewFailed Reason = "view_failed"

// Reasons lists the reasons.
func Reasons() []Reason {
	return []Reason{QueueFull, Rejected, Unexplained, Shutdown, SpoolFull, SpoolAge, SpoolDamaged}
}

// Count is a number of inserts and what they hold.
type Count struct {
	Inserts, Rows, Bytes uint64
}

func (c *Count) add(ins *Insert) {
	c.Inserts++
	c.Rows += uint64(ins.Rows)
	c.Bytes += uint64(ins.size())
}

// Stats are a Writer's counters at one moment, since it was made. What was enqueued and Spool.Found together are
// Delivered, Lost, Quarantined, queued and Spool.Waiting; of inserts each Cut makes one more.
type Stats struct {
	Delivered Count
	// Spooled went to disk instead of being lost or retried on. FromSpool is what of Delivered came from there, from
	// this run or an earlier one.
	Spooled, FromSpool Count
	// Retried counts attempts after which the insert was tried again.
	Retried Count
	Lost    map[Reason]Count
	// Quarantined were refused by the server for good and wait for the operator: Rejected or Unexplained.
	Quarantined map[Reason]Count
	// WithoutView is what of Delivered is in the table and not in one of its views, which failed.
	WithoutView Count
	// Cut counts inserts that were cut in two because the server refused them.
	Cut uint64
	// QueuedInserts wait; QueuedBytes are those of inserts that wait or are on their way.
	QueuedInserts int
	QueuedBytes   int64
	// LastError is the latest failure of an attempt, LastErrorTime its time; zero if there was none.
	LastError     error
	LastErrorTime time.Time
	// LastDelivery is when an insert was last stored; zero if none was.
	LastDelivery time.Time
	// Spool are the spool's own counters; zero without one.
	Spool spool.Stats
}

// Stats returns the counters.
func (w *Writer) Stats() Stats {
	s := w.counters.snapshot()
	s.QueuedInserts, s.QueuedBytes = w.queue.size()
	w.spooling.addTo(&s)
	return s
}

// counters are touched once per insert and attempt, so a lock is cheap enough.
type counters struct {
	mu    sync.Mutex
	stats Stats
}

func (c *counters) delivered(ins *Insert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Delivered.add(ins)
	if ins.entry != nil {
		c.stats.FromSpool.add(ins)
	}
	c.stats.LastDelivery = time.Now()
}

func (c *counters) spooled(ins *Insert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Spooled.add(ins)
}

func (c *counters) retried(ins *Insert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Retried.add(ins)
}

func (c *counters) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.LastError, c.stats.LastErrorTime = err, time.Now()
}

// deliveredInserts is how many were stored so far.
func (c *counters) deliveredInserts() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.Delivered.Inserts
}

func (c *counters) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Cut++
}

func (c *counters) withoutView(ins *Insert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.WithoutView.add(ins)
}

func (c *counters) quarantined(ins *Insert, reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addReason(&c.stats.Quarantined, reason, ins)
}

func addReason(m *map[Reason]Count, reason Reason, ins *Insert) {
	if *m == nil {
		*m = map[Reason]Count{}
	}
	count := (*m)[reason]
	count.add(ins)
	(*m)[reason] = count
}

func (c *counters) lost(ins *Insert, reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addReason(&c.stats.Lost, reason, ins)
}

func (c *counters) lossOf(reason Reason) Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.Lost[reason]
}

func (c *counters) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.LastError
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Lost, s.Quarantined = maps.Clone(s.Lost), maps.Clone(s.Quarantined)
	return s
}
