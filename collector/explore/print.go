package explore

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/web/figures"
)

// bars are the heights of a point in a line of text.
var bars = []rune("▁▂▃▄▅▆▇█")

// mostBars is how many points a line of text has.
const mostBars = 48

// Print writes the answer for a terminal: lines with a small graph, links, or hours.
func (a *Answer) Print(w io.Writer) error {
	unit := a.Question.Unit.Label()
	rate := func(v float64) string { return figures.SI(v) + unit }
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := strings.Join(a.Labels, " → ")
	switch {
	case a.Question.View == Hours:
		for _, d := range a.Days {
			fmt.Fprintf(out, "%s\t%s\t%s\n", d.Date, spark(d.Hours[:]), "max "+rate(highest(d.Hours[:])))
		}
	case a.Question.View == Sankey || a.Question.View == Matrix:
		fmt.Fprintf(out, "%s\t%s\n", head, "mean")
		for _, link := range a.Links {
			var nodes []string
			for _, n := range link.Nodes {
				nodes = append(nodes, n.Label())
			}
			fmt.Fprintf(out, "%s\t%s\n", strings.Join(nodes, " → "), rate(link.Total/a.To.Sub(a.From).Seconds()))
		}
	default:
		fmt.Fprintf(out, "%s\tover time\tmean\t95 %%\tmax\tlast\tshare\n", head)
		for i := range a.Series {
			s := &a.Series[i]
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%.1f %%\n", s.Label(), spark(s.Points), rate(s.Mean), rate(s.P95),
				rate(s.Max), rate(s.Last), 100*s.Share)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	last := ""
	if a.Partial {
		last = "; the last step is not over"
	}
	layout := "2006-01-02 15:04"
	if _, err := fmt.Fprintf(w, "\n%s to %s %s, steps of %s%s, from %s\n", a.From.In(a.Question.zone()).Format(layout),
		a.To.In(a.Question.zone()).Format(layout), a.Question.zone(), duration(max(a.Step, minRange)), last,
		a.Query.Source.Line()); err != nil {
		return err
	}
	if a.Losses == nil {
		return nil
	}
	for _, line := range a.Losses.Lines() {
		if _, err := fmt.Fprintf(w, "missing: %s\n", line); err != nil {
			return err
		}
	}
	if text := a.Losses.Sampling(a.From); text != "" {
		_, err := fmt.Fprintln(w, text)
		return err
	}
	return nil
}

// Lines say what is missing, a line each.
func (l *Losses) Lines() []string {
	var all []string
	for i := range l.Missing {
		m := &l.Missing[i]
		line := figures.Groups(m.Count) + " " + m.Label()
		if m.Share >= 0.0001 {
			line += fmt.Sprintf(" (%.2g %%)", 100*m.Share)
		}
		all = append(all, line)
	}
	return all
}

// Sampling says how exporters sampled what an answer has that begins at from; "" where there is nothing to say.
func (l *Losses) Sampling(from time.Time) string {
	var parts []string
	for _, s := range l.Sampled[:min(len(l.Sampled), mostRates)] {
		rate := "a rate that is not told"
		if s.Rate > 0 {
			rate = "1 in " + figures.Groups(s.Rate)
		}
		parts = append(parts, fmt.Sprintf("%s for %.3g %% of the bits", rate, 100*s.Share))
	}
	if len(parts) == 0 {
		return ""
	}
	text := "Sampled: " + strings.Join(parts, ", ")
	if more := len(l.Sampled) - mostRates; more > 0 {
		text += fmt.Sprintf(", and %d other rates", more)
	}
	if l.SampledFrom.After(from) {
		text += ", in the last hour of the time"
	}
	return text + "."
}

// mostRates is how many sampling rates are named.
const mostRates = 4

func highest(points []float64) float64 {
	top := 0.0
	for _, v := range points {
		top = max(top, v)
	}
	return top
}

// spark draws points as a line of text; several points may share a character.
func spark(points []float64) string {
	top := highest(points)
	n := min(len(points), mostBars)
	var b strings.Builder
	for i := range n {
		part := points[i*len(points)/n : (i+1)*len(points)/n]
		if top == 0 {
			b.WriteRune(bars[0])
			continue
		}
		b.WriteRune(bars[int(highest(part)/top*float64(len(bars)-1)+0.5)])
	}
	return b.String()
}
