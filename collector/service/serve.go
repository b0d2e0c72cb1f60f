package service

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/check"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/tap"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/schema"
)

// ServeOptions is what differs between the program and its tests.
type ServeOptions struct {
	Version      string        // of the program
	MetadataWait time.Duration // how long rows wait for the first metadata, in the kernel's buffers
	Exit         func(int)     // ends the program at a second signal
	Sum          func(string)  // takes the table of what became of everything; nil: it is printed
}

// Serve collects from sockets until a signal says to stop, and prints what became of everything.
func Serve(cfg *config.Config, log *zap.Logger, signals <-chan os.Signal, out io.Writer, o ServeOptions) error {
	level := zap.NewAtomicLevelAt(logging.Level(cfg.LogLevel))
	log = log.WithOptions(zap.IncreaseLevel(level))
	if err := check.Directories(cfg); err != nil {
		return err
	}
	check.Warn(cfg, log)
	var opened closers // what an error at the start closes again
	defer opened.close()
	// The sockets first: datagrams wait in the kernel while the rest starts, and a port in use is said at once.
	in, err := openIntake(cfg, log)
	if err != nil {
		return err
	}
	opened.add(in.abort)
	failed := make(failures, 1)
	page, err := openHTTP(cfg, log, failed)
	if err != nil {
		return err
	}
	defer page.close()
	all := newOutputs(cfg)
	opened.add(func() { _ = all.closeSpools() }) // the error that ends the start is the one to tell
	if err := all.openSpools(cfg, log); err != nil {
		return err
	}
	s, err := newService(cfg, o.Version, log, all, in)
	if err != nil {
		return err
	}
	opened.keep() // the end of the service closes it all
	defer setup.CloseForwarders(in.forwarders)
	defer tuneRuntime(len(in.listeners) + cfg.Listen.DecoderCount() - cfg.Listen.WorkerCount())()
	s.limitGarbage()
	s.start(failed)
	s.keepTemplates()
	s.awaitMetadata(o.MetadataWait)
	loops := s.receive(in, failed)
	minute := startMinute(s.accounts, len(cfg.Forward.To) > 0, log)
	changes := newReloader(cfg, s.apply, s.refresh.Reload, level, log)
	changes.start()
	page.show(s.condition(o.Version, changes), s.metrics)
	records := showRecords(cfg, &s.database.settings, &s.workers.taps, log)
	defer records.Close()
	in.announce(cfg, log)
	all.announce(log)
	log.Info("tables are in "+s.database.destination(), firstQuery(cfg))

	failure := awaitStop(signals, changes.hangup, failed)
	page.stopping()
	changes.stop()
	if failure != nil {
		log.Error("the collector ends, as it cannot do its work", zap.Error(failure))
	}
	log.Info("stopping: what was received is delivered", zap.Duration("at most", cfg.Batch.Grace))
	finished := make(chan struct{})
	defer close(finished)
	go abandon(signals, finished, time.Now(), s.accounts.summary, log, o.Exit)
	err = s.deliverRest(in, loops, minute)
	o.print(out, s.accounts.summary())
	in.station.Free()
	return errors.Join(failure, err)
}

// deliverRest ends what receives, in the order in which data flows, and then the service: it delivers what is left.
func (s *service) deliverRest(in *intake, loops *sync.WaitGroup, minute *minute) error {
	in.stopReceiving()
	in.streams.Close()
	loops.Wait()
	in.station.Close()
	in.maps.Close()
	in.rpki.Close()
	in.free() // before the last counts are written: nothing comes any more
	minute.stop()
	s.accounts.settleLosses()
	return s.finish(context.Background())
}

// print prints what became of everything, or hands it to Sum.
func (o *ServeOptions) print(out io.Writer, sum *report.Summary) {
	if o.Sum == nil {
		sum.Print(out)
		return
	}
	var text strings.Builder
	sum.Print(&text)
	o.Sum(text.String())
}

// tuneRuntime sets Go's runtime up for these many workers besides what else runs, and returns what undoes it.
func tuneRuntime(workers int) (undo func()) {
	// The runtime runs as many goroutines at once as there are cores. While metadata is rebuilt and garbage collected a
	// worker would wait up to 10 ms for its turn, and one that gathers datagrams has its place without needing a core;
	// with a place for each more it is the kernel that shares the cores, in smaller slices and by priority.
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + max(2, workers))
	return func() { runtime.GOMAXPROCS(cores) }
}

