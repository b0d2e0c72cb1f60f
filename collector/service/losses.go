package service

import (
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
)

// newLedger adds up what the listeners, the decoders and the sinks count.
func (s *service) newLedger() *ledger.Ledger {
	return ledger.New(ledger.Options{
		Tables: s.exporters,
		Sockets: func() (all []ledger.Socket) {
			for n, l := range s.listeners {
				for _, socket := range l.Sockets() {
					all = append(all, ledger.Socket{SocketStats: socket, Worker: n})
				}
			}
			return all
		},
		Refused:   func() map[netip.Addr]uint64 { return bySource(s.listeners, (*listen.Worker).Refusals) },
		OverShare: func() map[netip.Addr]uint64 { return bySource(s.listeners, (*listen.Worker).OverShare) },
		Connections: func() map[stream.End]uint64 {
			stats := s.streams.Stats()
			return stats.Ended
		},
		Sinks:      s.outputs.ledgerSinks(),
		MaxStreams: s.cfg.Metrics.MaxExporters,
	})
}

// bySource adds up what all workers count of each source.
func bySource(listeners []*listen.Worker, counts func(*listen.Worker) map[netip.Addr]uint64) map[netip.Addr]uint64 {
	all := map[netip.Addr]uint64{}
	for _, l := range listeners {
		for source, n := range counts(l) {
			all[source] += n
		}
	}
	return all
}

// newMetrics shows Prometheus the ledger and the state of the service.
func (s *service) newMetrics() *metrics.Metrics {
	o := metrics.Options{
		Ledger: s.ledger, Tables: s.exporters, Snapshot: &s.snapshot, Version: s.version, Log: s.log.Named("metrics"),
		Forward:         func() []forward.Stats { return forward.Sum(s.forwarders) },
		Connections:     func() stream.Stats { return s.streams.Stats() },
		Routing:         s.routes,
		MetadataCurrent: func() time.Time { return s.refresh.Current() },
		Sinks:           s.outputs.metrics,
	}
	if s.store != nil {
		o.StoreRestarts = s.store.Restarts
	}
	return metrics.New(o)
}

// writeLosses has the outputs that keep losses store what was counted since it was last called.
func (s *service) writeLosses(now time.Time) {
	var rows []block.Loss
	deviceOf := s.devices()
	for _, line := range s.ledger.Minute(now) {
		row := block.Loss{
			Start: s.lossesSince.Unix(), End: now.Unix(), Exporter: line.Exporter,
			DeviceID: deviceOf(line.Stream, line.Exporter),
			Domain:   line.Stream.Domain, Stage: line.Stage, Sink: line.Sink, What: line.What, Reason: line.Reason,
			Unit: line.UnitOf(line.Stream.Protocol), Missing: line.Missing, Count: line.Count,
		}
		if line.Stream != (flow.StreamKey{}) {
			row.FlowType, row.Protocol = line.Stream.Protocol.Family(), line.Stream.Protocol.String()
		}
		rows = append(rows, row)
	}
	s.lossesSince = now
	for _, o := range s.outputs {
		if w, ok := o.sink.(sink.LossWriter); ok {
			w.WriteLosses(rows)
		}
	}
}

// lastDelivery is how long the last counts wait for the last rows at a stop, so that what became of these is among
// them.
const lastDelivery = 2 * time.Second

// settleLosses writes the last counts. The workers must have ended. Rows on disk stay there from now on.
func (s *service) settleLosses() {
	for deadline := time.Now().Add(lastDelivery); !s.outputs.settled() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	s.writeLosses(time.Now())
}

// devices returns what tells the device_id of a stream's rows: "" where no exporter is known. An exporter that names
// others in its records is taken for the one that sends them.
func (s *service) devices() func(stream flow.StreamKey, exporter string) string {
	type address struct{ stated, source flow.Addr }
	known := map[flow.StreamKey]address{}
	for _, table := range s.exporters() {
		for _, stream := range table.Streams() {
			a := address{stream.Key.Exporter, stream.Source}
			if stated := stream.Stated(); stated != (flow.Addr{}) {
				a.stated = stated
			}
			known[stream.Key] = a
		}
	}
	settings, snapshot := s.live.Load(), s.snapshot.Load()
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
