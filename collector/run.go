package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "collect: receive flow exports, enrich them and write them to ClickHouse",
		Description: `Without a configuration it listens on UDP 2055, 4739 and 6343, each for every protocol, and keeps rows in a local store
under data/, which answers ClickHouse's HTTP interface on 127.0.0.1:8123.

  collector run
  collector run --config /etc/flow-collector/collector.yml
  CLICKHOUSE_HOST=clickhouse.example.net collector run --env-file conf/envs/base.env
  collector run --pcap router.pcap --once --shift-to-now

SIGHUP reads the configuration and the metadata files again; a changed file is noticed without it. The log says which settings
need a restart. SIGTERM or SIGINT stops: what was received is delivered first, within batch.grace; a second one stops at once
and says what was left.`,
		Flags: append(configFlags(),
			&cli.StringSliceFlag{Name: "pcap",
				Usage: "take datagrams from the capture `FILE` instead of sockets; may be given several times"},
			&cli.BoolFlag{Name: "once",
				Usage: "with --pcap: exit when the captures are through, instead of leaving the store up for queries"},
			&cli.BoolFlag{Name: "shift-to-now",
				Usage: "with --pcap: move all times by one offset, so that the latest flow ends now"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			captures := append(c.StringSlice("pcap"), c.Args().Slice()...)
			switch {
			case len(c.StringSlice("pcap")) == 0 && c.Args().Len() > 0:
				return commandline.Usage("run takes no argument %q: captures are given with --pcap", c.Args().First())
			case len(captures) == 0 && (c.Bool("once") || c.Bool("shift-to-now")):
				return commandline.Usage("--once and --shift-to-now are for captures: give one with --pcap FILE")
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			// The reader of the log may go away or stop reading: journald restarts, a tee ends. Neither ends the
			// collector.
			signal.Ignore(syscall.SIGPIPE)
			lines := newLogWriter(os.Stderr)
			defer lines.Close(logFlush)
			if len(captures) > 0 {
				log := newLogTo(lines, cfg.LogLevel)
				return replay(cfg, log, signals, captures,
					replayOptions{version: version, once: c.Bool("once"), shiftToNow: c.Bool("shift-to-now")}, os.Stdout)
			}
			o := serveOptions{version: version, metadataWait: startupWait,
				exit: func(status int) { lines.Close(logFlush); os.Exit(status) }}
			// serve sets the level, which may change.
			if err := serve(cfg, newLogTo(lines, "debug"), signals, lines, o); err != nil {
				fmt.Fprintln(lines, "collector:", err)
				return errReported
			}
			return nil
		},
	}
}

// serveOptions is what differs between the program and its tests.
type serveOptions struct {
	version      string        // of the program
	metadataWait time.Duration // how long rows wait for the first metadata, in the kernel's buffers
	exit         func(int)     // ends the program at a second signal
}

// serve collects from sockets until a signal says to stop, and prints what became of everything.
func serve(cfg *config.Config, log *zap.Logger, signals <-chan os.Signal, out io.Writer, o serveOptions) error {
	level := zap.NewAtomicLevelAt(logLevel(cfg.LogLevel))
	log = log.WithOptions(zap.IncreaseLevel(level))
	if err := checkDirectories(cfg); err != nil {
		return err
	}
	warn(cfg, log)
	var opened closers // what an error at the start closes again
	defer opened.close()
	// The sockets first: datagrams wait in the kernel while the rest starts, and a port in use is said at once.
	listeners, err := listen.Open(listen.Options{
		Addresses: cfg.Listen.Addresses, Workers: cfg.Listen.WorkerCount(), ReceiveBuffer: cfg.Listen.ReceiveBuffer,
		Allowed: cfg.Listen.Allowed, Log: log.Named("listen"),
	})
	if err != nil {
		return err
	}
	opened.add(func() { closeListeners(listeners) })
	failed := make(failures, 1)
	page, err := openHTTP(cfg, log, failed)
	if err != nil {
		return err
	}
	defer page.close()
	forwarders, err := openForwarders(cfg, len(listeners))
	if err != nil {
		return err
	}
	defer closeForwarders(forwarders)
	books := newBooks()
	disk, err := openSpool(cfg, log, books.rows)
	if err != nil {
		return err
	}
	opened.addSpool(disk)
	messageDisk, err := openKafkaSpool(cfg, log, books.messages)
	if err != nil {
		return err
	}
	opened.addSpool(messageDisk)
	s, err := newService(cfg, o.version, log, disk, books)
	if err != nil {
		return err
	}
	if err := s.startProducer(messageDisk); err != nil {
		s.abort()
		return err
	}
	opened.keep() // the end of the service closes it all
	s.listeners = listeners
	s.forwarders = forwarders
	// The runtime runs as many goroutines at once as there are cores. While metadata is rebuilt and garbage collected a
	// worker would wait up to 10 ms for its turn, and one that gathers datagrams has its place without needing a core;
	// with a place for each more it is the kernel that shares the cores, in smaller slices and by priority.
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + max(2, len(listeners)))
	defer runtime.GOMAXPROCS(cores)
	// Hardly anything becomes garbage here but what inserts and metadata leave, and most memory holds no pointers:
	// collecting more often costs little, and saves as much memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s.start(failed)
	s.keepTemplates()
	s.awaitMetadata(o.metadataWait)
	var loops sync.WaitGroup
	presses := make([]*press, len(listeners))
	for n, l := range listeners {
		p := &press{service: s, share: l.Share()}
		presses[n] = p
		p.worker = s.newWorker(n, pipeline.Options{
			MaxAge: cfg.Batch.Age, Share: l.Share(),
			Deliver: func(ins *clickhouse.Insert) { s.writer.Enqueue(ins); p.update() },
		})
	}
	for n, l := range listeners {
		loops.Go(func() { failed.add(receive(l, presses[n], forwarders[n])) })
	}
	minute := startMinute(s, listeners, log)
	changes := newReloader(cfg, s, listeners, level, log)
	changes.start()
	page.show(s, listeners, changes)
	log.Info("listening", zap.String("udp", strings.Join(listeners[0].Addresses(), " ")),
		zap.Int("workers", len(listeners)))
	if len(cfg.Forward.To) > 0 {
		log.Info("datagrams are forwarded too", zap.Strings("to", cfg.Forward.To),
			zap.Bool("with the exporter's address", cfg.Forward.KeepSource))
	}
	if s.producer != nil {
		log.Info("messages of rows go to Kafka", zap.Strings("brokers", cfg.Kafka.Brokers),
			zap.String("topic", cfg.Kafka.Topic), zap.Stringer("format", cfg.Kafka.Format))
	}
	if cfg.Server.Flows {
		log.Info("rows go to "+s.destination(), zap.String("try",
			`collector query "SELECT count() FROM `+s.settings.Tables.Flow+`"`))
	}

	failure := awaitStop(signals, changes.hangup, failed)
	changes.stop()
	if failure != nil {
		log.Error("the collector ends, as it cannot do its work", zap.Error(failure))
	}
	log.Info("stopping: what was received is delivered", zap.Duration("at most", cfg.Batch.Grace))
	finished := make(chan struct{})
	defer close(finished)
	go abandon(signals, finished, time.Now(), s, log, o.exit)
	for _, l := range listeners {
		l.Close()
	}
	loops.Wait()
	for _, l := range listeners {
		l.Free() // before the last counts are written: nothing comes any more
	}
	minute.stop()
	s.settleLosses()
	err = s.finish(context.Background())
	sum := s.summary()
	sum.losses = append(sum.losses, socketLosses(listeners)...)
	sum.print(out)
	return errors.Join(failure, err)
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

