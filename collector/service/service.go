// Package service is the life of a running collector: it opens sockets, sinks and metadata, starts a worker for
// each core, reports every minute, reloads the configuration, and delivers what is left when it stops. Serve
// collects from sockets, Replay from captures.
package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/tally"
)

// service is everything behind the sockets: the store, the tables, the metadata and the way of a block to them.
type service struct {
	cfg       *config.Config
	version   string // of the program
	log       *zap.Logger
	store     *store.Supervisor // nil where rows go to a server
	spool     *spool.Spool      // nil: inserts wait in memory only
	books     books
	ledger    *ledger.Ledger
	metrics   *metrics.Metrics
	losses    *losses
	streams   *stream.Listener // nil: nothing comes over TCP
	listeners []*listen.Worker // none for captures
	server    clickhouse.Options
	settings  schema.Settings
	conn      driver.Conn
	writer    *clickhouse.Writer
	producer  *kafka.Producer // nil: nothing goes to Kafka
	tables    chan struct{}   // closed when the tables are there
	snapshot  atomic.Pointer[enrich.Snapshot]
	live      atomic.Pointer[pipeline.Settings] // what workers take from the configuration while they run
	flowTTL   atomic.Pointer[schema.TTL]        // of the table of flows, when it was last read
	refresh   *metadata.Refresher
	run       string             // names this run in deduplication tokens
	spare     chan native.Packed // memory for blocks
	templates *templateFile      // nil: they are not kept over a restart
	workers   []*pipeline.Worker
	started   time.Time

	kafkaSpool *spool.Spool         // where messages wait for Kafka; nil: in memory only
	forwarders []*forward.Forwarder // of the workers; none, or nil ones, where nothing is forwarded

	background sync.WaitGroup // refreshing metadata, making tables
	life       context.Context
	cancel     context.CancelFunc
}

// newService starts the local store, if rows go there, and the writer. Inserts wait until the tables are made, and on
// disk where there is a spool, which the service closes. The books are the spools'.
func newService(cfg *config.Config, version string, log *zap.Logger, disk *spool.Spool, books books) (*service, error) {
	run := make([]byte, 8)
	rand.Read(run)
	s := &service{
		cfg: cfg, version: version, log: log, started: time.Now(), spool: disk, books: books,
		tables: make(chan struct{}), run: hex.EncodeToString(run), spare: make(chan native.Packed, spareBuffers),
	}
	s.life, s.cancel = context.WithCancel(context.Background())
	s.live.Store(liveSettings(cfg))
	var err error
	// The store outlives every context of this process: blocks still go there while the rest ends.
	if s.store, err = setup.StartStore(context.Background(), cfg, log, true); err != nil {
		s.cancel()
		return nil, err
	}
	s.server = setup.ClickHouse(cfg)
	s.server.Switched = s.serverSwitched
	s.settings = setup.Tables(cfg, s.server)
	if s.conn, err = clickhouse.New(s.server); err != nil {
		s.abort()
		return nil, err
	}
	s.ledger = s.newLedger()
	s.metrics = s.newMetrics()
	s.writer = clickhouse.NewWriter(s.conn, clickhouse.WriterOptions{
		QueueBytes: int64(cfg.Batch.QueueBytes),
		Inserters:  cfg.Batch.Inserters,
		Ready:      s.tables,
		Spool:      disk,
		Book:       books.rows,
		Attempted:  func(took time.Duration, err error) { s.metrics.Inserted(clickHouseSink, took, err) },
		Quarantine: setup.Quarantine(cfg),
		Window:     cfg.Schema.DeduplicationWindow,
		Replicated: cfg.Schema.Replication.Enabled,
		Release:    s.keep,
		Log:        log.Named("clickhouse").With(zap.Strings("servers", s.server.Addrs)),
	})
	s.refresh = metadata.NewRefresher(metadata.RefresherOptions{
		Conn: s.conn, Settings: s.settings, Sources: metadata.Sources(setup.Sources(cfg)), Snapshot: &s.snapshot,
		File: filepath.Join(cfg.Metadata.CacheDir, "metadata.snapshot"), Interval: cfg.Metadata.Refresh,
		ForceUpdate: cfg.Metadata.ForceUpdate, Log: log.Named("metadata"),
	})
	if err := s.refresh.Start(); err != nil {
		s.abort()
		return nil, err
	}
	return s, nil
}

