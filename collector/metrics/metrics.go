// Package metrics exports the collector's counters to Prometheus. Everything is read during a scrape; nothing of it is
// on a datagram's way. The number of series is bounded by the ledger, which limits the exporters with series of their
// own.
package metrics

import (
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
)

const namespace = "flow_collector"

// Options are the sources of the numbers. nil: there are none of this kind.
type Options struct {
	Ledger   *ledger.Ledger
	Tables   func() []*exporter.Table
	Sinks    func() ([]Sink, []Spool)
	Forward  func() []forward.Stats
	Snapshot *atomic.Pointer[enrich.Snapshot]
	// Connections returns the counters of TCP connections; their Open is nil if TCP is not used.
	Connections func() stream.Stats
	// Routing is what is known of routes; false: routes are off.
	Routing func() (Routing, bool)
	// RPKI is what is known of RPKI data; false: routes are not validated.
	RPKI func() (rpki.Stats, bool)
	// MetadataCurrent is when the snapshot was last seen to be what the tables say; zero: never.
	MetadataCurrent func() time.Time

	// StoreRestarts returns how often the local store was restarted; nil: there is none.
	StoreRestarts func() uint64

	Version string
	Log     *zap.Logger
}

// Sink is the state of a destination of rows.
type Sink struct {
	Name         string
	QueueBytes   int64
	Retries      uint64    // failed attempts that were repeated
	LastDelivery time.Time // zero: none yet
}

// Spool is the state of the data on disk.
type Spool struct {
	Sink          string
	Bytes, Limit  int64 // of the files
	Apart         int64 // the part of Bytes that is of sources above their part
	Entries, Rows uint64
	Oldest        time.Time // when the oldest waiting entry was written; zero: none waits
}

// Metrics collects the metrics. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	inserts  *prometheus.HistogramVec
	log      *zap.Logger
}

// New registers all metrics.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), log: o.Log}
	if m.log == nil {
		m.log = zap.NewNop()
	}
	m.inserts = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "insert_duration_seconds",
		Help:    "Duration of attempts to insert a block, by result.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 12), // up to 2 minutes
	}, []string{"sink", "outcome"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels describe the program.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.inserts, info, newStreams(o), newState(o), newForwards(o), newConnections(o), newRoutes(o), newPayloads(o),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Inserted records an attempt to insert a block.
func (m *Metrics) Inserted(sink string, took time.Duration, err error) {
	outcome := "stored"
	if err != nil {
		outcome = "failed"
	}
	m.inserts.WithLabelValues(sink, outcome).Observe(took.Seconds())
}

// Handler returns the handler for Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(m.log), EnableOpenMetrics: true,
		MaxRequestsInFlight: 4})
}
