package service

import "github.com/metranova/flow-collector/collector/metrics"

// routes is what is known of routes, for metrics; false: there are none.
func (s *service) routes() (metrics.Routing, bool) {
	if s.station == nil {
		return metrics.Routing{}, false
	}
	r := metrics.Routing{Stats: s.station.Stats()}
	for _, w := range s.workers {
		r.LookUps.Add(w.Enricher.RouteCounts())
	}
	return r, true
}
