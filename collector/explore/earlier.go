package explore

import (
	"context"
	"slices"
	"strings"
	"time"
)

// largestLines queries the largest lines of a question, as many as there may be at most, for the figures of an answer
// that what names. reversed exchanges source and destination.
func (e *Explorer) largestLines(ctx context.Context, a *Answer, what string, q Question, s span, reversed bool,
) ([]Series, error) {
	q.Top = MaxTop
	query, err := e.Planner.series(&q, s, e.Now(), reversed)
	if err != nil {
		return nil, err
	}
	a.Queries.ask(what, query)
	return e.lines(ctx, query, len(q.By), s, q.Unit)
}

// opposite and earlier name the figures of a query.
const opposite = "the opposite direction"

func (a *Answer) earlier() string { return "the " + string(a.Question.Before) + " before" }

// anyOf returns the condition that one of the conditions holds.
func anyOf(conditions []string) string { return "((" + strings.Join(conditions, ") or (") + "))" }

// back queries the other direction and adds it to the same lines. Keys without a line get one while there are fewer
// than the question's Top; the others are added to the last line.
func (e *Explorer) back(ctx context.Context, a *Answer, s span, by []*dimension) error {
	found, err := e.largestLines(ctx, a, opposite, a.Question, s, true)
	if err != nil {
		return err
	}
	if found, err = e.addMissing(ctx, a, s, by, found, true); err != nil {
		return err
	}
	// The line of all others is added last.
	others, hasOthers := newLine(make([]string, len(by)), 0, s), false
	if last := a.others(); last != nil {
		others, hasOthers, a.Series = *last, true, a.Series[:len(a.Series)-1]
	}
	lines, all := a.lines(), 0.0
	back, backOthers := make([]Series, len(a.Series)), newLine(nil, 0, s)
	for i := range back {
		back[i] = newLine(nil, a.Series[i].Rank, s)
	}
	for j := range found {
		x := &found[j]
		i, ok := lines[lineOf(x.Keys)]
		if x.Rank != 0 && !ok && len(lines) < max(a.Question.Top, 1) {
			i, ok = len(a.Series), true
			lines[lineOf(x.Keys)] = i
			a.Series, back = append(a.Series, newLine(x.Keys, i+1, s)), append(back, newLine(nil, i+1, s))
			a.Series[i].Filter = condition(by, x.Keys)
		}
		if x.Rank != 0 && ok {
			back[i].add(x)
		} else {
			backOthers.add(x)
			hasOthers = true
		}
		all += x.Total
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
	earlier := s.before(a.Question.Before)
	found, err := e.largestLines(ctx, a, a.earlier(), a.Question, earlier, false)
	if err != nil {
		return err
	}
	if found, err = e.addMissing(ctx, a, earlier, by, found, false); err != nil {
		return err
	}
	a.Before, a.BeforeFrom = make([]float64, s.points()), earlier.from
	for i := range found {
		line := &found[i]
		for t, v := range line.Points {
			a.Before[t] += v
		}
		for _, v := range line.Points[:s.complete()] {
			line.Earlier += v / float64(s.complete())
		}
	}
	if err := e.addGone(ctx, a, s, by, found); err != nil {
		return err
	}
	now, others := a.lines(), a.others()
	for i := range found {
		line := &found[i]
		at, ok := now[lineOf(line.Keys)]
		switch {
		case ok && line.Rank != 0:
			a.Series[at].addEarlier(line)
		case others != nil:
			others.addEarlier(line)
		}
	}
	return nil
}

// addMissing adds those lines of the answer to found that are not among it, the largest lines of another time or
// direction, and takes their figures out of found's line of all others.
func (e *Explorer) addMissing(ctx context.Context, a *Answer, s span, by []*dimension, found []Series,
	reversed bool,
) ([]Series, error) {
	others := slices.IndexFunc(found, func(line Series) bool { return line.Rank == 0 })
	if others < 0 || a.Overlap || len(by) == 0 {
		return found, nil // it has all, or nothing can be taken out
	}
	there := map[string]bool{}
	for i := range found {
		if found[i].Rank != 0 { // all others have empty keys, as what is not known has
			there[lineOf(found[i].Keys)] = true
		}
	}
	missing := map[string]bool{}
	var conditions []string
	for i := range a.Series {
		line := &a.Series[i]
		if line.Rank == 0 || there[lineOf(line.Keys)] {
			continue
		}
		if c := condition(by, line.Keys); c != "" {
			missing[lineOf(line.Keys)] = true
			conditions = append(conditions, c)
		}
	}
	if len(conditions) == 0 {
		return found, nil
	}
	what := a.earlier()
	if reversed {
		what = opposite
	}
	more, err := e.largestLines(ctx, a, what+": lines of the answer that are not among its largest",
		a.Question.With(anyOf(conditions)), s, reversed)
	if err != nil {
		return nil, err
	}
	for i := range more {
		line := &more[i]
		if line.Rank == 0 || !missing[lineOf(line.Keys)] {
			continue
		}
		found[others].remove(line)
		line.Rank = len(found) + 1
		found = append(found, *line)
	}
	return found, nil
}

// mostGone is how many lines are added for keys that were among the largest and no longer are.
const mostGone = 5

// addGone adds lines for keys that were among the largest at the earlier time and have no line now. Their figures are
// taken out of the line of all others.
func (e *Explorer) addGone(ctx context.Context, a *Answer, s span, by []*dimension, earlier []Series) error {
	if a.Overlap || a.Question.View == Map || a.Question.View == Both {
		return nil
	}
	now, others, at := a.lines(), a.others(), len(a.Series)
	if others != nil {
		at--
	}
	var gone []Series
	var conditions []string
	for i := range earlier {
		line := &earlier[i]
		if _, there := now[lineOf(line.Keys)]; there || line.Rank == 0 || line.Rank > a.Question.Top {
			continue
		}
		if c := condition(by, line.Keys); c != "" && len(gone) < mostGone {
			gone = append(gone, newLine(line.Keys, at+1+len(gone), s))
			gone[len(gone)-1].Filter = c
			conditions = append(conditions, c)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	all := a.Sum().Total
	found, err := e.largestLines(ctx, a, "lines that were among the largest of "+a.earlier()+" alone",
		a.Question.With(anyOf(conditions)), s, false)
	if err != nil {
		return err
	}
	for j := range found {
		line := &found[j]
		i := slices.IndexFunc(gone, func(x Series) bool { return slices.Equal(x.Keys, line.Keys) })
		if i < 0 {
			continue
		}
		gone[i].add(line)
		if others != nil {
			others.remove(line)
		}
	}
	for i := range gone {
		gone[i].rate(gone[i].Points[:s.complete()], all)
	}
	if others != nil {
		others.rate(others.Points[:s.complete()], all)
	}
	a.Series = slices.Insert(a.Series, at, gone...)
	return nil
}

// coarsen merges the steps of the statistics to those of the graph.
func (a *Answer) coarsen() {
	step := a.graph
	if step <= a.Fine || len(a.Series) == 0 {
		return
	}
	all := a.Sum()
	a.fine = &all
	for i := range a.Series {
		line := &a.Series[i]
		line.peak, line.peakStep, _ = a.Peak(line)
	}
	merge := int(step / a.Fine)
	for _, lines := range [][]Series{a.Series, a.Back} {
		for i := range lines {
			lines[i].Points = a.merged(lines[i].Points, merge)
			lines[i].Before = a.merged(lines[i].Before, merge)
		}
	}
	if a.Before != nil {
		a.Before = a.merged(a.Before, merge)
	}
	n := (int(a.To.Sub(a.From)/a.Fine) + merge - 1) / merge
	to := a.From.Add(time.Duration(n) * step)
	a.end = a.To
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
