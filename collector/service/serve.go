package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
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
	"github.com/metranova/flow-collector/sink/message"
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
	listeners, err := listen.Open(listen.Options{
		Addresses: cfg.Listen.Addresses, Workers: cfg.Listen.WorkerCount(), ReceiveBuffer: cfg.Listen.ReceiveBuffer,
		Allowed: cfg.Listen.Allowed.Sources, Agents: cfg.Listen.Allowed.Agents, Log: log.Named("listen"),
	})
	if err != nil {
		return err
	}
	opened.add(func() { closeListeners(listeners) })
	streams, err := openStreams(cfg, log)
	if err != nil {
		return err
	}
	opened.add(streams.Abort)
	station, err := setup.Routing(cfg, log)
	if err != nil {
		return err
	}
	opened.add(station.Abort)
	failed := make(failures, 1)
	page, err := openHTTP(cfg, log, failed)
	if err != nil {
		return err
	}
	defer page.close()
	forwarders, err := setup.Forwarders(cfg, len(listeners))
	if err != nil {
		return err
	}
	defer setup.CloseForwarders(forwarders)
	all := newOutputs(cfg)
	opened.add(func() { _ = all.closeSpools() }) // the error that ends the start is the one to tell
	if err := all.openSpools(cfg, log); err != nil {
		return err
	}
	s, err := newService(cfg, o.Version, log, all)
	if err != nil {
		return err
	}
	opened.keep() // the end of the service closes it all
	s.listeners, s.streams, s.station = listeners, streams, station
	s.forwarders = forwarders
	// The runtime runs as many goroutines at once as there are cores. While metadata is rebuilt and garbage collected a
	// worker would wait up to 10 ms for its turn, and one that gathers datagrams has its place without needing a core;
	// with a place for each more it is the kernel that shares the cores, in smaller slices and by priority.
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + max(2, len(listeners)+cfg.Listen.DecoderCount()-cfg.Listen.WorkerCount()))
	defer runtime.GOMAXPROCS(cores)
	// Hardly anything becomes garbage here but what inserts and metadata leave, and most memory holds no pointers:
	// collecting more often costs little, and saves as much memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s.start(failed)
	s.keepTemplates()
	s.awaitMetadata(o.MetadataWait)
	var loops sync.WaitGroup
	presses := make([]*press, len(listeners))
	for n, l := range listeners {
		p := &press{service: s, share: l.Share()}
		presses[n] = p
		p.worker = s.newWorker(n, pipeline.Options{
			Share: l.Share(), Sinks: all.batchers(n, true, func(*output) { p.update() }),
		})
	}
	for n, l := range listeners {
		loops.Go(func() { failed.add(receive(l, presses[n], forwarders[n])) })
	}
	if streams != nil {
		w := s.streamWorker()
		loops.Go(func() { receiveStreams(streams, w) })
	}
	if station != nil {
		log.Info("routers may connect for BGP", zap.Strings("tcp", station.Addresses()),
			zap.Stringers("neighbors", cfg.Routing.BGP.Neighbors))
	}
	minute := startMinute(s, listeners, log)
	changes := newReloader(cfg, s, listeners, level, log)
	changes.start()
	page.show(s, listeners, changes)
	records := s.showRecords()
	defer records.Close()
	log.Info("listening", append([]zap.Field{zap.String("udp", strings.Join(listeners[0].Addresses(), " ")),
		zap.Int("workers", len(listeners))}, streamFields(streams)...)...)
	if len(cfg.Forward.To) > 0 {
		log.Info("datagrams are forwarded too", zap.Strings("to", cfg.Forward.To),
			zap.Bool("with the exporter's address", cfg.Forward.KeepSource))
	}
	for _, o := range all {
		if o.Takes {
			log.Info("flows go to "+o.Title, zap.String("to", o.Place))
		}
	}
	log.Info("tables are in "+s.destination(), zap.String("try",
		`collector query "SELECT count() FROM `+s.settings.Tables.Flow+`"`))

	failure := awaitStop(signals, changes.hangup, failed)
	changes.stop()
	if failure != nil {
		log.Error("the collector ends, as it cannot do its work", zap.Error(failure))
	}
	log.Info("stopping: what was received is delivered", zap.Duration("at most", cfg.Batch.Grace))
	finished := make(chan struct{})
	defer close(finished)
	go abandon(signals, finished, time.Now(), s, log, o.Exit)
	for _, l := range listeners {
		l.Close()
	}
	streams.Close()
	loops.Wait()
	station.Close()
	for _, l := range listeners {
		l.Free() // before the last counts are written: nothing comes any more
	}
	minute.stop()
	s.settleLosses()
	err = s.finish(context.Background())
	sum := s.summary()
	sum.Losses = append(sum.Losses, report.SocketLosses(listeners)...)
	sum.Losses = append(sum.Losses, report.ConnectionLosses(streams)...)
	if o.Sum != nil {
		var text strings.Builder
		sum.Print(&text)
		o.Sum(text.String())
	} else {
		sum.Print(out)
	}
	station.Free()
	return errors.Join(failure, err)
}

