package service

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// newLedger adds up what the listeners, the decoders and the sinks count.
func (s *service) newLedger() *ledger.Ledger {
	sinks := []ledger.Sink{{Name: clickHouseSink, Book: s.books.rows, Reasons: texts(clickhouse.Reasons())}}
	if s.cfg.Kafka.Topic != "" {
		sinks = append(sinks, ledger.Sink{Name: kafkaSink, Book: s.books.messages, Reasons: texts(kafka.Reasons())})
	}
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
		Sinks:      sinks,
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

// Sinks as metrics and the table of losses call them.
const clickHouseSink, kafkaSink = "clickhouse", "kafka"

func texts[T ~string](all []T) []string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return texts
}

// books say what became of rows and of messages, by exporter.
type books struct{ rows, messages *tally.Book }

func newBooks() books { return books{&tally.Book{}, &tally.Book{}} }

// newMetrics shows Prometheus the ledger and the state of the service.
func (s *service) newMetrics() *metrics.Metrics {
	o := metrics.Options{
		Ledger: s.ledger, Tables: s.exporters, Snapshot: &s.snapshot, Version: s.version, Log: s.log.Named("metrics"),
		Forward:         func() []forward.Stats { return forward.Sum(s.forwarders) },
		Connections:     func() stream.Stats { return s.streams.Stats() },
		MetadataCurrent: func() time.Time { return s.refresh.Current() },
		Sinks: func() []metrics.Sink {
			stats := s.writer.Stats()
			all := []metrics.Sink{{
				Name: clickHouseSink, QueueBytes: stats.QueuedBytes, Retries: stats.Retried.Inserts,
				LastDelivery: stats.LastDelivery,
			}}
			if s.producer != nil {
				stats := s.producer.Stats()
				all = append(all, metrics.Sink{
					Name: kafkaSink, QueueBytes: int64(stats.Queued.Bytes), Retries: stats.Retried.Messages,
					LastDelivery: stats.LastDelivery,
				})
			}
			return all
		},
		Spools: func() []metrics.Spool {
			var all []metrics.Spool
			add := func(sink string, disk *spool.Spool, limit int) {
				if disk == nil {
					return
				}
				stats := disk.Stats()
				all = append(all, metrics.Spool{
					Sink: sink, Bytes: stats.DiskBytes, Limit: int64(limit), Oldest: stats.Oldest,
					Entries: stats.Waiting.Entries, Rows: stats.Waiting.Rows,
				})
			}
			add(clickHouseSink, s.spool, s.cfg.Spool.MaxBytes)
			add(kafkaSink, s.kafkaSpool, s.cfg.Kafka.SpoolMaxBytes)
			return all
		},
	}
	if s.store != nil {
		o.StoreRestarts = s.store.Restarts
	}
	return metrics.New(o)
}

// losses writes collector_loss: what was counted since it last did.
type losses struct {
	block *block.Losses
	query string
	since time.Time
	n     int
}

// writeLosses sends the counts since it was last called to the table.
func (s *service) writeLosses(now time.Time) {
	name := s.settings.Tables.Loss
	if name == "" || s.settings.MetadataOnly {
		return
	}
	l := s.losses
	if l == nil {
		b := block.NewLosses(s.cfg.CollectorID)
		l = &losses{block: b, query: clickhouse.InsertQuery(s.settings.Database, name, b.Columns()), since: s.started}
		s.losses = l
	}
	deviceOf := s.devices()
	for _, line := range s.ledger.Minute(now) {
		row := block.Loss{
			Start: l.since.Unix(), End: now.Unix(), Exporter: line.Exporter,
			DeviceID: deviceOf(line.Stream, line.Exporter),
			Domain:   line.Stream.Domain, Stage: line.Stage, Sink: line.Sink, What: line.What, Reason: line.Reason,
			Unit: line.UnitOf(line.Stream.Protocol), Missing: line.Missing, Count: line.Count,
		}
		if line.Stream != (flow.StreamKey{}) {
			row.FlowType, row.Protocol = line.Stream.Protocol.Family(), line.Stream.Protocol.String()
		}
		l.block.Append(&row)
	}
	l.since = now
	if l.block.Rows() == 0 {
		return
	}
	l.n++
	s.writer.Enqueue(&clickhouse.Insert{
		Query: l.query, Token: fmt.Sprintf("%s-loss-%d", s.run, l.n), Rows: l.block.Rows(), Data: l.block.Encode(nil),
	})
	l.block.Reset()
}

// lastDelivery is how long the last counts wait for the last rows at a stop, so that what became of these is among
// them.
const lastDelivery = 2 * time.Second

// settleLosses writes the last counts. The workers must have ended. Rows on disk stay there from now on.
func (s *service) settleLosses() {
	settled := func() bool { return s.writer.Rest() && s.books.rows.Total().Waiting == 0 }
	for deadline := time.Now().Add(lastDelivery); !settled() && time.Now().Before(deadline); {
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
