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
	"path/filepath"
	"runtime"
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
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/decoder/sflow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store"
)

// service is everything behind the sockets: the store, the tables, the metadata and the way of a block to them.
type service struct {
	cfg       *config.Config
	version   string // of the program
	log       *zap.Logger
	store     *store.Supervisor // nil where rows go to a server
	outputs   outputs
	ledger    *ledger.Ledger
	metrics   *metrics.Metrics
	streams   *stream.Listener // nil: nothing comes over TCP
	station   *routing.Station // nil: there are no routes
	listeners []*listen.Worker // none for captures
	server    clickhouse.Options
	settings  schema.Settings
	conn      driver.Conn
	tables    chan struct{} // closed when the tables are there
	snapshot  atomic.Pointer[enrich.Snapshot]
	live      atomic.Pointer[pipeline.Settings] // what workers take from the configuration while they run
	flowTTL   atomic.Pointer[schema.TTL]        // of the table of flows, when it was last read
	taps      tap.Hub                           // what shows rows to people while somebody looks
	refresh   *metadata.Refresher
	templates *templateFile // nil: they are not kept over a restart
	workers   []*pipeline.Worker
	agents    sflow.Agents // of all workers
	started   time.Time

	lossesSince time.Time    // when losses were last written
	tablesError atomic.Value // string: why the tables could not be made at the latest attempt

	forwarders []*forward.Forwarder // of the workers; none, or nil ones, where nothing is forwarded

	background sync.WaitGroup // refreshing metadata, making tables
	life       context.Context
	cancel     context.CancelFunc
}

// newService starts the local store, if rows go there, and opens the outputs. Batches wait until the tables are made,
// and on disk where there is a spool, which the end of the service closes.
func newService(cfg *config.Config, version string, log *zap.Logger, all outputs) (*service, error) {
	run := make([]byte, 8)
	rand.Read(run)
	s := &service{
		cfg: cfg, version: version, log: log, started: time.Now(), lossesSince: time.Now(), outputs: all,
		tables: make(chan struct{}),
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
	if err := s.outputs.open(setup.Parts{
		Log: log, Run: hex.EncodeToString(run), Conn: s.conn, Servers: s.server.Addrs, Settings: s.settings,
		TablesMade: s.tables,
	}, s.metrics.Inserted); err != nil {
		s.abort()
		return nil, err
	}
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
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing is waited for
	_ = s.outputs.close(ctx)
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
		s.tablesError.Store(lograte.OneLine(err).Error())
		s.log.Error("rows are collected and wait", zap.Error(lograte.OneLine(err)),
			zap.Duration("next try in", wait.Round(time.Millisecond)))
	}))
	return err
}

// newWorker returns the n-th worker: o says what is special, and this the rest.
func (s *service) newWorker(n int, o pipeline.Options) *pipeline.Worker {
	options := setup.Decoder(s.cfg)
	options.Workers, options.NetFlow.FlowsOnly = s.cfg.Listen.DecoderCount(), true
	if len(s.listeners) > 0 { // not with captures, which are the operator's own
		options.MaxRecords = s.cfg.Decoder.MaxRecords
	}
	if s.templates != nil {
		options.NetFlow.Saved = s.templates.loaded
		o.Save, o.SaveEvery = func(state netflow.State) { s.templates.put(n, state) }, s.cfg.Decoder.SaveTemplates
	}
	var w *pipeline.Worker
	options.SFlow.Agents = &s.agents
	options.SFlow.Counters = func(c *flow.InterfaceCounters) { w.Counters(c) }
	o.Decoder = decoder.New(options)
	o.Enricher = enrich.New(enrich.Options{
		IPRefExtensions: s.settings.IPRefExtensions, WithoutLearned: !s.cfg.LearnedNames,
		Routes: setup.Routes(s.cfg, s.station),
	})
	o.Settings = &s.live
	o.KeepTimes = len(s.listeners) == 0 // datagrams come from captures, which are the operator's own
	o.Snapshot = &s.snapshot
	o.Tap = s.taps.Current()
	o.Interfaces = decoder.Part(decoder.MaxInterfaces, s.cfg.Listen.DecoderCount())
	w = pipeline.NewWorker(o)
	w.SetTTL(s.settings.FlowTTL.Duration())
	s.workers = append(s.workers, w)
	return w
}

// finish delivers what the workers handed over, within the grace period, and ends what runs. The workers must have
// ended.
func (s *service) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Batch.Grace)
	defer cancel()
	err := errors.Join(s.outputs.close(ctx), s.outputs.closeSpools())
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

// rows is how many rows the workers made.
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

// notMade is how many records became no row. Records of streams that were heard just now may not be counted yet, so
// that there can be more rows.
func notMade(records, rows uint64) uint64 { return records - min(records, rows) }

// summary adds up what became of everything so far.
func (s *service) summary() *report.Summary {
	sum := report.New(s.exporters()...)
	made := s.rows()
	for _, o := range s.outputs {
		o.addTo(sum, made)
	}
	for _, w := range s.workers {
		if n := w.Expired(); n > 0 {
			what := fmt.Sprintf("rows older than the TTL of %s (%s), which drops them", s.settings.Tables.Flow,
				s.flowTTL.Load().Interval)
			sum.Losses = append(sum.Losses, report.NewLoss(n, what, "a clock that is wrong, or a capture of long ago"))
		}
	}
	sum.Losses = append(sum.Losses, report.ForwardLosses(s.forwarders)...)
	sum.Unexplained += notMade(sum.Records(), made)
	sum.Took = time.Since(s.started)
	return sum
}
