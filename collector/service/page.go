package service

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/page"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/lograte"
)

// httpPage is what the collector says of itself over HTTP. nil: nothing.
type httpPage struct {
	server    *web.Server
	log       *zap.Logger
	service   *service
	listeners []*listen.Worker
	changes   *reloader
	history   *status.History
	top       *status.Top

	end   chan struct{}
	ended sync.WaitGroup
}

// openHTTP answers from the start that the process lives; nil where HTTP is switched off. An end that nobody asked for
// goes to failed.
func openHTTP(cfg *config.Config, log *zap.Logger, failed failures) (*httpPage, error) {
	if cfg.HTTP.Listen == "" {
		return nil, nil
	}
	server,
		err := web.Listen(web.Options{Address: cfg.HTTP.Listen, PProf: cfg.HTTP.PProf, Hosts: cfg.HTTP.Hosts,
		Log: log.Named("http"), Failed: failed.add})
	if err != nil {
		return nil, err
	}
	log.Info("HTTP answers", zap.String("url", server.LocalURL()))
	return &httpPage{server: server, log: log.Named("http"), end: make(chan struct{})}, nil
}

// show has the server answer for a service whose workers run.
func (p *httpPage) show(s *service, listeners []*listen.Worker, changes *reloader) {
	if p == nil {
		return
	}
	p.service, p.listeners, p.changes = s, listeners, changes
	p.history = status.NewHistory(time.Now())
	p.top = &status.Top{Conn: s.conn, Database: s.settings.Database, Table: s.settings.Tables.Flow,
		Snapshot: s.snapshot.Load}
	p.ended.Go(p.sample)
	p.server.Ready(func() (blocking, losing []string) {
		blocking, losing = p.history.Problems(p.inputs(time.Now()))
		for _, problem := range s.refresh.Problems() { // rows go without what it would add to them
			losing = append(losing, "metadata: "+problem)
		}
		return blocking, losing
	})
	p.server.Show(web.Exporters{
		Report: func() *status.Report { return p.history.Report(p.inputs(time.Now())) },
		Top:    p.largest, Log: p.log,
	})
	p.server.Handle("GET /metrics", s.metrics.Handler())
	if err := p.explore(); err != nil {
		p.log.Error("the traffic cannot be looked at", zap.Error(err))
	}
}

// explore has the server answer questions about the flows in the store. Its error is that of the file of users.
func (p *httpPage) explore() error {
	cfg := &p.service.cfg.HTTP
	if cfg.Explore == "off" {
		return nil
	}
	viewers := page.Viewers{LocalOnly: cfg.Explore == "local"}
	if cfg.Explore == "users" {
		viewers.Header, viewers.Proxies, viewers.Users = cfg.UserHeader, cfg.Proxies, &page.Users{}
		if cfg.Users != "" {
			users, err := page.LoadUsers(cfg.Users)
			if err != nil {
				return fmt.Errorf("http.users: %w", err)
			}
			viewers.Users = users
		}
	}
	pages := &page.Pages{Log: p.log, Viewers: viewers, Explorer: &explore.Explorer{
		Conn: p.service.conn, Planner: explore.NewPlanner(&p.service.settings), Now: time.Now,
	}, Prefix: func(a netip.Addr) (ref string, prefix netip.Prefix, ok bool) {
		match, ok := p.service.snapshot.Load().LookupIP(a)
		return match.Ref, match.Prefix, ok
	}}
	if p.service.settings.MetadataOnly {
		pages.Off = "Flows go to Kafka alone: there is no store to ask."
	}
	pages.Mount(p.server)
	p.ended.Go(func() { p.readSources(pages.Explorer) })
	return nil
}

// sourcesEvery is how often the store is asked which rollups are complete: one that is filled is used a minute later.
const sourcesEvery = time.Minute

// readSources asks, when the tables are made, which of them can answer what is explored.
func (p *httpPage) readSources(e *explore.Explorer) {
	if len(p.service.settings.Rollups) == 0 {
		return
	}
	ticker := time.NewTicker(sourcesEvery)
	defer ticker.Stop()
	select {
	case <-p.service.tables:
	case <-p.end:
		return
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), sourcesEvery)
		if err := e.ReadSources(ctx); err != nil {
			p.log.Debug("the rollups cannot be read: questions are answered from the rows", zap.Error(err))
		}
		cancel()
		select {
		case <-ticker.C:
		case <-p.end:
			return
		}
	}
}

// largest asks the store, where flows go there.
func (p *httpPage) largest(ctx context.Context) *status.TopTraffic {
	if p.service.settings.MetadataOnly {
		return &status.TopTraffic{Error: "flows go to Kafka alone"}
	}
	return p.top.Get(ctx)
}

func (p *httpPage) close() {
	if p == nil {
		return
	}
	p.server.Close()
	close(p.end)
	p.ended.Wait()
}

// sample looks at the counters now and then, so that there are rates.
func (p *httpPage) sample() {
	ticker := time.NewTicker(status.Every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			in := p.inputs(now)
			p.history.Sample(now, in.Streams, in.Totals)
		case <-p.end:
			return
		}
	}
}

