package clickhouse

import (
	"context"
	"fmt"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/sqltext"
	"github.com/metranova/flow-collector/sink/tally"
)

// Insert is one encoded block on its way to a table. The Writer owns it from Enqueue on.
type Insert struct {
	// Query is the INSERT statement up to and without FORMAT, as InsertQuery makes it.
	Query string
	// Token names the block: two inserts with the same token are stored once. Empty: no deduplication.
	Token string
	Rows  int
	Data  []byte // Native format, revision 0, without Fills
	Fills []native.Fill
	// Tally says which exporters the rows are of. nil: they are of none, and are not in the Book.
	Tally *tally.Tally

	shares    []tally.Share
	entry     *spool.Entry // where it came from, if it was on disk
	tried     bool         // it was sent, and may be stored
	at        string       // by this one of several servers; "": by any, or none
	viewError error        // why a view will never take it; then it is stored without that view
}

// size is how many bytes are sent.
func (ins *Insert) size() int { return ins.packed().Size() }

func (ins *Insert) packed() native.Packed { return native.Packed{Data: ins.Data, Fills: ins.Fills} }

// whole is what is sent, in one piece.
func (ins *Insert) whole() []byte {
	if len(ins.Fills) == 0 {
		return ins.Data
	}
	return ins.packed().Expand(nil)
}

// WriterOptions bound a Writer. The zero value has the defaults.
type WriterOptions struct {
	// QueueBytes is how much data may wait and be on its way together. 0: 256 MiB.
	QueueBytes int64
	// Inserters is how many inserts run at a time. 0: 2.
	Inserters int
	// InsertTimeout is how long one attempt may take. 0: 2 minutes.
	InsertTimeout time.Duration
	// RetryMin and RetryMax bound the wait between attempts, which doubles and has jitter. 0: 500 ms, 10 s.
	RetryMin, RetryMax time.Duration
	// ConfigurationRetry is the wait after a failure that somebody has to mend. 0: 30 s.
	ConfigurationRetry time.Duration
	// UnknownAttempts is how often an insert is tried that fails with an error of no known class, where there is no
	// Spool that it can wait in. 0: 10.
	UnknownAttempts int
	// Ready is closed when the tables are there; until then inserts wait. nil: they are.
	Ready <-chan struct{}
	// Spool, if not nil, takes what would be lost for want of memory or time, and what was retried for SpoolAfter (0:
	// 10 seconds), and is emptied, oldest first, while the server takes inserts. Close the Writer before it. An insert
	// may be sent again after a crash, which its token makes harmless as long as the table's deduplication window knows
	// it.
	Spool      *spool.Spool
	SpoolAfter time.Duration
	// Book is where it is written down what becomes of rows, by exporter; the same as the spool's (Book.Keep). nil: one
	// of the Writer's own.
	Book *tally.Book
	// Attempted is told how long each attempt took, from several goroutines. nil: nobody.
	Attempted func(took time.Duration, err error)
	// Quarantine takes what the server refuses for good; nil: it is lost.
	Quarantine *quarantine.Quarantine
	// Window is how many tokens the tables remember, as far as is known: what a view has refused is not tried again
	// when others may have pushed its token out. 0: 10000, as ClickHouse has by default.
	Window uint
	// Replicated says that several servers have the same rows and know the same tokens.
	Replicated bool
	// Settings are sent with every insert, over the Writer's own.
	Settings map[string]any
	// Release takes back the memory of an insert that was delivered or lost, for reuse. It is called from several
	// goroutines. nil: the buffer is left to the garbage collector.
	Release func(native.Packed)
	// Log gets what goes wrong, once a minute at most for what repeats. nil: nobody.
	Log *zap.Logger
}