// receive adds the workers and starts their loops, which end when the intake is closed and empty. An error that ends a
// loop before goes to failed.
func (s *service) receive(in *intake, failed failures) *sync.WaitGroup {
	presses := make([]*press, len(in.listeners))
	for n, l := range in.listeners {
		p := &press{workers: s.workers, outputs: s.outputs, share: l.Share(), number: n}
		presses[n] = p
		p.restore()
		p.worker = s.workers.add(pipeline.Options{
			Share: l.Share(), Sinks: s.outputs.batchers(sink.BatcherOptions{
				Worker: n, Ageing: true, Large: p.large, Settled: p.settled,
			}, func(*output) { p.update() }),
		})
	}
	var ofStreams *pipeline.Worker
	if in.streams != nil {
		n := len(in.listeners)
		ofStreams = s.workers.addForConnections(s.outputs.batchers(sink.BatcherOptions{Worker: n, Ageing: true},
			waitWhileBehind(in.streams)))
	}
	loops := &sync.WaitGroup{}
	for n, l := range in.listeners {
		loops.Go(func() { failed.add(receiveDatagrams(l, presses[n], in.forwarders[n])) })
	}
	if in.streams != nil {
		loops.Go(func() { receiveStreams(in.streams, ofStreams) })
	}
	return loops
}

// apply puts settings in use while the collector runs. changed are their keys.
func (s *service) apply(next *config.Config, changed []string) {
	live := *next // exporters without a label of their own have the collector's, which need a restart
	live.CollectorID, live.Policy.Originator, live.Policy.Level = s.cfg.CollectorID, s.cfg.Policy.Originator,
		s.cfg.Policy.Level
	s.workers.settings.Store(liveSettings(&live))
	s.workers.in.allow(&next.Listen.Allowed)
	if station := s.workers.in.station; station != nil && slices.ContainsFunc(changed, limitsRoutes) {
		station.SetLimits(int64(next.Routing.MaxMemory), int64(next.Routing.MaxRoutes))
	}
	if slices.ContainsFunc(changed, func(path string) bool { return strings.HasPrefix(path, "metadata.") }) {
		s.refresh.Configure(metadata.Configuration{
			// The cache directory needs a restart, for the snapshot and the templates are there.
			Sources:  metadata.Sources(setup.Sources(withCacheDir(next, s.cfg.Metadata.CacheDir))),
			Interval: next.Metadata.Refresh, ForceUpdate: next.Metadata.ForceUpdate,
		})
	}
}

func limitsRoutes(path string) bool { return strings.HasPrefix(path, "routing.max_") }

// withCacheDir is a configuration with another cache directory.
func withCacheDir(cfg *config.Config, dir string) *config.Config {
	other := *cfg
	other.Metadata.CacheDir = dir
	return &other
}

// showRecords lets `collector tail` read records. The collector does its work without.
func showRecords(cfg *config.Config, tables *schema.Settings, taps *tap.Hub, log *zap.Logger) *tap.Server {
	layout := message.Layout{CollectorID: cfg.CollectorID, PolicyOriginator: cfg.Policy.Originator,
		PolicyLevel: cfg.Policy.Level, IPRefExtensions: tables.IPRefExtensions, WithoutColumns: tables.WithoutColumns,
		Extensions: tables.FlowExtensions}
	server, err := tap.Listen(tap.SocketPath(cfg.Metadata.CacheDir), taps, layout, log.Named("tail"))
	if err != nil {
		log.Warn("records cannot be shown: collector tail does not work", zap.Error(err))
		return nil
	}
	return server
}

// failures takes the first error after which the collector cannot do its work: it ends then, rather than do half of it.
type failures chan error

// add takes an error; nil is none.
func (f failures) add(err error) {
	if err == nil {
		return
	}
	select {
	case f <- err:
	default: // the first one ends the collector
	}
}

// StartupWait is how long after the start rows wait for the first metadata, in the kernel's buffers.
const StartupWait = 2 * time.Second

// awaitMetadata waits for the first metadata, so that the first rows are enriched like all others; but not for long.
func (s *service) awaitMetadata(atMost time.Duration) {
	select {
	case <-s.refresh.Loaded():
	case <-time.After(time.Until(s.accounts.started.Add(atMost))):
		s.log.Warn("metadata is not loaded yet: rows are written with what the last run knew")
	}
}

// receiveDatagrams takes a listener's datagrams to other collectors and through a worker, until the listener is closed
// and empty or cannot receive any more. What came before is delivered in either case.
func receiveDatagrams(l *listen.Worker, p *press, f *forward.Forwarder) error {
	w := p.worker
	defer w.Finish()
	defer func() { p.save(time.Now()) }()
	return l.Run(func(datagrams []exporter.Datagram, now time.Time) {
		f.Send(datagrams, now)
		w.Process(datagrams, now)
	}, func(now time.Time) {
		w.Tick(now)
		p.update()
		p.saveNow(now)
	})
}
