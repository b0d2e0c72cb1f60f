package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// state collects the state of sinks, spools and metadata.
type state struct {
	o Options

	queueBytes, retries, lastDelivery                                   *prometheus.Desc
	spoolBytes, spoolApart, spoolLimit, spoolEntries, spoolRows, oldest *prometheus.Desc
	metadataAge, metadata, storeRestarts                                *prometheus.Desc
}

func newState(o Options) *state {
	return &state{
		o:            o,
		queueBytes:   desc("sink_queue_bytes", "Encoded rows that are waiting in memory or in transit.", "sink"),
		retries:      desc("sink_retries_total", "Failed attempts that were repeated.", "sink"),
		lastDelivery: desc("sink_last_delivery_timestamp_seconds", "Time of the sink's latest delivery.", "sink"),
		spoolBytes:   desc("spool_bytes", "Size of the spool's files.", "sink"),
		spoolApart: desc("spool_apart_bytes",
			"Size of the spool's files with rows of sources that take more than their part.", "sink"),
		spoolLimit: desc("spool_limit_bytes", "Limit of the spool's files, beyond which the oldest is dropped.",
			"sink"),
		spoolEntries: desc("spool_entries", "Blocks on disk that wait for delivery.", "sink"),
		spoolRows:    desc("spool_rows", "Rows on disk that wait for delivery.", "sink"),
		oldest: desc("spool_oldest_age_seconds",
			"Age of the oldest block on disk; 0: none waits.", "sink"),
		metadataAge: desc("metadata_age_seconds",
			"Time since the metadata in use was compared with the tables."),
		storeRestarts: desc("store_restarts_total",
			"Restarts of the local store after it had ended by itself."),
		metadata: desc("metadata_records", "Records and prefixes of the metadata in use.", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.queueBytes, s.retries, s.lastDelivery, s.spoolBytes, s.spoolApart, s.spoolLimit, s.spoolEntries,
		s.spoolRows, s.oldest, s.metadataAge, s.metadata, s.storeRestarts,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- sample(d, prometheus.GaugeValue, v, labels...)
	}
	if s.o.Sinks != nil {
		sinks, spools := s.o.Sinks()
		for _, sink := range sinks {
			gauge(s.queueBytes, float64(sink.QueueBytes), sink.Name)
			ch <- sample(s.retries, prometheus.CounterValue, float64(sink.Retries), sink.Name)
			if !sink.LastDelivery.IsZero() {
				gauge(s.lastDelivery, seconds(sink.LastDelivery), sink.Name)
			}
		}
		for _, spool := range spools {
			gauge(s.spoolBytes, float64(spool.Bytes), spool.Sink)
			gauge(s.spoolApart, float64(spool.Apart), spool.Sink)
			gauge(s.spoolLimit, float64(spool.Limit), spool.Sink)
			gauge(s.spoolEntries, float64(spool.Entries), spool.Sink)
			gauge(s.spoolRows, float64(spool.Rows), spool.Sink)
			age := 0.0
			if !spool.Oldest.IsZero() {
				age = max(0, time.Since(spool.Oldest).Seconds())
			}
			gauge(s.oldest, age, spool.Sink)
		}
	}
	if s.o.StoreRestarts != nil {
		ch <- sample(s.storeRestarts, prometheus.CounterValue, float64(s.o.StoreRestarts()))
	}
	s.snapshot(gauge)
}

func (s *state) snapshot(gauge func(*prometheus.Desc, float64, ...string)) {
	if s.o.Snapshot == nil {
		return
	}
	snapshot := s.o.Snapshot.Load()
	if snapshot == nil {
		return
	}
	if s.o.MetadataCurrent != nil {
		if t := s.o.MetadataCurrent(); !t.IsZero() {
			gauge(s.metadataAge, max(0, time.Since(t).Seconds()))
		}
	}
	stats := snapshot.Stats()
	for kind, n := range map[string]int{
		"device": stats.Devices, "interface": stats.Interfaces, "application": stats.Applications, "as": stats.AS,
		"organization": stats.Organizations, "ip_prefix": stats.IPs, "as_prefix": stats.ASBlocks,
	} {
		gauge(s.metadata, float64(n), kind)
	}
	for name, n := range stats.Extensions {
		gauge(s.metadata, float64(n), name+"_prefix")
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