// Writer delivers inserts in the background. It is safe for concurrent use.
type Writer struct {
	conn     driver.Conn
	options  WriterOptions
	settings chgo.Settings
	counters counters
	queue    *queue
	log      writerLog
	health   health
	spooling *spooling // nil without a spool
	omitted  omitted   // settings that the server forbids

	stop      context.CancelFunc // ends attempts and waits that are under way
	closing   chan struct{}      // closed by Close: with a spool nothing is worth a wait any more
	closeOnce sync.Once
	done      sync.WaitGroup // the inserters
	moving    sync.WaitGroup // spooling.move
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
		log:      writerLog{log: o.Log, now: time.Now},
		health:   health{patience: o.SpoolAfter},
		stop:     stop,
		closing:  make(chan struct{}),
	}
	w.spooling = newSpooling(w)
	for name, value := range insertSettings {
		w.settings[name] = value
	}
	for name, value := range o.Settings {
		w.settings[name] = value
	}
	if w.spooling != nil {
		w.moving.Go(func() { w.spooling.move(ctx) })
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
	o.RetryMax = orDefault(o.RetryMax, 10*time.Second)
	o.ConfigurationRetry = orDefault(o.ConfigurationRetry, 30*time.Second)
	o.UnknownAttempts = orDefault(o.UnknownAttempts, 10)
	o.SpoolAfter = orDefault(o.SpoolAfter, 10*time.Second)
	if o.Book == nil {
		o.Book = &tally.Book{}
	}
	o.Window = orDefault(o.Window, 10_000)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Enqueue hands an insert over and returns at once. Where the queue is full the oldest waiting inserts are lost for it,
// and counted; after Close the insert itself is. With a spool what fills the queue by more than half goes to disk in
// the background, so that only what is faster than the disk is lost; after Close the insert goes there at once.
func (w *Writer) Enqueue(ins *Insert) {
	ins.shares = ins.Tally.Shares()
	w.options.Book.Take(ins.shares)
	lost, reason := w.queue.push(ins)
	for _, old := range lost {
		if reason == QueueFull {
			w.giveUp(old, reason, nil) // the disk is too slow, and the caller must not wait for it
			continue
		}
		w.lose(old, reason, nil)
	}
	w.spooling.kick()
}

// Rest takes no more inserts from the spool: they stay there for the next start. It reports whether none from there is
// under way any more, so that the counters say what became of each.
func (w *Writer) Rest() bool { return w.spooling.rest() }

// Close stops taking inserts and waits until those that wait are delivered or ctx ends. What is left then is lost, and
// the error says how much. With a spool it goes there instead, as does what fails meanwhile; Close waits for the disk,
// and what is on disk stays there.
func (w *Writer) Close(ctx context.Context) error {
	w.queue.close()
	w.closeOnce.Do(func() { close(w.closing) })
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
	w.moving.Wait()
	for _, ins := range w.queue.takeAll() {
		w.lose(ins, Shutdown, ctx.Err())
	}
	if l := w.counters.lossOf(Shutdown); l.Inserts > 0 {
		return fmt.Errorf("close ClickHouse writer: %d inserts with %d rows were not delivered; last error: %v",
			l.Inserts, l.Rows, w.counters.lastError())
	}
	return nil
}

// Down reports whether no insert went in for a while (SpoolAfter) though some were tried.
func (w *Writer) Down() bool { return w.health.isDown() }

// lose gives an insert up, or to the spool where there is one: the same bytes with the same token can be delivered
// later. What the server will never take does not go there.
func (w *Writer) lose(ins *Insert, reason Reason, err error) {
	if reason == Shutdown && w.spooling.put(ins) {
		return
	}
	w.giveUp(ins, reason, err)
}

// giveUp is the one place where an insert is lost.
func (w *Writer) giveUp(ins *Insert, reason Reason, err error) {
	// first: what only the counters have is of no exporter
	w.options.Book.Lose(ins.shares, ins.entry != nil, string(reason))
	w.counters.lost(ins, reason)
	w.log.lost(ins, reason, err)
	w.release(ins)
}

func (w *Writer) release(ins *Insert) {
	memory := ins.packed()
	ins.Data, ins.Fills = nil, nil
	if w.options.Release != nil && memory.Data != nil {
		w.options.Release(memory)
	}
}

// InsertByName renders the statement for Insert.Query of blocks whose columns are matched by their names. Columns of
// the block that the table does not have are left out, and columns that only the table has get their defaults: so rows
// also go into a table that was made by an older version or by hand, where the user may not add columns.
func InsertByName(database, table string) string {
	return "INSERT INTO " + qualified(database, table) + skipUnknownFields
}

// skipUnknownFields ends the statement of InsertByName.
const skipUnknownFields = " SETTINGS input_format_skip_unknown_fields = 1"

func qualified(database, table string) string {
	if database == "" {
		return sqltext.Name(table)
	}
	return sqltext.Name(database) + "." + sqltext.Name(table)
}

// InsertQuery renders the statement for Insert.Query of blocks that have just these columns.
func InsertQuery(database, table string, columns []string) string {
	query := "INSERT INTO " + qualified(database, table) + " ("
	for i, c := range columns {
		if i > 0 {
			query += ", "
		}
		query += sqltext.Name(c)
	}
	return query + ")"
}
