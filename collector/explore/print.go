package explore

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/web/figures"
)

// bars are the characters that draw a point, by its height.
var bars = []rune("▁▂▃▄▅▆▇█")

// mostBars is the maximum number of characters of a graph.
const mostBars = 48

// KnownRate returns the function that formats rates with their unit. It writes a dash if OnlyPartial.
func (a *Answer) KnownRate() func(float64) string {
	if a.OnlyPartial() {
		return func(float64) string { return "–" }
	}
	unit := a.Question.Unit.Label()
	return func(v float64) string { return figures.SI(v) + unit }
}

// Print writes the answer for a terminal: lines with a small graph, links, or hours.
func (a *Answer) Print(w io.Writer) error {
	rate := a.KnownRate()
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := strings.Join(a.Labels, " → ")
	switch {
	case a.Empty(): // the figures of nothing
	case a.Question.View == Hours:
		for _, d := range a.Days {
			fmt.Fprintf(out, "%s\t%s\t%s\n", d.Date, spark(d.Hours[:]), "max "+rate(highest(d.Hours[:])))
		}
	case a.Question.View == Sankey || a.Question.View == Matrix:
		a.printLinks(out, head, rate)
	case a.Question.View == Single:
		a.printFlows(out)
	case a.Question.View == Lost:
		a.printLost(out)
	default:
		a.printSeries(out, head, rate)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "\n"+a.told()); err != nil {
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

// Clock is the layout of times of day that the answer's time has: with seconds only where it begins or ends with some.
func (a *Answer) Clock() string {
	if a.From.Second() != 0 || a.End().Second() != 0 {
		return time.TimeOnly
	}
	return "15:04"
}

// told says of which time the figures are, where they are from, and what of the question does not apply.
func (a *Answer) told() string {
	layout, zone := time.DateOnly+" "+a.Clock(), a.Question.Location()
	text := fmt.Sprintf("%s to %s %s", a.From.In(zone).Format(layout), a.End().In(zone).Format(layout), zone)
	if a.Question.View != Single {
		text += ", steps of " + StepText(a.Step)
	}
	if a.Partial {
		text += "; the last step is not over"
	}
	text += ", from " + a.Query.Source.Line()
	if ignored := a.Ignored(); ignored != "" {
		text += "\n" + ignored
	}
	return text
}

// Ignored says what of the question does not apply to the answer; "" if all does.
func (a *Answer) Ignored() string {
	q := a.Question
	if q.Step > 0 && q.View.hasStatistics() && a.Fine != q.Step {
		return fmt.Sprintf("Statistics are of steps of %s, not of %s (step): the graph has finer ones, or there "+
			"would be more than %d.", StepText(a.Fine), StepText(q.Step), mostSteps)
	}
	return q.Ignored()
}

// printSeries writes a line for each line of the graph: the other direction and the earlier time beside it, where they
// are asked for.
func (a *Answer) printSeries(out io.Writer, head string, rate func(float64) string) {
	if head == "" {
		head = "traffic"
	}
	fmt.Fprintf(out, "%s\tover time\tmin\tmean", head)
	if a.Back != nil {
		fmt.Fprint(out, "\topposite over time\tmean, opposite")
	}
	if a.Before != nil {
		fmt.Fprint(out, "\tbefore\tchange")
	}
	full := slices.ContainsFunc(a.Series, func(s Series) bool { return s.Speed > 0 })
	if full {
		fmt.Fprint(out, "\tfull (95 %)")
	}
	fmt.Fprint(out, "\t95 %\tmax\tlast\tvolume\tshare\n")
	for i := range a.Series {
		s := &a.Series[i]
		fmt.Fprintf(out, "%s\t%s\t%s\t%s", s.Label(), spark(s.Points), rate(s.Min), rate(s.Mean))
		if a.Back != nil {
			fmt.Fprintf(out, "\t%s\t%s", spark(a.Back[i].Points), rate(a.Back[i].Mean))
		}
		if a.Before != nil {
			fmt.Fprintf(out, "\t%s\t%s", rate(s.Earlier), Change(s.Earlier, s.Mean))
		}
		if full {
			fmt.Fprint(out, "\t"+s.Full())
		}
		fmt.Fprintf(out, "\t%s\t%s\t%s\t%s\t%.1f %%\n", rate(s.P95), rate(s.Max), rate(s.Last),
			a.Question.Unit.Amount(s.Total), 100*s.Share)
	}
	if a.Before != nil {
		fmt.Fprintf(out, "the %s before\t%s\n", a.Question.Before, spark(a.Before))
	}
}

// Full is how busy the line is, of its speed; "" where that is not known.
func (s *Series) Full() string {
	if s.Speed <= 0 {
		return ""
	}
	return Percent(s.Busy/s.Speed) + " of " + figures.SI(s.Speed) + Bits.Label()
}

// Percent formats a share from 0 to 1 as a percentage, with more digits if it is small.
func Percent(part float64) string {
	switch {
	case part <= 0:
		return "0 %"
	case part < 0.0001:
		return "< 0.01 %"
	case part < 0.1:
		return fmt.Sprintf("%.2g %%", 100*part)
	}
	return fmt.Sprintf("%.0f %%", 100*part)
}

// Change is how much more it is now, in per cent; "" where there was and is nothing.
func Change(before, now float64) string {
	switch {
	case before == 0 && now == 0:
		return ""
	case before == 0:
		return "new"
	case now == 0:
		return "gone"
	}
	return fmt.Sprintf("%+.0f %%", 100*(now/before-1))
}

// Amount is a sum as people write it: bits in bytes.
func (u Unit) Amount(sum float64) string {
	if u == Bits || u == Volume {
		return figures.SI(sum/8) + "B"
	}
	return figures.SI(sum) + string(u)
}

// printLinks writes a line for each link, with a bar as wide as its part of all.
func (a *Answer) printLinks(out io.Writer, head string, rate func(float64) string) {
	fmt.Fprintf(out, "%s\tmean\tshare\t\n", head)
	all := 0.0
	for _, link := range a.Links {
		all += link.Total
	}
	for _, link := range a.Links {
		var nodes []string
		for _, n := range link.Nodes {
			nodes = append(nodes, n.Label())
		}
		part := link.Total / max(all, 1)
		fmt.Fprintf(out, "%s\t%s\t%.1f %%\t%s\n", strings.Join(nodes, " → "), rate(a.Mean(link.Total)), 100*part,
			strings.Repeat("█", int(part*mostBars+0.5)))
	}
}

func (a *Answer) printFlows(out io.Writer) {
	fmt.Fprintln(out, "start\tfrom\tto\tprotocol\tin\tout\tbytes\tpackets")
	for i := range a.Flows {
		f := &a.Flows[i]
		end := func(x *End) string { return Shown(strings.TrimSpace(x.Label() + " " + x.AS + " " + x.Name)) }
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%sB\t%s\n", f.From.In(a.Question.Location()).Format(time.DateTime),
			end(&f.Source), end(&f.Dest), Shown(f.Protocol), Shown(f.In), Shown(f.Out), figures.SI(float64(f.Bytes)),
			figures.SI(float64(f.Packets)))
	}
}

func (a *Answer) printLost(out io.Writer) {
	fmt.Fprintln(out, "exporter\twhat is missing\tcount\tof what was received\tover time")
	for i := range a.Lost {
		l := &a.Lost[i]
		points := make([]float64, len(l.Points))
		for j, n := range l.Points {
			points[j] = float64(n)
		}
		share := "-"
		if l.Share > 0 {
			share = fmt.Sprintf("%.2g %%", 100*l.Share)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", Shown(strings.TrimSpace(l.Device+" "+l.Exporter)), l.Label(),
			figures.Groups(l.Count), share, spark(points))
	}
}

// Lines returns a line of text for each loss.
func (l *Losses) Lines() []string {
	var all []string
	for i := range l.Missing {
		m := &l.Missing[i]
		line := figures.Groups(m.Count) + " " + m.Label()
		if m.Share >= 0.0001 {
			line += fmt.Sprintf(" %.2g %%", 100*m.Share)
		}
		all = append(all, line)
	}
	return all
}

// Sampling says how exporters sampled what an answer has that begins at from; "" where there is nothing to say.
func (l *Losses) Sampling(from time.Time) string {
	var parts []string
	for _, s := range l.Sampled[:min(len(l.Sampled), mostRates)] {
		rate := "rate unknown"
		if s.Rate > 0 {
			rate = "1 in " + figures.Groups(s.Rate)
		}
		parts = append(parts, fmt.Sprintf("%s for %.3g %% of the bits", rate, 100*s.Share))
	}
	if len(parts) == 0 {
		return ""
	}
	text := "Sampling: " + strings.Join(parts, ", ")
	if more := len(l.Sampled) - mostRates; more > 0 {
		text += fmt.Sprintf(", and %d other rates", more)
	}
	if l.SampledFrom.Sub(from) > time.Minute { // a step more or less is no other time
		text += "; the last hour was read"
	}
	return text + "."
}

// mostRates is the maximum number of sampling rates that Sampling names.
const mostRates = 4

func highest(points []float64) float64 {
	top := 0.0
	for _, v := range points {
		top = max(top, v)
	}
	return top
}

// spark draws points as a line of text. A character shows the highest of its points.
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
