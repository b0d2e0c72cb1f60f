package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// Routing is what is known of routes: of sessions, and what workers have looked up.
type Routing struct {
	routing.Stats
	LookUps enrich.RouteCounts
	// Exporters are those of LookUps by exporter, Others those of exporters without counts of their own.
	Exporters []enrich.ExporterLookUps
	Others    enrich.ExporterLookUps
}

// routes collects what is known of routes.
type routes struct {
	o Options

	up, since, sessions, updates, routes, complete, errors *prometheus.Desc
	refused, prefixes, records, bytes, limit, limbo        *prometheus.Desc
	full, lookUps, lookedUp, unknownVRF                    *prometheus.Desc
	saved, left, absent, keys                              *prometheus.Desc
	bmp                                                    *monitored
}

func newRoutes(o Options) *routes {
	labels := []string{"neighbor", "router"}
	return &routes{
		o: o, bmp: newMonitored(),
		up: desc("routing_session_up",
			"1 for a BGP session that is up, 0 for one that ended while its routes stay.", labels...),
		since:    desc("routing_session_since_timestamp_seconds", "When the BGP session began or ended.", labels...),
		sessions: desc("routing_sessions_total", "BGP sessions of the neighbor so far.", labels...),
		updates:  desc("routing_updates_total", "UPDATE messages.", labels...),
		routes:   desc("routing_routes", "Routes in the table.", append(labels, "family")...),
		complete: desc("routing_complete", "1 if the session has announced all its routes (End-of-RIB).",
			append(labels, "family")...),
		errors: desc("routing_attribute_errors_total",
			"UPDATE messages with an attribute or family that was not taken.",
			append(labels, "reason")...),
		refused: desc("routing_connections_refused_total",
			"TCP connections for BGP that did not become a session: of no configured neighbor, or after an error.",
			"reason"),
		prefixes: desc("routing_prefixes", "Different prefixes of all routers.", "family"),
		records:  desc("routing_records", "Different sets of attributes of all routes."),
		bytes:    desc("routing_memory_bytes", "Memory that routes take."),
		limit:    desc("routing_memory_limit_bytes", "Memory that routes may take."),
		limbo:    desc("routing_limbo_bytes", "Memory of removed routes that waits for workers to finish their batch."),
		saved:    desc("routing_saved_timestamp_seconds", "When the routes were saved for the next start."),
		left: desc("routing_left_out_routes",
			"Routes that did not fit in the table and were not announced again.", labels...),
		absent: desc("routing_absent_routers", "Configured routers without a session and without routes.",
			"protocol"),
		keys: desc("routing_md5_failures_total",
			"TCP segments without the key of their neighbor or with a wrong one, of all sockets of this host."),
		full:    desc("routing_refused_routes_total", "Routes that were left out because the table is full."),
		lookUps: desc("routing_lookups_total", "Look-ups of destinations, one for each row.", "result"),
		lookedUp: desc("routing_exporter_lookups_total", "Look-ups of destinations of an exporter's flows.",
			"exporter", "result"),
		unknownVRF: desc("routing_exporter_unknown_vrf_total",
			"Look-ups of VRFs without a table, answered by the global one.", "exporter"),
	}
}

// Describe implements prometheus.Collector.
func (c *routes) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.since, c.sessions, c.updates, c.routes, c.complete, c.errors,
		c.refused,
		c.saved, c.left, c.absent, c.keys, c.prefixes, c.records, c.bytes, c.limit, c.limbo, c.full, c.lookUps,
		c.lookedUp, c.unknownVRF} {
		ch <- d
	}
	c.bmp.describe(ch)
}

// Collect implements prometheus.Collector.
func (c *routes) Collect(ch chan<- prometheus.Metric) {
	if c.o.Routing == nil {
		return
	}
	r, on := c.o.Routing()
	if !on {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- sample(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- sample(d, prometheus.CounterValue, float64(v), labels...)
	}
	for i := range r.Sessions {
		c.session(&r.Sessions[i], gauge, counter)
	}
	counter(c.refused, r.Refused, "not_configured")
	counter(c.refused, r.Failed, "failed")
	c.bmp.collect(&r.BMP, gauge, counter)
	gauge(c.prefixes, float64(r.RIB.Prefixes4), "ipv4")
	gauge(c.prefixes, float64(r.RIB.Prefixes6), "ipv6")
	gauge(c.records, float64(r.RIB.Records))
	gauge(c.bytes, float64(r.RIB.Bytes))
	gauge(c.limit, float64(r.RIB.MaxBytes))
	gauge(c.limbo, float64(r.RIB.LimboBytes))
	if !r.Saved.IsZero() {
		gauge(c.saved, float64(r.Saved.Unix()))
	}
	counter(c.full, r.RIB.Refused)
	counter(c.keys, r.WrongKeys)
	absent := map[string]int{"BGP": 0, "BMP": 0}
	for _, x := range r.Absent {
		absent[x.Protocol]++
	}
	for protocol, n := range absent {
		gauge(c.absent, float64(n), strings.ToLower(protocol))
	}
	for result, n := range r.LookUps.All() {
		counter(c.lookUps, n, result.String())
	}
	for i := range r.Exporters {
		c.exporter(r.Exporters[i].Exporter.String(), &r.Exporters[i], counter)
	}
	c.exporter(ledger.Other, &r.Others, counter)
}

// exporter collects the look-ups of an exporter's flows.
func (c *routes) exporter(name string, x *enrich.ExporterLookUps, counter func(*prometheus.Desc, uint64, ...string)) {
	for result, n := range x.All() {
		if n > 0 {
			counter(c.lookedUp, n, name, result.String())
		}
	}
	if x.UnknownVRF > 0 {
		counter(c.unknownVRF, x.UnknownVRF, name)
	}
}

// session collects what is known of a session. Several sessions of one address differ in their router.
func (c *routes) session(x *routing.Session, gauge func(*prometheus.Desc, float64, ...string),
	counter func(*prometheus.Desc, uint64, ...string)) {
	labels := func(more ...string) []string { return append([]string{x.Address.String(), x.Router}, more...) }
	gauge(c.up, number(x.Up), labels()...)
	gauge(c.since, float64(x.Since.Unix()), labels()...)
	counter(c.sessions, x.Sessions, labels()...)
	counter(c.updates, x.Updates, labels()...)
	gauge(c.left, float64(x.LeftOut), labels()...)
	for i, n := range x.Routes {
		f := route.FamilyAt(i)
		if n > 0 || x.Complete[i] {
			gauge(c.routes, float64(n), labels(f.String())...)
			gauge(c.complete, number(x.Complete[i]), labels(f.String())...)
		}
	}
	for r, n := range x.Reasons {
		if n > 0 {
			counter(c.errors, n, labels(bgp.Reason(r).String())...)
		}
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
