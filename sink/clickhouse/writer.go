package clickhouse

import (
	"context"
	"fmt"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

// Insert is one encoded block on its way to a table. The Writer owns it from Enqueue on.
type Insert struct {
	// Query is the INSERT statement up to and without FORMAT, as InsertQuery makes it.
	Query string
	// Token names the block: two inserts with the same token are stored once. Empty: no deduplication.
	Token string
	Rows  int
	Data  []byte // Native format, revision 0
}

// WriterOptions bound a Writer. The zero value has the defaults.
type WriterOptions struct {
	// QueueBytes is how much data may wait and be on its way together. 0: 256 MiB.
	QueueBytes int64
	// Inserters is how many inserts run at a time. 0: 2.
	Inserters int
	// InsertTimeout is how long one attempt may take. 0: 2 minutes.
	InsertTimeout time.Duration
	// RetryMin and RetryMax bound the wait between attempts, which doubles and has jitter. 0: 500 ms, 30 s.
	RetryMin, RetryMax time.Duration
	// ConfigurationRetry is the wait after a failure that somebody has to mend. 0: 30 s.
	ConfigurationRetry time.Duration
	// UnknownAttempts is how often an insert is tried that fails with an error of no known class. 0: 10.
	UnknownAttempts int
	// Ready is closed when the tables are there; until then inserts wait. nil: they are.
	Ready <-chan struct{}
	// Settings are sent with every insert, over the Writer's own.
	Settings map[string]any
	// Release takes back the Data of an insert that was delivered or lost, for reuse. It is called from several
	// goroutines. nil: the buffer is left to the garbage collector.
	Release func([]byte)
	// Log gets what goes wrong, once a minute at most for what repeats. nil: nobody.
	Log *zap.Logger
}

// insertSettings go with every insert.
var insertSettings = chgo.Settings{
	// The server answers when the rows are stored, whatever its profile says.
	"async_insert": 0,
	// A retry is recognized by its token in the table and in the tables of its views.
	"insert_deduplicate": 1,
	"deduplicate_blocks_in_dependent_materialized_views": 1,
	// A router with a bad clock spreads its rows over many days; the whole block must not fail for it.
	"max_partitions_per_insert_block": 0,
}

// Writer delivers inserts in the background. It is safe for concurrent use.
type Writer struct {
	conn     driver.Conn
	options  WriterOptions
	settings chgo.Settings
	counters counters
	queue    *queue
	journal  journal

	stop context.CancelFunc // ends attempts and waits that are under way
	done sync.WaitGroup
}

// NewWriter starts the inserters. Close ends them.
func NewWriter(conn driver.Conn, o WriterOptions) *Writer {
	o = o.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{
		conn:     conn,
		options:  o,
		settings: chgo.Settings{},
		queue:    newQueue(o.QueueBytes),
		journal:  newJournal(o.Log),
		stop:     stop,
	}
	for name, value := range insertSettings {
		w.settings[name] = value
	}
	for name, value := range o.Settings {
		w.settings[name] = value
	}
	for range o.Inserters {
		w.done.Go(func() { w.deliver(ctx) })
	}
	return w
}

func (o WriterOptions) withDefaults() WriterOptions {
	o.QueueBytes = orDefault(o.QueueBytes, 256<<20)
	o.Inserters = orDefault(o.Inserters, 2)
	o.InsertTimeout = orDefault(o.InsertTimeout, 2*time.Minute)
	o.RetryMin = orDefault(o.RetryMin, 500*time.Millisecond)
	o.RetryMax = orDefault(o.RetryMax, 30*time.Second)
	o.ConfigurationRetry = orDefault(o.ConfigurationRetry, 30*time.Second)
	o.UnknownAttempts = orDefault(o.UnknownAttempts, 10)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Enqueue hands an insert over and returns at once. Where the queue is full the oldest waiting inserts are lost
// for it, and counted; after Close the insert itself is.
func (w *Writer) Enqueue(ins *Insert) {
	lost, reason := w.queue.push(ins)
	for _, old := range lost {
		w.lose(old, reason, nil)
	}
}

// Close stops taking inserts and waits until those that wait are delivered or ctx ends. What is left then is
// lost, and the error says how much.
func (w *Writer) Close(ctx context.Context) error {
	w.queue.close()
	if inserts, bytes := w.queue.size(); inserts == 0 && bytes == 0 {
		w.stop() // nobody need wait for Ready
	}
	drained := make(chan struct{})
	go func() {
		w.done.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		w.stop()
		<-drained
	}
	w.stop()
	for _, ins := range w.queue.takeAll() {
		w.lose(ins, Shutdown, ctx.Err())
	}
	if l := w.counters.lossOf(Shutdown); l.Inserts > 0 {
		return fmt.Errorf("close ClickHouse writer: %d inserts with %d rows were not delivered; last error: %v", l.Inserts, l.Rows, w.counters.lastError())
	}
	return nil
}

// deliver is one inserter: it takes inserts in order until the queue is closed and empty.
func (w *Writer) deliver(ctx context.Context) {
	if w.options.Ready != nil {
		select {
		case <-w.options.Ready:
		case <-ctx.Done():
			return // Close takes what waits
		}
	}
	for {
		ins, ok := w.queue.take()
		if !ok || ctx.Err() != nil {
			if ok {
				w.finish(ins)
				w.lose(ins, Shutdown, nil)
			}
			return
		}
		reason, err := w.deliverOne(ctx, ins)
		w.finish(ins)
		if reason != "" {
			w.lose(ins, reason, err)
			continue
		}
		w.counters.delivered(ins)
		w.release(ins)
	}
}

// finish frees the insert's share of the queue's bytes.
func (w *Writer) finish(ins *Insert) { w.queue.done(len(ins.Data)) }

// deliverOne tries until the insert is stored (no reason) or has to be given up.
func (w *Writer) deliverOne(ctx context.Context, ins *Insert) (Reason, error) {
	wait := &backoff.ExponentialBackOff{
		InitialInterval: w.options.RetryMin, MaxInterval: w.options.RetryMax,
		RandomizationFactor: 0.5, Multiplier: 2,
	}
	wait.Reset()
	for unknown := 0; ; {
		err := w.attempt(ctx, ins)
		if err == nil {
			w.journal.delivered()
			return "", nil
		}
		if ctx.Err() != nil {
			return Shutdown, err // our own doing, at Close
		}
		w.counters.failed(err)
		class := Classify(err)
		w.journal.failed(class, ins, err)
		if class == Unknown {
			unknown++
		}
		if class == Permanent || unknown >= w.options.UnknownAttempts {
			return lossReason(class), err
		}
		pause := wait.NextBackOff()
		if class == Configuration {
			pause = w.options.ConfigurationRetry
		}
		w.counters.retried(ins)
		if !sleep(ctx, pause) {
			return Shutdown, err
		}
	}
}

// attempt sends the insert once.
func (w *Writer) attempt(ctx context.Context, ins *Insert) error {
	ctx, cancel := context.WithTimeout(ctx, w.options.InsertTimeout)
	defer cancel()
	settings := make(chgo.Settings, len(w.settings)+1)
	for name, value := range w.settings {
		settings[name] = value
	}
	if ins.Token != "" {
		settings["insert_deduplication_token"] = ins.Token
	}
	body := newBody(ins.Data)
	defer func() { _ = body.Close() }()
	if err := w.conn.InsertFormat(chgo.Context(ctx, chgo.WithSettings(settings)), "Native", ins.Query, body); err != nil {
		return cause(err)
	}
	return nil
}

// lose is the one place where an insert is given up. A spool takes it here instead, for every reason but
// Rejected: the same bytes with the same token can be delivered later.
func (w *Writer) lose(ins *Insert, reason Reason, err error) {
	w.counters.lost(ins, reason)
	w.journal.lost(ins, reason, err)
	w.release(ins)
}

func (w *Writer) release(ins *Insert) {
	data := ins.Data
	ins.Data = nil
	if w.options.Release != nil && data != nil {
		w.options.Release(data)
	}
}

// sleep waits and reports whether the wait was not cut short.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// InsertQuery renders the statement for Insert.Query.
func InsertQuery(database, table string, columns []string) string {
	query := "INSERT INTO "
	if database != "" {
		query += quoteIdent(database) + "."
	}
	query += quoteIdent(table) + " ("
	for i, c := range columns {
		if i > 0 {
			query += ", "
		}
		query += quoteIdent(c)
	}
	return query + ")"
}
