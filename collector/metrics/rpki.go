package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// payloads collects what is known of RPKI data.
type payloads struct {
	o Options

	count, expired, up, used, serial, updated, errors *prometheus.Desc
}

func newPayloads(o Options) *payloads {
	return &payloads{
		o:       o,
		count:   desc("rpki_payloads", "Validated ROA payloads that routes are validated with."),
		expired: desc("rpki_expired", "1 if the data of all caches is too old: all routes are unknown."),
		up: desc("rpki_source_up", "1 for a cache that is connected and complete, or a file that was read.",
			"source"),
		used:   desc("rpki_source_in_use", "1 for the source whose data is in use.", "source"),
		serial: desc("rpki_source_serial", "Serial number of the cache's data.", "source"),
		updated: desc("rpki_source_updated_timestamp_seconds", "When the source's data was received or made.",
			"source"),
		errors: desc("rpki_source_errors_total", "Failed sessions with the cache, or failed reads of the file.",
			"source"),
	}
}

// Describe implements prometheus.Collector.
func (c *payloads) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.count, c.expired, c.up, c.used, c.serial, c.updated, c.errors} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *payloads) Collect(ch chan<- prometheus.Metric) {
	if c.o.RPKI == nil {
		return
	}
	r, on := c.o.RPKI()
	if !on {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- sample(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.count, float64(r.Payloads))
	gauge(c.expired, number(r.Expired))
	for i := range r.Sources {
		x := &r.Sources[i]
		gauge(c.up, number(x.Up()), x.Name)
		gauge(c.used, number(x.InUse), x.Name)
		gauge(c.serial, float64(x.Serial), x.Name)
		if !x.Updated.IsZero() {
			gauge(c.updated, float64(x.Updated.Unix()), x.Name)
		}
		ch <- sample(c.errors, prometheus.CounterValue, float64(x.Errors), x.Name)
	}
}
