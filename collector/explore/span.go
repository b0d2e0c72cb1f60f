package explore

import "time"

// steps are the possible steps of a graph.
var steps = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// graphPoints is the maximum number of points of a graph. A view that is no graph over time has at most sumPoints: more
// of its questions can be answered from rollups then.
const graphPoints, sumPoints = 180, 48

// mostPoints returns the maximum number of points of the question's view.
func (q Question) mostPoints() time.Duration {
	switch q.View {
	case Table, Sankey, Matrix, Map:
		return sumPoints
	}
	return graphPoints
}

// span is the time range of a query, in whole steps. That of View Single is exact.
type span struct {
	from, to time.Time
	step     time.Duration
	graph    time.Duration // the step without Question.Step
	partial  bool          // the last step is not over
	widened  bool          // for whole steps it is more than was asked for
}

func (s span) points() int            { return int(s.to.Sub(s.from) / s.step) }
func (s span) length() time.Duration  { return s.to.Sub(s.from) }
func (s span) complete() (points int) { return max(s.points()-b2i(s.partial), 0) }

// before returns the earlier span with the same number of steps.
func (s span) before(b Before) span {
	back := s.length()
	switch day := 24 * time.Hour; b {
	case DayBefore:
		back = max(day, s.step)
	case WeekBefore:
		back = 7 * day
	}
	return span{from: s.from.Add(-back), to: s.to.Add(-back), step: s.step}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stepFor returns the step of the question's view for a length of time. Hours are not cut.
func (q Question) stepFor(length time.Duration) time.Duration {
	for _, step := range steps {
		if length <= q.mostPoints()*step && (q.View != Hours || step >= time.Hour) {
			return step
		}
	}
	return steps[len(steps)-1]
}

// span divides the question's time into steps. Steps of a day or more start at midnight of the question's zone, unless
// its UTC offset changes within the time.
func (q Question) span(now time.Time) span {
	from, to := q.times(now)
	step := q.stepFor(to.Sub(from))
	s := span{step: step, graph: step}
	if q.View == Single { // the rows have their own times, to which no step matters
		s.from, s.to = from.Truncate(time.Second), ceil(to, time.Second)
		return s
	}
	_, seconds := from.In(q.Location()).Zone()
	offset := time.Duration(seconds) * time.Second
	s.from = from.Add(offset).Truncate(s.step).Add(-offset)
	if q.Step > 0 && q.Step < s.step && to.Sub(s.from) <= mostSteps*q.Step && q.View.hasStatistics() {
		s.step = q.Step
	}
	s.to = ceil(to.Add(offset), s.step).Add(-offset)
	s.partial = s.to.After(now)
	s.widened = from.Sub(s.from) >= time.Second || !s.partial && s.to.Sub(to) >= time.Second
	return s
}

// ceil rounds up to a multiple of step since the zero time.
func ceil(t time.Time, step time.Duration) time.Time {
	if down := t.Truncate(step); down.Before(t) {
		return down.Add(step)
	}
	return t
}

// StepText is the length of a step as people write it.
func StepText(step time.Duration) string {
	if step < time.Minute {
		return step.String()
	}
	return Duration(step)
}
