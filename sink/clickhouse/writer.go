package clickhouse

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/sqltext"
	"github.com/metranova/flow-collector/sink/tally"
)

// Insert is one encoded block for a table. The Writer owns it from Enqueue on.
type Insert struct {
	// Query is the INSERT statement without FORMAT, as InsertQuery returns it.
	Query string
	// Token identifies the block: of two inserts with the same token one is stored. "": no deduplication.
	Token string
	Rows  int
	Data  []byte // Native format, revision 0, without the Fills
	Fills []native.Fill
	// Tally says which exporters the rows are of. nil: of none; they are not in the Book.
	Tally *tally.Tally
	// Apart says that the rows are of sources that take more than their part: see sink.Apart.
	Apart bool

	shares    []tally.Share
	entry     *spool.Entry // its entry, if it was on disk
	tried     bool         // it was sent, and may be stored
	at        string       // the one of several servers that may have stored it; "": any, or none
	viewError error        // why a view will never accept it; then it is stored without that view

	queued time.Time       // when it came into the queue
	more   []native.Packed // blocks after Data, of inserts that were joined to it
}

// blocks calls each for every block of the insert, in order.
func (ins *Insert) blocks(each func(native.Packed)) {
	each(native.Packed{Data: ins.Data, Fills: ins.Fills})
	for _, block := range ins.more {
		each(block)
	}
}

// isOnDisk reports whether the data is on disk alone.
func (ins *Insert) isOnDisk() bool { return ins.Data == nil && ins.entry != nil }

// load reads what is on disk alone.
func (ins *Insert) load() error {
	if !ins.isOnDisk() {
		return nil
	}
	err := ins.entry.Load()
	ins.Data = ins.entry.Data
	return err
}

// open reads what is sent: the blocks one after the other, which the format allows.
func (ins *Insert) open() (io.ReadCloser, error) {
	if ins.isOnDisk() {
		return ins.entry.Open()
	}
	var sources []io.Reader
	ins.blocks(func(block native.Packed) {
		source := native.NewSource(block)
		sources = append(sources, &source)
	})
	return io.NopCloser(io.MultiReader(sources...)), nil
}

// size returns how many bytes are sent.
func (ins *Insert) size() (n int) {
	if ins.isOnDisk() {
		return ins.entry.Size
	}
	ins.blocks(func(block native.Packed) { n += block.Size() })
	return n
}

// memory returns how many bytes the insert takes in memory until it is released: its data may be in a larger buffer.
func (ins *Insert) memory() (n int64) {
	ins.blocks(func(block native.Packed) { n += int64(cap(block.Data)) })
	return n
}

// whole returns what is sent. What is on disk alone must be loaded before.
func (ins *Insert) whole() (all []byte) {
	if len(ins.Fills) == 0 && len(ins.more) == 0 {
		return ins.Data
	}
	all = make([]byte, 0, ins.size())
	ins.blocks(func(block native.Packed) { all = block.Expand(all) })
	return all
}

