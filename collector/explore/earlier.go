package explore

import (
	"context"
	"slices"
	"strings"
	"time"
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

// before queries the earlier time: its sum by step, and the mean of each line. Keys that were among the largest then
// and have no line get one. Other keys without a line are added to the last line.
func (e *Explorer) before(ctx context.Context, a *Answer, s span, by []*dimension) error {
	other, earlier := a.Question, s.before(a.Question.Before)
	other.Top = MaxTop
	query, err := e.Planner.series(&other, earlier, e.Now(), false)
	if err != nil {
		return err
	}
	lines := map[string]*Series{}
	var order []*Series // the largest first, with the earlier sums
	a.Before = make([]float64, s.points())
	if err := e.points(ctx, query, len(by), earlier, func(keys []string, rank uint64, t int, v float64) {
		a.Before[t] += a.Question.Unit.figure(v, s.step)
		name := strings.Join(keys, "\x00")
		line := lines[name]
		if line == nil {
			line = &Series{Keys: keys, Rank: int(rank)}
			lines[name], order = line, append(order, line)
		}
		line.Total += v
		if t < s.complete() {
			line.Earlier += a.Question.Unit.figure(v, s.step) / float64(s.complete())
		}
	}); err != nil {
		return err
	}
	if err := e.addGone(ctx, a, s, by, order); err != nil {
		return err
	}
	now := a.lines()
	for _, line := range order {
		i, ok := now[strings.Join(line.Keys, "\x00")]
		if !ok || line.Rank == 0 {
			if i = len(a.Series) - 1; i < 0 || a.Series[i].Rank != 0 {
				continue
			}
		}
		a.Series[i].Earlier += line.Earlier
	}
	return nil
}

// mostGone is how many lines are added for keys that were among the largest and no longer are.
const mostGone = 5

// addGone adds lines for keys that were among the largest at the earlier time and have no line now. Their figures are
// taken out of the line of all others.
func (e *Explorer) addGone(ctx context.Context, a *Answer, s span, by []*dimension, earlier []*Series) error {
	if a.Overlap || a.Question.View == Map || a.Question.View == Both {
		return nil
	}
	now := a.lines()
	var gone []Series
	var conditions []string
	for _, line := range earlier {
		if _, there := now[strings.Join(line.Keys, "\x00")]; there || line.Rank == 0 || line.Rank > a.Question.Top {
			continue
		}
		if c := condition(by, line.Keys); c != "" && len(gone) < mostGone {
			gone = append(gone, Series{Keys: line.Keys, Names: make([]string, len(by)), Filter: c,
				Rank: a.largestRank() + 1 + len(gone), Points: make([]float64, s.points())})
			conditions = append(conditions, "("+c+")")
		}
	}
	if len(gone) == 0 {
		return nil
	}
	all := a.Sum().Total
	q := a.Question.With("(" + strings.Join(conditions, " or ") + ")")
	q.Top = MaxTop
	query, err := e.Planner.series(&q, s, e.Now(), false)
	if err != nil {
		return err
	}
	var others *Series
	if n := len(a.Series); n > 0 && a.Series[n-1].Rank == 0 {
		others = &a.Series[n-1]
	}
	if err := e.points(ctx, query, len(by), s, func(keys []string, _ uint64, t int, v float64) {
		i := slices.IndexFunc(gone, func(line Series) bool { return slices.Equal(line.Keys, keys) })
		if i < 0 {
			return
		}
		figure := a.Question.Unit.figure(v, s.step)
		gone[i].Points[t] += figure
		gone[i].Total += v
		if others != nil {
			others.Points[t] = max(others.Points[t]-figure, 0)
			others.Total = max(others.Total-v, 0)
		}
	}); err != nil {
		return err
	}
	for i := range gone {
		gone[i].rate(gone[i].Points[:s.complete()], all)
	}
	at := len(a.Series)
	if others != nil {
		others.rate(others.Points[:s.complete()], all)
		at--
	}
	a.Series = slices.Insert(a.Series, at, gone...)
	return nil
}

// largestRank returns the rank of the smallest line that is not all others.
func (a *Answer) largestRank() int {
	most := 0
	for i := range a.Series {
		most = max(most, a.Series[i].Rank)
	}
	return most
}

// coarsen merges the steps of the statistics to those of the graph.
func (a *Answer) coarsen() {
	graph := a.Question
	graph.Step = 0
	step := graph.span(a.To).step
	if step <= a.Fine || len(a.Series) == 0 {
		return
	}
	all := a.Sum()
	a.fine = &all
	merge := int(step / a.Fine)
	for _, lines := range [][]Series{a.Series, a.Back} {
		for i := range lines {
			lines[i].Points = a.merged(lines[i].Points, merge)
		}
	}
	if a.Before != nil {
		a.Before = a.merged(a.Before, merge)
	}
	n := (int(a.To.Sub(a.From)/a.Fine) + merge - 1) / merge
	to := a.From.Add(time.Duration(n) * step)
	a.Step, a.To, a.Partial = step, to, a.Partial || to.After(a.To)
}

// merged returns the mean of so many points at a time, or their sum if they are volumes.
func (a *Answer) merged(points []float64, n int) []float64 {
	var all []float64
	for part := range slices.Chunk(points, n) {
		v := 0.0
		for _, x := range part {
			v += x
		}
		if a.Question.Unit != Volume {
			v /= float64(len(part))
		}
		all = append(all, v)
	}
	return all
}
