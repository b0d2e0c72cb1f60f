package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metranova/flow-collector/collector/ledger"
)

// connections collects the counters of TCP connections.
type connections struct {
	o                     Options
	open, accepted, ended *prometheus.Desc
}

func newConnections(o Options) *connections {
	return &connections{
		o:        o,
		open:     desc("connections", "TCP connections of exporters that are open.", "transport"),
		accepted: desc("connections_accepted_total", "TCP connections that were accepted."),
		ended: desc("connections_ended_total", "TCP connections that ended or were refused, by reason.", "reason",
			"source"),
	}
}

// Describe implements prometheus.Collector.
func (c *connections) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.open
	ch <- c.accepted
	ch <- c.ended
}

// Collect implements prometheus.Collector.
func (c *connections) Collect(ch chan<- prometheus.Metric) {
	if c.o.Connections == nil {
		return
	}
	stats := c.o.Connections()
	if stats.Open == nil {
		return
	}
	for transport, n := range stats.Open {
		ch <- sample(c.open, prometheus.GaugeValue, float64(n), string(transport))
	}
	ch <- sample(c.accepted, prometheus.CounterValue, float64(stats.Accepted))
	for end, n := range stats.Ended {
		source := ledger.Other
		if end.Source.IsValid() {
			source = end.Source.String()
		}
		ch <- sample(c.ended, prometheus.CounterValue, float64(n), string(end.Reason), source)
	}
}
