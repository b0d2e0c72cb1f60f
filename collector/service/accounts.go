package service

import (
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
)

// accounts say what became of all that reached the collector: at a moment (summary), since the last time (losses), and
// to Prometheus.
type accounts struct {
	in       *intake
	workers  *workers
	outputs  outputs
	database *database
	ledger   *ledger.Ledger
	started  time.Time

	lossesSince time.Time // when losses were last written
}

// newAccounts adds up what the listeners, the decoders and the sinks count.
func newAccounts(in *intake, ws *workers, all outputs, d *database, maxStreams int) *accounts {
	now := time.Now()
	return &accounts{
		in: in, workers: ws, outputs: all, database: d, started: now, lossesSince: now,
		ledger: ledger.New(ledger.Options{
			Tables: ws.exporters, Sockets: in.sockets, Refused: in.refused, OverShare: in.overShare,
			Connections: func() map[stream.End]uint64 {
				stats := in.streams.Stats()
				return stats.Ended
			},
			Sinks: all.ledgerSinks(), MaxStreams: maxStreams,
		}),
	}
}

// metrics shows Prometheus the ledger and the state of the collector. refresh is asked from the first scrape on.
func (a *accounts) metrics(version string, refresh func() *metadata.Refresher, log *zap.Logger) *metrics.Metrics {
	o := metrics.Options{
		Ledger: a.ledger, Tables: a.workers.exporters, Snapshot: &a.workers.snapshot, Version: version,
		Log:             log.Named("metrics"),
		Forward:         func() []forward.Stats { return forward.Sum(a.in.forwarders) },
		Connections:     func() stream.Stats { return a.in.streams.Stats() },
		Routing:         a.workers.routes,
		RPKI:            a.workers.validation,
		MetadataCurrent: func() time.Time { return refresh().Current() },
		Sinks:           a.outputs.metrics,
	}
	if a.database.store != nil {
		o.StoreRestarts = a.database.store.Restarts
	}
	return metrics.New(o)
}

// summary adds up what became of everything so far.
func (a *accounts) summary() *report.Summary {
	sum := report.New(a.workers.exporters()...)
	made := a.workers.rows()
	for _, o := range a.outputs {
		o.addTo(sum, made)
	}
	if n := a.workers.expired(); n > 0 {
		what := fmt.Sprintf("rows older than the TTL of %s (%s), which drops them",
			a.database.settings.Tables.Flow, a.database.ttl.Load().Interval)
		sum.Losses = append(sum.Losses, report.NewLoss(n, what, "a clock that is wrong, or a capture of long ago"))
	}
	sum.Losses = append(sum.Losses, a.in.losses()...)
	sum.Unexplained += notMade(sum.Records(), made+a.workers.small())
	if a.in.station != nil {
		sum.LookUps = a.workers.lookUps(made + a.workers.small())
	}
	sum.Took = time.Since(a.started)
	return sum
}

// notMade is how many records became no row. Records of streams that were heard just now may not be counted yet, so
// that there can be more rows.
func notMade(records, rows uint64) uint64 { return records - min(records, rows) }

// writeLosses has the outputs that keep losses store what was counted since it was last called. It belongs to one
// goroutine.
func (a *accounts) writeLosses(now time.Time) {
	var rows []block.Loss
	deviceOf := a.workers.devices()
	for _, line := range a.ledger.Minute(now) {
		row := block.Loss{
			Start: a.lossesSince.Unix(), End: now.Unix(), Exporter: line.Exporter,
			DeviceID: deviceOf(line.Stream, line.Exporter),
			Domain:   line.Stream.Domain, Stage: line.Stage, Sink: line.Sink, What: line.What, Reason: line.Reason,
			Unit: line.UnitOf(line.Stream.Protocol), Missing: line.Missing, Count: line.Count,
		}
		if line.Stream != (flow.StreamKey{}) {
			row.FlowType, row.Protocol = line.Stream.Protocol.Family(), line.Stream.Protocol.String()
		}
		rows = append(rows, row)
	}
	a.lossesSince = now
	for _, o := range a.outputs {
		if w, ok := o.sink.(sink.LossWriter); ok {
			w.WriteLosses(rows)
		}
	}
}

// lastDelivery is how long the last counts wait for the last rows at a stop, so that they count these too.
const lastDelivery = 2 * time.Second

// settleLosses writes the last counts. The workers must have ended. Rows on disk stay there from now on.
func (a *accounts) settleLosses() {
	for deadline := time.Now().Add(lastDelivery); !a.outputs.settled() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	a.writeLosses(time.Now())
}

// devices returns a function that tells the device_id of a stream's rows; "" where no exporter is known. For an
// exporter whose records name others it is that of the sender.
func (ws *workers) devices() func(stream flow.StreamKey, exporter string) string {
	type address struct{ stated, source flow.Addr }
	known := map[flow.StreamKey]address{}
	for _, table := range ws.exporters() {
		for _, stream := range table.Streams() {
			a := address{stream.Key.Exporter, stream.Source}
			if stated := stream.Stated(); stated != (flow.Addr{}) {
				a.stated = stated
			}
			known[stream.Key] = a
		}
	}
	settings, snapshot := ws.settings.Load(), ws.snapshot.Load()
	return func(stream flow.StreamKey, exporter string) string {
		a, found := known[stream]
		if !found {
			addr, err := netip.ParseAddr(exporter)
			if err != nil {
				return ""
			}
			a = address{flow.AddrFrom(addr), flow.AddrFrom(addr)}
		}
		addr := settings.Name(a.stated, a.source)
		if device, found := snapshot.LookupDevice(addr.Netip()); found {
			return device.ID
		}
		return addr.String()
	}
}
