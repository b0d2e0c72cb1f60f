package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metranova/flow-collector/collector/forward"
)

// forwards collects the counters of forwarding.
type forwards struct {
	stats      func() []forward.Stats
	sent, lost *prometheus.Desc
}

func newForwards(o Options) *forwards {
	return &forwards{
		stats: o.Forward,
		sent:  desc("forwarded_datagrams_total", "Datagrams that were forwarded to another collector.", "target"),
		lost: desc("forward_dropped_datagrams_total", "Datagrams that another collector did not get, by reason.",
			"target", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (f *forwards) Describe(ch chan<- *prometheus.Desc) {
	ch <- f.sent
	ch <- f.lost
}

// Collect implements prometheus.Collector.
func (f *forwards) Collect(ch chan<- prometheus.Metric) {
	if f.stats == nil {
		return
	}
	for _, s := range f.stats() {
		ch <- sample(f.sent, prometheus.CounterValue, float64(s.Sent), s.Target)
		for reason, n := range s.Lost {
			ch <- sample(f.lost, prometheus.CounterValue, float64(n), s.Target,
				forward.Reason(reason).Label())
		}
	}
}