// showRecords lets `collector tail` read records. The collector does its work without.
func (s *service) showRecords() *tap.Server {
	layout := message.Layout{CollectorID: s.cfg.CollectorID, PolicyOriginator: s.cfg.Policy.Originator,
		PolicyLevel: s.cfg.Policy.Level, IPRefExtensions: s.settings.IPRefExtensions,
		WithoutColumns: s.settings.WithoutColumns}
	server, err := tap.Listen(tap.SocketPath(s.cfg.Metadata.CacheDir), &s.taps, layout, s.log.Named("tail"))
	if err != nil {
		s.log.Warn("records cannot be shown: collector tail does not work", zap.Error(err))
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

// gcPercent is how much garbage there may be, in percent of what is in use.
const gcPercent = 40

// StartupWait is how long after the start rows wait for the first metadata, in the kernel's buffers.
const StartupWait = 2 * time.Second

// awaitMetadata waits for the first metadata, so that the first rows are enriched like all others; but not for long.
func (s *service) awaitMetadata(atMost time.Duration) {
	select {
	case <-s.refresh.Loaded():
	case <-time.After(time.Until(s.started.Add(atMost))):
		s.log.Warn("metadata is not loaded yet: rows are written with what the last run knew")
	}
}

// receive takes a listener's datagrams to other collectors and through a worker, until the listener is closed and empty
// or cannot receive any more. What came before is delivered in either case.
func receive(l *listen.Worker, p *press, f *forward.Forwarder) error {
	w := p.worker
	defer w.Finish()
	return l.Run(func(datagrams []exporter.Datagram, now time.Time) {
		f.Send(datagrams, now)
		w.Process(datagrams, now)
	}, func(now time.Time) {
		w.Tick(now)
		p.update()
	})
}

// press tells a worker's share when neither the server nor the disk keeps up with rows, so that the sources that send
// most lose before blocks are dropped that hold rows of all of them.
type press struct {
	service *service
	worker  *pipeline.Worker
	share   *listen.Share

	own, all uint64 // rows at the latest update, of the worker and of all workers
}

// update is called by the worker's goroutine after each block and about once a second.
func (p *press) update() {
	s := p.service
	own, all := p.worker.Rows(), s.rows()
	ownMore, allMore := own-p.own, all-p.all
	p.own, p.all = own, all
	full := s.outputs.fullness()
	if ownMore*uint64(len(s.workers)) < allMore {
		full = 0 // another worker makes more of the rows
	}
	p.share.Press(full)
}

// destination is where rows go, for people.
func (s *service) destination() string {
	where := "ClickHouse at " + strings.Join(s.server.Addrs, ",")
	if s.store != nil {
		where = "the local store in " + s.cfg.Store.Path + ", " + s.store.URL()
	}
	return fmt.Sprintf("%s, table %s.%s", where, s.settings.Database, s.settings.Tables.Flow)
}