// WriterOptions configure a Writer. The zero value has the defaults.
type WriterOptions struct {
	// QueueBytes limits the data that is waiting and in transit. 0: 64 MiB.
	QueueBytes int64
	// Inserters is how many inserts run at a time. 0: 2.
	Inserters int
	// JoinBytes limits how much of what waits is sent in one insert: the server takes some four times that in memory.
	// 0: a quarter of QueueBytes.
	JoinBytes int
	// JoinPatience is how long an insert waits for another one that is on its way, to be joined with the next. 0: 4
	// seconds.
	JoinPatience time.Duration
	// InsertTimeout is the time limit of one attempt. 0: 2 minutes.
	InsertTimeout time.Duration
	// RetryMin and RetryMax are the limits of the wait between attempts, which doubles and has jitter. 0: 500 ms, 10 s.
	RetryMin, RetryMax time.Duration
	// ConfigurationRetry is the wait after a failure that somebody has to fix. 0: 30 s.
	ConfigurationRetry time.Duration
	// UnknownAttempts is how often an insert is tried that fails with an error of no known class, if there is no Spool
	// where it can wait. 0: 10.
	UnknownAttempts int
	// Ready is closed when the tables exist; until then inserts wait. nil: they exist.
	Ready <-chan struct{}
	// Spool, if not nil, receives inserts that would otherwise be lost for lack of memory or time, and those that were
	// retried for SpoolAfter (0: 10 seconds). While the server accepts inserts it is emptied, oldest first. Close the
	// Writer before the Spool. After a crash an insert may be sent again. Its token makes this harmless while the
	// table's deduplication window still has it.
	Spool      *spool.Spool
	SpoolAfter time.Duration
	// Book records by exporter what happens to rows. It must be the same as the spool's (Book.Keep). nil: one of the
	// Writer's own.
	Book *tally.Book
	// Attempted is called after each attempt, from several goroutines. nil: not called.
	Attempted func(took time.Duration, err error)
	// Quarantine receives what the server refuses permanently; nil: it is lost.
	Quarantine *quarantine.Quarantine
	// Window is how many tokens the tables remember, as far as is known. An insert that a view has refused is not
	// repeated if its token may have been forgotten meanwhile. 0: 10000, ClickHouse's default.
	Window uint
	// Replicated says that the servers are replicas: they have the same rows and know the same tokens.
	Replicated bool
	// Settings are sent with every insert, in addition to the Writer's own.
	Settings map[string]any
	// Release receives the memory of an insert that was delivered or lost, for reuse. It is called from several
	// goroutines. nil: the memory is left to the garbage collector.
	Release func(native.Packed)
	// Log receives what goes wrong; repeated lines at most once a minute. nil: nothing is logged.
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
	omitted  omitted   // settings that the server does not let us change

	stop      context.CancelFunc // cancels running attempts and waits
	closing   chan struct{}      // closed by Close: with a spool there is nothing to wait for any more
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
		queue:    newQueue(o.QueueBytes, join{o.JoinBytes, o.JoinPatience}),
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
	o.QueueBytes = orDefault(o.QueueBytes, 64<<20)
	o.Inserters = orDefault(o.Inserters, 2)
	o.JoinBytes = orDefault(o.JoinBytes, int(o.QueueBytes/4))
	o.JoinPatience = orDefault(o.JoinPatience, 4*time.Second)
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

// Enqueue passes an insert to the Writer and returns immediately. If the queue is full, the oldest waiting inserts are
// lost and counted, of those that are Apart or of the others, whichever take more; after Close the insert itself is.
// With a spool, inserts that fill more than half of the queue are moved to disk in the background, so that data is
// lost only if it arrives faster than the disk writes; after Close an insert goes to disk immediately.
func (w *Writer) Enqueue(ins *Insert) {
	ins.shares = ins.Tally.Shares()
	w.options.Book.Take(ins.shares)
	lost, reason := w.queue.push(ins)
	for _, old := range lost {
		if reason == sink.QueueFull {
			w.giveUp(old, reason, nil) // the disk is too slow, and the caller must not wait for it
			continue
		}
		w.lose(old, reason, nil)
	}
	w.spooling.kick()
}

// Rest stops taking inserts from the spool: they stay there for the next start. It reports whether none of them is
// being delivered any more, so that the counters are final.
func (w *Writer) Rest() bool { return w.spooling.rest() }

// Close stops accepting inserts and waits until the waiting ones are delivered or ctx ends. The rest is lost, and the
// error says how much. With a spool the rest goes to disk instead, as do inserts that fail meanwhile; Close waits for
// the disk, and what is on disk stays there.
func (w *Writer) Close(ctx context.Context) error {
	w.queue.close()
	w.closeOnce.Do(func() { close(w.closing) })
	if inserts, bytes := w.queue.size(); inserts == 0 && bytes == 0 {
		w.stop() // nobody needs to wait for Ready
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
		w.lose(ins, sink.Shutdown, ctx.Err())
	}
	if l := w.counters.lossOf(sink.Shutdown); l.Inserts > 0 {
		return fmt.Errorf("close ClickHouse writer: %d inserts with %d rows were not delivered; last error: %v",
			l.Inserts, l.Rows, w.counters.lastError())
	}
	return nil
}

// Pressed reports whether there may soon be no room for inserts. From then on some should be Apart.
func (w *Writer) Pressed() bool {
	return sink.Pressed(float64(w.queue.used.Load())/float64(w.options.QueueBytes), w.options.Spool)
}

// Down reports whether all attempts of some time (SpoolAfter) have failed.
func (w *Writer) Down() bool { return w.health.isDown() }

// lose gives up an insert or, if there is a spool, puts it there: the same bytes with the same token can be delivered
// later. Inserts that the server will never accept are not spooled.
func (w *Writer) lose(ins *Insert, reason sink.Reason, err error) {
	if reason == sink.Shutdown && w.spooling.put(ins) {
		return
	}
	w.giveUp(ins, reason, err)
}

// giveUp is the only place where an insert is lost.
func (w *Writer) giveUp(ins *Insert, reason sink.Reason, err error) {
	// first: whatever only the counters have would be of no exporter
	w.options.Book.Lose(ins.shares, ins.entry != nil, string(reason))
	w.counters.lost(ins, reason)
	w.log.lost(ins, reason, err)
	w.release(ins)
}

func (w *Writer) release(ins *Insert) {
	if w.options.Release != nil && ins.Data != nil {
		ins.blocks(w.options.Release)
	}
	ins.Data, ins.Fills, ins.more = nil, nil, nil
}

// InsertByName returns the statement (Insert.Query) for blocks whose columns are matched by name. Columns that the
// table lacks are ignored, and columns that the block lacks get their defaults. So rows can be stored in a table that
// was made by an older version or by hand, if the user may not add columns.
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

// InsertQuery returns the statement (Insert.Query) for blocks with exactly these columns.
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
