package service

import (
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/verdict"
)

// routeProblem is a verdict on routes, and what it is about.
type routeProblem struct{ code, about string }

// sayAgain is after how long a problem with routes that lasts is logged again.
const sayAgain = time.Hour

// routing logs what is wrong with sessions and routes, and returns what the minute's line says of look-ups. sum is nil
// where there are no routes.
func (m *minute) routing(now time.Time, sum *report.LookUps) []zap.Field {
	if sum == nil || m.accounts.in.station == nil {
		return nil
	}
	r := m.accounts.workers.routingFacts(now, m.accounts.started)
	r.LookUps, r.Window = sum.RouteCounts.Since(m.lookUps), time.Minute
	m.lookUps = sum.RouteCounts
	m.sayVerdicts(now, verdict.OfRouting(r))
	n := &r.LookUps
	return []zap.Field{zap.Uint64("routes found", n.Hit+n.Stale+n.Fallback), zap.Uint64("default routes", n.Default),
		zap.Uint64("without a route", n.Miss+n.NoVRF), zap.Uint64("without a router", n.NoRouter)}
}

// sayVerdicts logs warnings when they are new, and once an hour while they last; and that they are over.
func (m *minute) sayVerdicts(now time.Time, all []verdict.Verdict) {
	if m.said == nil {
		m.said = map[routeProblem]time.Time{}
	}
	there, lines := map[routeProblem]bool{}, 0
	for _, v := range all {
		if v.Severity < verdict.Warning {
			continue
		}
		key := routeProblem{v.Code, v.About}
		there[key] = true
		if at, said := m.said[key]; said && now.Sub(at) < sayAgain || lines >= maxWarnings {
			continue
		}
		lines++
		m.said[key] = now
		m.log.Warn("something is wrong with routes", zap.String("verdict", v.Code), zap.String("what", v.Text),
			zap.String("what to do", v.Fix))
	}
	for key := range m.said {
		if !there[key] {
			delete(m.said, key)
			m.log.Info("routes: a problem is over", zap.String("verdict", key.code), zap.String("of", key.about))
		}
	}
}