// inputs are what there is to know at a moment.
func (p *httpPage) inputs(now time.Time) *status.Inputs {
	s := p.service
	shown, settings := s.outputs.main(), s.live.Load()
	became := shown.book.Total()
	in := &status.Inputs{
		Now: now, ID: s.cfg.CollectorID, Version: s.version, Destination: s.destination(),
		Facts: verdict.Collector{
			Started: s.started, TablesMade: isClosed(s.tables), MetadataLoaded: isClosed(s.refresh.Loaded()),
			Metadata:   s.refresh.Problems(),
			Listen:     p.addresses(),
			StoreClock: p.top.StoreClock(),
		},
		RowsWritten: became.Delivered, RowsSpooled: became.OnDisk,
		Snapshot: s.snapshot.Load(),
		Name:     func(stream *exporter.Stream) flow.Addr { return nameOf(stream, settings) },
	}
	config := p.changes.state.Load()
	in.Facts.Refused, in.Facts.Pending = config.refused, config.pending
	in.Facts.Devices = in.Snapshot.Stats().Devices
	in.Facts.TablesError, _ = s.tablesError.Load().(string)
	if s.store != nil {
		in.Facts.StoreRestarts = s.store.Restarts()
		if end := s.store.LastEnd(); end != nil {
			in.Facts.StoreEnded, in.Facts.StoreEnd = end.Time, end.Reason
		}
	}
	in.Totals.Lost = map[string]uint64{}
	for _, o := range s.outputs {
		o.addFacts(in)
	}
	for _, n := range became.Lost {
		in.RowsLost += n
	}
	p.addWorkers(in)
	in.RowsWaiting = became.Waiting + in.Totals.Rows - min(in.Totals.Rows, became.Taken) // those in the making too
	return in
}

// addFacts says how an output is.
func (o *output) addFacts(in *status.Inputs) {
	stats, became := o.sink.Stats(), o.book.Total()
	facts := verdict.Sink{Info: o.Info}
	if stats.Down != nil {
		facts.Down = lograte.OneLine(stats.Down).Error()
	}
	if disk := stats.Spool; disk != nil {
		facts.Spool, facts.SpoolKey = o.Spool.What, o.Spool.Key
		facts.SpoolBytes, facts.SpoolMax, facts.SpoolRows = disk.DiskBytes, int64(o.Spool.MaxBytes), disk.Waiting.Rows
	}
	in.Facts.Sinks = append(in.Facts.Sinks, facts)
	for reason, n := range became.Lost {
		in.Totals.Lost[o.Title+", "+reason] = n
	}
	for _, n := range became.Quarantined {
		in.Totals.Quarantined += n
	}
}

// nameOf is the address by which rows name an exporter.
func nameOf(stream *exporter.Stream, settings *pipeline.Settings) flow.Addr {
	name := stream.Key.Exporter
	if stated := stream.Stated(); stated != (flow.Addr{}) {
		name = stated
	}
	return settings.Name(name, stream.Source)
}

// addresses are those that the sockets are bound to.
func (p *httpPage) addresses() []string {
	if len(p.listeners) == 0 {
		return nil
	}
	return p.listeners[0].Addresses()
}

// addWorkers adds what the workers and their sockets counted.
func (p *httpPage) addWorkers(in *status.Inputs) {
	t := &in.Totals
	for _, w := range p.service.workers {
		table := w.Decoder.Exporters()
		evicted := table.Retired() // read before the streams
		t.Datagrams += evicted.Datagrams.Load()
		t.Bytes += evicted.Bytes.Load()
		t.Records += evicted.Records.Load()
		in.Streams = append(in.Streams, table.Streams()...)
		in.Unknown = append(in.Unknown, w.Enricher.Unknown()...)
		t.Rows += w.Rows()
		t.Expired += w.Expired()
		t.Evicted += table.Evicted()
		for _, reason := range exporter.Reasons() {
			t.Unattributed[reason] += table.UnattributedCount(reason)
		}
	}
	for _, stream := range in.Streams {
		t.Datagrams += stream.Datagrams.Load()
		t.Bytes += stream.Bytes.Load()
		t.Records += stream.Records.Load()
	}
	sockets := listen.Total(p.listeners)
	t.Received, t.KernelDrops = sockets.Datagrams, sockets.KernelDrops
	t.Refused, t.OverShare = sockets.Refused, sockets.OverShare
	in.Facts.ShortBuffer = sockets.ShortBuffer
	streams := p.service.streams.Stats()
	in.Connections, t.Connections = streams.Open, map[string]uint64{}
	for reason, n := range streams.Lost() {
		t.Connections[string(reason)] = n
	}
	in.Facts.Largest = largest(bySource(p.listeners, (*listen.Worker).OverShare))
}

// largest is the source with the largest count; invalid where that is of sources that are not told apart.
func largest(counts map[netip.Addr]uint64) (source netip.Addr) {
	most := uint64(0)
	for from, n := range counts {
		if n > most || n == most && from.Less(source) {
			source, most = from, n
		}
	}
	return source
}

// isClosed reports whether a channel on which nothing is sent is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
