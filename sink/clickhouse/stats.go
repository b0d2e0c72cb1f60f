package clickhouse

import (
	"maps"
	"sync"
	"time"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
)

// ViewFailed is why an insert is in the quarantine that is stored in the table but not in one of its views.
const ViewFailed sink.Reason = "view_failed"

// Reasons lists the reasons.
func Reasons() []sink.Reason {
	return []sink.Reason{sink.QueueFull, sink.Rejected, sink.Unexplained, sink.Shutdown, sink.SpoolFull, sink.SpoolAge,
		sink.SpoolDamaged}
}

// Count is a number of inserts, with their rows and bytes.
type Count struct {
	Inserts, Rows, Bytes uint64
}

func (c *Count) add(ins *Insert) {
	c.Inserts++
	c.Rows += uint64(ins.Rows)
	c.Bytes += uint64(ins.size())
}

// Stats are a Writer's counters since it was made. The sum of enqueued inserts and Spool.Found is the sum of Delivered,
// Lost, Quarantined, queued inserts and Spool.Waiting; each Cut adds one insert.
type Stats struct {
	Delivered Count
	// Spooled went to disk instead of being lost or retried. FromSpool is the part of Delivered that came from disk,
	// from this run or an earlier one.
	Spooled, FromSpool Count
	// Retried counts attempts after which the insert was tried again.
	Retried Count
	Lost    map[sink.Reason]Count
	// Quarantined were refused permanently and wait for the operator: Rejected or Unexplained.
	Quarantined map[sink.Reason]Count
	// WithoutView is the part of Delivered that one of the table's views lacks, because it failed.
	WithoutView Count
	// Cut counts inserts that were split in two because the server refused them.
	Cut uint64
	// QueuedInserts are waiting; QueuedBytes are those of waiting inserts and of those in transit.
	QueuedInserts int
	QueuedBytes   int64
	// LastError is the latest failure of an attempt, LastErrorTime its time; zero if there was none.
	LastError     error
	LastErrorTime time.Time
	// LastDelivery is when an insert was last stored; zero if none was.
	LastDelivery time.Time
	// Spool has the spool's counters; zero without one.
	Spool spool.Stats
}

// Stats returns the counters.
func (w *Writer) Stats() Stats {
	s := w.counters.snapshot()
	s.QueuedInserts, s.QueuedBytes = w.queue.size()
	w.spooling.addTo(&s)
	return s
}

// counters are updated once for each insert and attempt, so a lock is cheap enough.
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

// deliveredInserts returns how many inserts were stored so far.
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

func (c *counters) quarantined(ins *Insert, reason sink.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addReason(&c.stats.Quarantined, reason, ins)
}

func addReason(m *map[sink.Reason]Count, reason sink.Reason, ins *Insert) {
	if *m == nil {
		*m = map[sink.Reason]Count{}
	}
	count := (*m)[reason]
	count.add(ins)
	(*m)[reason] = count
}

func (c *counters) lost(ins *Insert, reason sink.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addReason(&c.stats.Lost, reason, ins)
}

func (c *counters) lossOf(reason sink.Reason) Count {
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
