package service

import (
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/lograte"
)

// condition is what the page and readiness are about: it reads the state of the collector's parts. It is safe for
// concurrent use.
type condition struct {
	id, version string
	started     time.Time
	in          *intake
	workers     *workers
	outputs     outputs
	database    *database
	refresh     *metadata.Refresher
	changes     *reloader
}

func (s *service) condition(version string, changes *reloader) *condition {
	return &condition{
		id: s.cfg.CollectorID, version: version, started: s.accounts.started, in: s.workers.in, workers: s.workers,
		outputs: s.outputs, database: s.database, refresh: s.refresh, changes: changes,
	}
}

// inputs are what there is to know at a moment.
func (c *condition) inputs(now time.Time) *status.Inputs {
	became, settings := c.outputs.main().book.Total(), c.workers.settings.Load()
	in := &status.Inputs{
		Now: now, ID: c.id, Version: c.version, Destination: c.database.destination(),
		Facts: verdict.Collector{
			Started: c.started, MetadataLoaded: isClosed(c.refresh.Loaded()), Metadata: c.refresh.Problems(),
			Listen: c.in.addresses(),
		},
		RowsWritten: became.Delivered, RowsSpooled: became.OnDisk,
		Snapshot: c.workers.snapshot.Load(),
		Name:     func(stream *exporter.Stream) flow.Addr { return nameOf(stream, settings) },
	}
	config := c.changes.state.Load()
	in.Facts.Refused, in.Facts.Pending = config.refused, config.pending
	in.Facts.Devices = in.Snapshot.Stats().Devices
	c.database.addFacts(&in.Facts)
	in.Totals.Lost, in.LostBy = map[string]uint64{}, status.RowsLost{}
	for _, o := range c.outputs {
		o.addFacts(in)
	}
	for _, n := range became.Lost {
		in.RowsLost += n
	}
	c.addWorkers(in)
	if c.workers.in.station != nil {
		in.Facts.Routing = c.workers.routingFacts(now, c.started)
		in.NoRoutes = c.workers.noRoutes()
	}
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
	for stream, lost := range o.book.LostBy() {
		if in.LostBy[stream] == nil {
			in.LostBy[stream] = map[string]uint64{}
		}
		for reason, n := range lost {
			in.LostBy[stream][o.Title+", "+reason] = n
		}
	}
	for _, n := range became.Quarantined {
		in.Totals.Quarantined += n
	}
}

// addWorkers adds what the workers and their sockets counted.
func (c *condition) addWorkers(in *status.Inputs) {
	t := &in.Totals
	for _, w := range c.workers.all {
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
		t.LookUps.Add(w.Enricher.RouteCounts())
		for _, reason := range exporter.Reasons() {
			t.Unattributed[reason] += table.UnattributedCount(reason)
		}
	}
	for _, stream := range in.Streams {
		t.Datagrams += stream.Datagrams.Load()
		t.Bytes += stream.Bytes.Load()
		t.Records += stream.Records.Load()
	}
	sockets := listen.Total(c.in.listeners)
	t.Received, t.KernelDrops = sockets.Datagrams, sockets.KernelDrops
	t.Refused, t.OverShare = sockets.Refused, sockets.OverShare
	in.Facts.ShortBuffer = sockets.ShortBuffer
	streams := c.in.streams.Stats()
	in.Connections, t.Connections = streams.Open, map[string]uint64{}
	for reason, n := range streams.Lost() {
		t.Connections[string(reason)] = n
	}
	in.Facts.Largest = largest(c.in.overShare())
}

// largest is the source with the largest count; the zero Addr if it is the common count of sources without their own.
func largest(counts map[netip.Addr]uint64) (source netip.Addr) {
	most := uint64(0)
	for from, n := range counts {
		if n > most || n == most && from.Less(source) {
			source, most = from, n
		}
	}
	return source
}