// openSpool opens the directory where inserts wait for a server that is down; nil where none is configured. What it
// finds and what it drops is written down in the book.
func openSpool(cfg *config.Config, log *zap.Logger, book *tally.Book) (*spool.Spool, error) {
	if cfg.Spool.Path == "" {
		return nil, nil
	}
	o := spool.Options{
		Dir: cfg.Spool.Path, MaxBytes: int64(cfg.Spool.MaxBytes), MaxAge: cfg.Spool.MaxAge, Log: log.Named("spool"),
	}
	book.Keep(&o)
	return spool.Open(o)
}

// startupWait is how long after the start rows wait for the first metadata, in the kernel's buffers.
const startupWait = 2 * time.Second

// awaitMetadata waits for the first metadata, so that the first rows are enriched like all others; but not for long.
func (s *service) awaitMetadata(atMost time.Duration) {
	select {
	case <-s.refresh.Loaded():
	case <-time.After(time.Until(s.started.Add(atMost))):
		s.log.Warn("metadata is not loaded yet: rows are written with what the last run knew")
	}
}

// receive is a worker's loop: datagrams in, to other collectors and into blocks, until the listener is closed and
// empty, or cannot receive any more, which is an error. What came before is delivered in either case.
func receive(l *listen.Worker, p *press, f *forward.Forwarder) error {
	const wake, tick = 100 * time.Millisecond, time.Second
	w := p.worker
	defer w.Finish()
	next := time.Now().Add(tick)
	for {
		datagrams, err := l.Receive(wake)
		if errors.Is(err, listen.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		now := time.Now()
		f.Send(datagrams, now)
		w.Process(datagrams, now)
		if !now.Before(next) {
			w.Tick(now)
			p.update()
			next = now.Add(tick)
		}
	}
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
	if s.spool == nil {
		return // the oldest rows make room for new ones
	}
	own, all := p.worker.Rows(), s.rows()
	ownMore, allMore := own-p.own, all-p.all
	p.own, p.all = own, all
	full := float64(s.writer.Stats().QueuedBytes) / float64(s.cfg.Batch.QueueBytes)
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

// socketLosses are what was lost before a worker saw it.
func socketLosses(listeners []*listen.Worker) []loss {
	var total listen.Stats
	for _, l := range listeners {
		stats := l.Stats()
		total.KernelDrops += stats.KernelDrops
		total.Late += stats.Late
		total.Refused += stats.Refused
		total.OverShare += stats.OverShare
		total.ShortBuffer = total.ShortBuffer || stats.ShortBuffer
	}
	return statsLosses(&total)
}

func statsLosses(total *listen.Stats) []loss {
	var losses []loss
	add := func(n uint64, what, where string) {
		if n > 0 {
			losses = append(losses, loss{n, what, where})
		}
	}
	what := "datagrams dropped by the kernel: the workers were too slow (listen.workers, more cores)"
	if total.ShortBuffer {
		what = "datagrams dropped by the kernel: the receive buffer is smaller than listen.receive_buffer, raise net.core.rmem_max"
	}
	add(total.KernelDrops, what, "sockets")
	add(total.Late, "datagrams that came while the collector stopped", "sockets")
	add(total.OverShare, "datagrams of sources that took more than their share while the collector was behind",
		"sockets")
	add(total.Refused, "datagrams from exporters that may not send", "listen.allowed_exporters")
	return losses
}
