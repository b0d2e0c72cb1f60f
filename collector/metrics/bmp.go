package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
)

// monitored are the metrics of BMP sessions.
type monitored struct {
	up, since, sessions, peers, messages, routes, reported, errors, unread, beyond, refused,
	left *prometheus.Desc
}

func newMonitored() *monitored {
	labels := []string{"address", "name", "router"}
	with := func(label string) []string { return append(labels[:3:3], label) }
	return &monitored{
		up: desc("bmp_session_up", "1 for a BMP session that is up, 0 for one that ended while its routes stay.",
			labels...),
		since:    desc("bmp_session_since_timestamp_seconds", "When the BMP session began or ended.", labels...),
		sessions: desc("bmp_sessions_total", "BMP sessions of the router so far.", labels...),
		peers:    desc("bmp_peers", "BGP peers of the router that are up, Loc-RIBs among them.", labels...),
		messages: desc("bmp_messages_total", "BMP messages.", with("type")...),
		routes:   desc("bmp_routes", "Routes of the router's BMP sessions in the routing table.", with("view")...),
		reported: desc("bmp_reported_routes", "Routes that the router says it has, if it says so.", with("view")...),
		errors: desc("bmp_attribute_errors_total",
			"UPDATE messages with an attribute, family or encoding that was not as it should be.", with("reason")...),
		unread: desc("bmp_unreadable_messages_total", "BMP messages that could not be read, or in part only.",
			with("reason")...),
		beyond: desc("bmp_beyond_bounds_total",
			"Messages and routes of BGP peers that were left out because the router reports too many.", labels...),
		left: desc("bmp_left_out_routes",
			"Routes that did not fit in the table and were not announced again.", labels...),
		refused: desc("bmp_connections_refused_total",
			"TCP connections for BMP that did not become a session: of no allowed router, or after an error.",
			"reason"),
	}
}

func (c *monitored) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.since, c.sessions, c.peers, c.messages, c.routes, c.reported, c.errors,
		c.unread, c.beyond, c.refused, c.left} {
		ch <- d
	}
}

func (c *monitored) collect(s *routing.BMPStats, gauge func(*prometheus.Desc, float64, ...string),
	counter func(*prometheus.Desc, uint64, ...string)) {
	counter(c.refused, s.Refused, "not_allowed")
	counter(c.refused, s.Failed, "failed")
	for i := range s.Sessions {
		x := &s.Sessions[i]
		labels := func(more ...string) []string {
			return append([]string{x.Address.String(), x.Name, x.Router},
				more...)
		}
		gauge(c.up, number(x.Up), labels()...)
		gauge(c.since, float64(x.Since.Unix()), labels()...)
		gauge(c.peers, float64(x.Peers), labels()...)
		gauge(c.left, float64(x.LeftOut), labels()...)
		counter(c.sessions, x.Sessions, labels()...)
		counter(c.beyond, x.Beyond, labels()...)
		counter(c.unread, x.Unreadable, labels("message")...)
		counter(c.unread, x.BadOpens, labels("open")...)
		for i, n := range x.Messages {
			counter(c.messages, n, labels(bmp.Type(i).String())...)
		}
		for i, n := range x.Routes {
			view := bmp.View(i).String()
			if n > 0 {
				gauge(c.routes, float64(n), labels(view)...)
			}
			if x.Reported[i] >= 0 {
				gauge(c.reported, float64(x.Reported[i]), labels(view)...)
			}
		}
		for r, n := range x.Reasons {
			if n > 0 {
				counter(c.errors, n, labels(bgp.Reason(r).String())...)
			}
		}
	}
}