// abort closes what newService opened, after an error of the start: no row has come yet. The spools are left open.
func (s *service) abort() {
	s.cancel()
	if s.writer != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is waited for
		_ = s.writer.Close(ctx)
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.stopStore()
}

// makeTables creates the tables or brings them up to date, and lets inserts go.
func (s *service) makeTables(ctx context.Context) error {
	if err := clickhouse.CreateDatabase(ctx, s.server); err != nil {
		return err
	}
	if err := setup.MakeTables(ctx, s.conn, s.settings, s.log); err != nil {
		return err
	}
	close(s.tables)
	return nil
}

// serverSwitched makes the tables at another server of clickhouse.host, which is used from now on. Replicated ones are
// there.
func (s *service) serverSwitched(to string, why error) {
	s.log.Warn("another ClickHouse server is used from now on", zap.String("server", to),
		zap.NamedError("the other", lograte.OneLine(why)))
	if s.settings.Replication.Enabled || !isClosed(s.tables) || s.life.Err() != nil {
		return
	}
	go func() {
		o := s.server
		o.Addrs, o.Switched = []string{to}, nil
		conn, err := clickhouse.New(o)
		if err == nil {
			err = clickhouse.CreateDatabase(s.life, o)
		}
		if err == nil {
			err = errors.Join(setup.MakeTables(s.life, conn, s.settings, s.log), conn.Close())
		}
		if err != nil && s.life.Err() == nil {
			s.log.Error("the tables cannot be made there", zap.String("server", to), zap.Error(lograte.OneLine(err)))
		}
	}()
}

// start makes the tables and then keeps the metadata up to date, in the background: rows are collected meanwhile.
// A local store that cannot be started after all is one of the failures.
func (s *service) start(failed failures) {
	s.background.Go(func() {
		if err := s.waitForStore(s.life); err != nil {
			if s.life.Err() == nil {
				failed.add(err)
			}
			return
		}
		if s.keepMakingTables(s.life) != nil {
			return
		}
		s.refreshUntil(s.life)
	})
}

// waitForStore waits until the local store, if rows go there, has opened its tables.
func (s *service) waitForStore(ctx context.Context) error {
	if s.store == nil {
		return nil
	}
	return s.store.WaitOpen(ctx)
}

// refreshUntil keeps the metadata up to date until ctx ends, behind everything else that wants a core.
func (s *service) refreshUntil(ctx context.Context) {
	const nice = 10
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		s.log.Warn("metadata is refreshed at the same priority as everything else", zap.Error(err))
	}
	if err := s.refresh.Run(ctx); err != nil {
		s.log.Error("metadata is not refreshed any more", zap.Error(err))
	}
}

// keepMakingTables tries until it succeeds or ctx ends. Each failure is a line.
func (s *service) keepMakingTables(ctx context.Context) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, s.makeTables(ctx)
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 2, RandomizationFactor: 0.2,
	}), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		s.log.Error("rows are collected and wait", zap.Error(lograte.OneLine(err)),
			zap.Duration("next try in", wait.Round(time.Millisecond)))
	}))
	return err
}

// handover says how a worker's batches go to the sinks.
type handover struct {
	maxAge  time.Duration            // of a block's first row
	deliver func(*clickhouse.Insert) // takes blocks
	produce func(*message.Batch)     // takes messages; nil: the producer does
}

