package metrics

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// streamLabels identify a stream. For all streams without an account of their own, exporter is "other" and the rest is
// empty.
var streamLabels = []string{"exporter", "protocol", "domain"}

// streams collects the ledger's counters of each exporter, and its present state.
type streams struct {
	o     Options
	metas []columnMetric // one for each column of the ledger

	drops, refused, overload, unreadable *prometheus.Desc
	lastSeen, skew, rate, missing        *prometheus.Desc
	known, waiting, tracked, evicted     *prometheus.Desc
}

// columnMetric is the metric of a column of the ledger.
type columnMetric struct {
	desc   *prometheus.Desc
	labels func(s *ledger.Series) []string // in addition to those of the stream
	always bool                            // exported even while it is 0
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// sample returns a value of a metric. What is not UTF-8 in its labels is replaced: the library panics at it, and names
// come from routers, files and the environment.
func sample(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) prometheus.Metric {
	for i, label := range labels {
		if !utf8.ValidString(label) {
			labels[i] = strings.ToValidUTF8(label, "\ufffd")
		}
	}
	return prometheus.MustNewConstMetric(d, kind, v, labels...)
}

func newStreams(o Options) *streams {
	s := &streams{
		o: o,
		drops: desc("kernel_dropped_datagrams_total",
			"Datagrams that the kernel dropped: a receive buffer was full, or the collector was stopping.", "address",
			"worker", "reason"),
		refused: desc("refused_datagrams_total",
			"Datagrams of exporters that may not send (listen.allowed_exporters).", "source"),
		overload: desc("overload_dropped_datagrams_total",
			"Datagrams dropped while the collector was behind, of sources that took more than their share.", "source"),
		unreadable: desc("unattributed_datagrams_total", "Datagrams that belong to no exporter's stream.", "reason"),
		lastSeen:   desc("exporter_last_seen_timestamp_seconds", "Time of the latest datagram.", streamLabels...),
		skew: desc("exporter_clock_skew_seconds",
			"Delay of the latest datagram after the time in its header.", streamLabels...),
		rate: desc("exporter_sampling_interval_packets",
			"Sampling rate of the latest record: one in N packets.", append(streamLabels, "source")...),
		missing: desc("exporter_missing_templates", "Templates that data sets wait for, or waited for and never got.",
			streamLabels...),
		known:   desc("exporter_known_templates", "Known templates.", streamLabels...),
		waiting: desc("sink_waiting_rows", "Rows that are waiting in memory or in transit.", "sink"),
		tracked: desc("exporter_streams", "Streams (exporter, protocol, observation domain) in memory."),
		evicted: desc("exporter_streams_evicted_total",
			"Streams that were evicted because there were too many."),
	}
	errors := desc("decode_errors_total", "What could not be decoded, by reason, in the unit of the reason.",
		append(streamLabels, "reason", "unit")...)
	rows := desc("sink_rows_total", "What became of rows at a sink.",
		append(streamLabels, "sink", "outcome", "reason")...)
	shared := map[string]*prometheus.Desc{}
	counters := map[string]exporter.Counter{}
	for _, c := range exporter.Counters() {
		counters[c.Name] = c
	}
	for _, c := range o.Ledger.Columns() {
		m := columnMetric{always: c.Stage == ledger.Received && c.Unit != "samples" || c.What == ledger.Delivered}
		switch c.Stage {
		case ledger.Decode:
			m.desc, m.labels = errors, func(*ledger.Series) []string { return []string{c.Reason, c.Unit} }
		case ledger.SinkRows:
			m.desc, m.labels = rows, func(*ledger.Series) []string { return []string{c.Sink, c.What, c.Reason} }
		default:
			counter := counters[c.What]
			labels := streamLabels
			m.labels = func(*ledger.Series) []string { return nil }
			if c.What == "sequence_lost" {
				labels = append(labels, "unit")
				m.labels = func(s *ledger.Series) []string { return []string{unit(&c, s)} }
			}
			if shared[c.What] == nil {
				shared[c.What] = desc(counter.Metric, counter.Help, labels...)
			}
			m.desc = shared[c.What]
		}
		s.metas = append(s.metas, m)
	}
	return s
}

// unit returns a column's unit; the streams without an account of their own are of several protocols.
func unit(c *ledger.Column, s *ledger.Series) string {
	if s.Others() {
		return ""
	}
	return c.UnitOf(s.Stream.Protocol)
}

// Describe implements prometheus.Collector.
func (s *streams) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range s.metas {
		ch <- m.desc
	}
	for _, d := range []*prometheus.Desc{
		s.drops, s.refused, s.overload, s.unreadable, s.lastSeen, s.skew, s.rate, s.missing, s.known, s.waiting,
		s.tracked, s.evicted,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *streams) Collect(ch chan<- prometheus.Metric) {
	named := map[flow.StreamKey]bool{}
	for _, series := range s.o.Ledger.Series() {
		named[series.Stream] = !series.Others()
		for i, n := range series.Counts {
			m := &s.metas[i]
			if n > 0 || m.always && !series.Others() {
				ch <- sample(m.desc, prometheus.CounterValue, float64(n),
					append(labels(&series), m.labels(&series)...)...)
			}
		}
	}
	for a, n := range s.o.Ledger.Unattributed() {
		switch a.Stage {
		case ledger.Kernel:
			ch <- sample(s.drops, prometheus.CounterValue, float64(n), a.From,
				strconv.Itoa(a.Worker), a.Reason)
		case ledger.Filter:
			ch <- sample(s.refused, prometheus.CounterValue, float64(n), a.From)
		case ledger.Overload:
			ch <- sample(s.overload, prometheus.CounterValue, float64(n), a.From)
		case ledger.Decode:
			ch <- sample(s.unreadable, prometheus.CounterValue, float64(n), a.Reason)
		}
	}
	for sink, n := range s.o.Ledger.Waiting() {
		ch <- sample(s.waiting, prometheus.GaugeValue, float64(n), sink)
	}
	s.exporters(ch, named)
}

func labels(s *ledger.Series) []string {
	if s.Others() {
		return []string{ledger.Other, "", ""}
	}
	return streamValues(s.Stream)
}

func streamValues(key flow.StreamKey) []string {
	return []string{key.Exporter.String(), key.Protocol.String(), strconv.FormatUint(uint64(key.Domain), 10)}
}

// exporters collects the state of the streams with an account of their own. If several workers have a stream, the one
// that received from it last is shown.
func (s *streams) exporters(ch chan<- prometheus.Metric, named map[flow.StreamKey]bool) {
	if s.o.Tables == nil {
		return
	}
	latest := map[flow.StreamKey]*exporter.Stream{}
	all, evicted := 0, uint64(0)
	for _, t := range s.o.Tables() {
		evicted += t.Evicted()
		for _, stream := range t.Streams() {
			all++
			if l := latest[stream.Key]; named[stream.Key] && (l == nil || l.LastSeen.Load() < stream.LastSeen.Load()) {
				latest[stream.Key] = stream
			}
		}
	}
	ch <- sample(s.tracked, prometheus.GaugeValue, float64(all))
	ch <- sample(s.evicted, prometheus.CounterValue, float64(evicted))
	for key, stream := range latest {
		values := streamValues(key)
		gauge := func(d *prometheus.Desc, v float64, more ...string) {
			ch <- sample(d, prometheus.GaugeValue, v, append(values, more...)...)
		}
		gauge(s.lastSeen, float64(stream.LastSeen.Load())/1e9)
		if key.Protocol != flow.SFlow5 { // its datagrams have no time
			gauge(s.skew, float64(stream.ClockSkewMs.Load())/1e3)
		}
		if stream.Records.Load() > 0 {
			gauge(s.rate, float64(stream.SamplingRate.Load()),
				flow.SamplingSource(stream.SamplingSource.Load()).String())
		}
		if key.Protocol == flow.NetFlowV9 || key.Protocol == flow.IPFIX {
			gauge(s.missing, float64(len(stream.Missing())))
			gauge(s.known, float64(stream.Known.Load()))
		}
	}
}
