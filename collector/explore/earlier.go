package explore

import (
	"context"
	"strings"
)

// back queries the other direction and adds it to the same lines. Keys without a line get one while there are fewer
// than the question's Top; the others are added to the last line.
func (e *Explorer) back(ctx context.Context, a *Answer, s span, by []*dimension) error {
	other := a.Question
	other.Top = MaxTop
	query, err := e.Planner.series(&other, s, e.Now(), true)
	if err != nil {
		return err
	}
	line := func(keys []string, rank int) Series {
		return Series{Keys: keys, Names: make([]string, len(by)), Rank: rank, Points: make([]float64, s.points())}
	}
	// The line of all others is added last.
	others, hasOthers := line(make([]string, len(by)), 0), false
	if n := len(a.Series); n > 0 && a.Series[n-1].Rank == 0 {
		others, hasOthers, a.Series = a.Series[n-1], true, a.Series[:n-1]
	}
	lines, all := a.lines(), 0.0
	back, backOthers := make([]Series, len(a.Series)), line(nil, 0)
	for i := range back {
		back[i] = line(nil, a.Series[i].Rank)
	}
	if err := e.points(ctx, query, len(by), s, func(keys []string, rank uint64, t int, v float64) {
		name := strings.Join(keys, "\x00")
		i, ok := lines[name]
		if rank != 0 && !ok && len(lines) < max(a.Question.Top, 1) {
			i, ok = len(a.Series), true
			lines[name] = i
			a.Series, back = append(a.Series, line(keys, i+1)), append(back, line(nil, i+1))
			a.Series[i].Filter = condition(by, keys)
		}
		into := &backOthers
		if rank != 0 && ok {
			into = &back[i]
		} else {
			hasOthers = true
		}
		into.Points[t] += a.Question.Unit.figure(v, s.step)
		into.Total += v
		all += v
	}); err != nil {
		return err
	}
	if hasOthers {
		a.Series, back = append(a.Series, others), append(back, backOthers)
	}
	for i := range back {
		back[i].rate(back[i].Points[:s.complete()], all)
	}
	a.Back = back
	return nil
}

// before queries the earlier time: its sum by step, and the mean of each line. Keys without a line are added to the
// last line.
func (e *Explorer) before(ctx context.Context, a *Answer, s span, by []*dimension) error {
	other, earlier := a.Question, s.before(a.Question.Before)
	other.Top = MaxTop
	query, err := e.Planner.series(&other, earlier, e.Now(), false)
	if err != nil {
		return err
	}
	lines := a.lines()
	a.Before = make([]float64, s.points())
	return e.points(ctx, query, len(by), earlier, func(keys []string, rank uint64, t int, v float64) {
		a.Before[t] += a.Question.Unit.figure(v, s.step)
		if t >= s.complete() || len(a.Series) == 0 {
			return
		}
		i, ok := lines[strings.Join(keys, "\x00")]
		if !ok || rank == 0 {
			if i = len(a.Series) - 1; a.Series[i].Rank != 0 {
				return
			}
		}
		a.Series[i].Earlier += a.Question.Unit.figure(v, s.step) / float64(s.complete())
	})
}