// newWorker returns the n-th worker: h says how its rows go to the sinks, o what else is special, and this the rest.
func (s *service) newWorker(n int, h handover, o pipeline.Options) *pipeline.Worker {
	options := setup.Decoder(s.cfg)
	options.Workers, options.NetFlow.FlowsOnly = s.cfg.Listen.DecoderCount(), true
	if !o.KeepTimes { // a capture is the operator's own
		options.NetFlow.Jumbo, options.SFlow.Jumbo = netflow.JumboFrame, netflow.JumboFrame
	}
	if s.templates != nil {
		options.NetFlow.Saved = s.templates.loaded
		o.Save, o.SaveEvery = func(state netflow.State) { s.templates.put(n, state) }, s.cfg.Decoder.SaveTemplates
	}
	var w *pipeline.Worker
	options.SFlow.Counters = func(c *flow.InterfaceCounters) { w.Counters(c) }
	o.Decoder = decoder.New(options)
	o.Enricher = enrich.New(enrich.Options{
		IPRefExtensions: s.settings.IPRefExtensions, WithoutLearned: !s.cfg.LearnedNames,
	})
	o.Settings = &s.live
	o.KeepTimes = len(s.listeners) == 0 // datagrams come from captures, which are the operator's own
	o.Snapshot = &s.snapshot
	if s.producer != nil {
		o.Sinks = append(o.Sinks, s.batches(h.produce))
	}
	if s.cfg.Server.Flows {
		o.Sinks = append(o.Sinks, s.blocks(n, h))
		o.Interfaces = decoder.Part(decoder.MaxInterfaces, s.cfg.Listen.DecoderCount())
	}
	w = pipeline.NewWorker(o)
	w.SetTTL(s.settings.FlowTTL.Duration())
	s.workers = append(s.workers, w)
	return w
}

// blocks make inserts of the n-th worker's rows.
func (s *service) blocks(n int, h handover) *clickhouse.Blocks {
	p := s.cfg.Policy
	return clickhouse.NewBlocks(clickhouse.BlocksOptions{
		Database: s.settings.Database, Table: s.settings.Tables.Flow, TrafficTable: s.settings.Tables.InterfaceTraffic,
		Layout: block.Layout{
			CollectorID:      s.cfg.CollectorID,
			PolicyOriginator: p.Originator,
			PolicyLevel:      p.Level,
			Extensions:       s.settings.FlowExtensions,
			IPRefExtensions:  s.settings.IPRefExtensions,
			WithoutColumns:   s.settings.WithoutColumns,
		},
		MaxRows: s.cfg.Batch.Rows, MaxAge: h.maxAge,
		TokenPrefix: fmt.Sprintf("%s-%d", s.run, n), // of no other worker, run or collector
		Deliver:     h.deliver, Buffer: s.buffer,
	})
}

// spareBuffers is how many encoded blocks' memory is kept for the next ones. More are in use while inserts wait, and
// given back.
const spareBuffers = 6

// buffer returns memory to pack a block into; keep takes it back once the block is stored or lost.
func (s *service) buffer() native.Packed {
	select {
	case memory := <-s.spare:
		return memory
	default:
		return native.Packed{}
	}
}

// keep leaves what other tables used, or came from disk, to the garbage collector: that has no fills, is of another
// size, and would take the place of what blocks need.
func (s *service) keep(memory native.Packed) {
	if memory.Fills == nil {
		return
	}
	select {
	case s.spare <- memory:
	default: // enough are kept
	}
}

// finish delivers what the workers handed over, within the grace period, and ends what runs. The workers must have
// ended.
func (s *service) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Batch.Grace)
	defer cancel()
	messages := make(chan error, 1)
	go func() { messages <- s.closeKafka(ctx) }() // neither sink waits for the other
	err := errors.Join(s.writer.Close(ctx), <-messages)
	if s.spool != nil {
		err = errors.Join(err, s.spool.Close())
	}
	s.cancel()
	s.background.Wait()
	if s.templates != nil {
		s.writeTemplates()
	}
	err = errors.Join(err, s.conn.Close())
	s.stopStore()
	return err
}

func (s *service) stopStore() {
	if s.store != nil {
		s.store.Stop()
	}
}

// keepTemplates reads the templates of the last run, and saves those of this one now and then.
func (s *service) keepTemplates() {
	every := s.cfg.Decoder.SaveTemplates
	if every <= 0 {
		return
	}
	s.templates = openTemplateFile(filepath.Join(s.cfg.Metadata.CacheDir, "templates.json"),
		s.cfg.Decoder.TemplateExpiry, s.log.Named("templates"))
	ctx := s.life
	s.background.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.writeTemplates()
			case <-ctx.Done():
				return
			}
		}
	})
}

func (s *service) writeTemplates() {
	if err := s.templates.write(time.Now()); err != nil {
		s.log.Error("templates are not saved", zap.Error(err))
	}
}

// exporters are the workers' tables of exporters.
func (s *service) exporters() []*exporter.Table {
	tables := make([]*exporter.Table, len(s.workers))
	for i, w := range s.workers {
		tables[i] = w.Decoder.Exporters()
	}
	return tables
}

// rows is how many rows the workers put into blocks.
func (s *service) rows() (n uint64) {
	for _, w := range s.workers {
		n += w.Rows()
	}
	return n
}

// expiry is the time before which the table's TTL drops rows, in Unix milliseconds; 0 where it has none that goes by
// when flows began.
func (s *service) expiry(ctx context.Context) (int64, error) {
	if !s.cfg.Server.Flows {
		return 0, nil
	}
	ttl, known, err := schema.FlowTTL(ctx, s.conn, &s.settings)
	if err != nil {
		return 0, err
	}
	s.flowTTL.Store(&ttl)
	if !known || !ttl.Plain() || ttl.Column != "start_time" {
		return 0, nil
	}
	var seconds int64
	if err := s.conn.QueryRow(ctx, "SELECT toInt64(toUnixTimestamp(now() - INTERVAL "+ttl.Interval+
		"))").Scan(&seconds); err != nil {
		return 0, fmt.Errorf("work out the TTL %s of %s: %w", ttl.Interval, s.settings.Tables.Flow, err)
	}
	return seconds * 1000, nil
}

// updateExpiry tells the workers which rows the table drops by now.
func (s *service) updateExpiry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ms, err := s.expiry(ctx)
	if err != nil {
		return // the server does not answer; the writer says so
	}
	ttl := s.flowTTL.Load()
	for _, w := range s.workers {
		w.SetExpiry(ms)
		if ttl != nil {
			w.SetTTL(ttl.Duration())
		}
	}
}

// unexplained is how many records became no row, and rows became nothing that the book knows. Records of streams that
// were heard just now may not be counted yet, so that there can be more rows.
func unexplained(records, rows uint64, flows bool, became tally.Account) (n uint64) {
	if flows {
		n = records - min(records, rows)
	}
	in, out := became.Taken+became.Found, became.Out()
	return n + max(in, out) - min(in, out)
}

// summary adds up what became of everything so far.
func (s *service) summary() *report.Summary {
	sum := report.New(s.exporters()...)
	stats := s.writer.Stats() // before the book, which is behind it
	became := s.books.rows.Total()
	sum.Written = became.Delivered
	for _, reason := range clickhouse.Reasons() {
		if n := became.Lost[string(reason)]; n > 0 {
			sum.Losses = append(sum.Losses, report.NewLoss(n, "rows "+string(reason), "ClickHouse"))
		}
		if all := stats.Lost[reason].Rows; all > became.Lost[string(reason)] {
			sum.Losses = append(sum.Losses, report.NewLoss(all-became.Lost[string(reason)], "rows "+string(reason),
				"ClickHouse, other tables than "+s.settings.Tables.Flow))
		}
	}
	for _, w := range s.workers {
		if n := w.Expired(); n > 0 {
			what := fmt.Sprintf("rows older than the TTL of %s (%s), which drops them", s.settings.Tables.Flow,
				s.flowTTL.Load().Interval)
			sum.Losses = append(sum.Losses, report.NewLoss(n, what, "a clock that is wrong, or a capture of long ago"))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(became.Quarantined)) {
		sum.Kept = append(sum.Kept, report.NewLoss(became.Quarantined[reason],
			"rows that ClickHouse refuses ("+reason+")",
			"see `collector quarantine`"))
	}
	if n := stats.WithoutView.Rows; n > 0 {
		sum.Kept = append(sum.Kept, report.NewLoss(n, "rows that the table has and a view of it does not",
			"see `collector quarantine`"))
	}
	sum.Losses = append(sum.Losses, report.ForwardLosses(s.forwarders)...)
	s.addMessages(sum)
	sum.Spooled = became.OnDisk
	if s.cfg.Server.Flows {
		sum.Pending = s.rows() - became.Taken + became.Waiting // those in the making too
	}
	sum.Unexplained = unexplained(sum.Records(), s.rows(), s.cfg.Server.Flows, became)
	sum.Took = time.Since(s.started)
	return sum
}
