package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// A graph is drawn on a grid of this size, which the page stretches. Coordinates are whole numbers, which keeps the
// page small.
const (
	width   = 1000
	height  = 1000
	labelsY = 4 // labels of the axis of rates, less one
)

// chart is a graph over time.
type chart struct {
	Areas, Lines []shape
	Before       string // path of the period before; of shares where each line ended then
	PartialX     int    // where the step begins that is not over; 0: all steps are over
	PartialWidth int
	Losses       []mark   // of steps in which something is missing
	Points       points   // for the script
	YLabels      []string // top first
	XLabels      []tick
	Peak         float64
	Mirrored     bool // the other direction goes down from the middle

	edge func(points []float64, y func(v float64) int) string // a line as a path
}

// shape is a line or an area of a graph.
type shape struct {
	Path  string
	Color int
	Title string
	Link  string // takes one to its flows; "" where there is no such filter
}

// tick is a label of the axis of time, which leads to the time up to the next one. X is in per cent of the width.
type tick struct {
	Text, Link string
	X          float64
}

// newChart draws the series of an answer.
func newChart(a *explore.Answer, page string) *chart {
	// A step that is not over would look like a drop of traffic, so it is not drawn.
	n := int(a.To.Sub(a.From) / a.Step)
	whole := n
	if a.Partial && n > 1 {
		whole--
	}
	c := &chart{edge: func(points []float64, y func(float64) int) string {
		return path(points[:min(whole, len(points))], n, y)
	}}
	points := make([][]float64, len(a.Series))
	for i := range a.Series {
		points[i] = a.Series[i].Points
	}
	unit := a.Question.Unit.Label()
	up := scale{zero: height, size: -height}
	switch a.Question.View {
	case explore.Share:
		points, unit = shares(points), "%"
		c.Peak = 100
		c.stack(a, points, up.of(c.Peak), page)
		c.Before = sharesBefore(a, n, up.of(c.Peak))
	case explore.Lines:
		c.Peak = peak(points, a.Before)
		for i, line := range points {
			c.Lines = append(c.Lines, c.shape(a, i, c.edge(line, up.of(c.Peak)), page))
		}
	case explore.Both:
		back := make([][]float64, len(a.Back))
		for i := range a.Back {
			back[i] = a.Back[i].Points
		}
		c.Mirrored = true
		c.Peak = peak([][]float64{sum(points), sum(back)}, a.Before)
		up = scale{zero: height / 2, size: -height / 2}
		c.stack(a, points, up.of(c.Peak), page)
		c.stack(a, back, scale{zero: height / 2, size: height / 2}.of(c.Peak), page)
	default:
		c.Peak = peak([][]float64{sum(points)}, a.Before)
		c.stack(a, points, up.of(c.Peak), page)
	}
	if a.Before != nil && a.Question.View != explore.Share {
		c.Before = path(a.Before, n, up.of(c.Peak))
	}
	c.axes(a, unit, page)
	c.addLosses(a, n)
	c.Points = newPoints(a, page)
	return c
}

// scale is the vertical axis: the position of zero, and the distance from there to the top value, positive downwards.
type scale struct{ zero, size int }

func (s scale) of(top float64) func(v float64) int {
	return func(v float64) int { return s.zero + int(math.Round(min(v/top, 1)*float64(s.size))) }
}

func (c *chart) shape(a *explore.Answer, i int, path, page string) shape {
	line := &a.Series[i]
	s := shape{Path: path, Color: color(line.Rank), Title: line.Label()}
	if line.Filter != "" {
		s.Link = a.Question.With(line.Filter).Address(page)
	}
	return s
}

// color returns the number of the CSS class for a rank's colour, which is the same in all views of an answer.
func color(rank int) int {
	if rank == 0 {
		return 0
	}
	return (rank-1)%9 + 1
}

// stack draws areas on top of each other, the largest at the bottom. Each is drawn down to the axis and is covered by
// those below it, so that a path has the upper edge alone.
func (c *chart) stack(a *explore.Answer, points [][]float64, y func(float64) int, page string) {
	for i := len(points) - 1; i >= 0; i-- {
		edge := c.edge(sum(points[:i+1]), y)
		c.Areas = append(c.Areas, c.shape(a, i, fmt.Sprintf("%sV%dH0Z", edge, y(0)), page))
	}
}

// sum returns the sum of lines, point by point.
func sum(lines [][]float64) []float64 {
	if len(lines) == 0 {
		return nil
	}
	all := make([]float64, len(lines[0]))
	for _, line := range lines {
		for i, v := range line {
			all[i] += v
		}
	}
	return all
}

// shares returns the lines in per cent of their sum.
func shares(lines [][]float64) [][]float64 {
	all := sum(lines)
	parts := make([][]float64, len(lines))
	for i, line := range lines {
		parts[i] = make([]float64, len(line))
		for j, v := range line {
			if all[j] > 0 {
				parts[i][j] = 100 * v / all[j]
			}
		}
	}
	return parts
}

// mostDashed is the number of lines, the largest, whose earlier share is drawn. Others are too thin to tell apart.
const mostDashed = 8

// sharesBefore returns where the largest lines ended at the earlier time, stacked as they are now, in per cent of all
// traffic then. All others end at 100 %. It is "" where there is no earlier time.
func sharesBefore(a *explore.Answer, n int, y func(float64) int) string {
	if a.Before == nil {
		return ""
	}
	var b strings.Builder
	upTo := make([]float64, len(a.Before))
	for i := range a.Series[:min(len(a.Series), mostDashed)] {
		if a.Series[i].Rank == 0 {
			break
		}
		edge := make([]float64, len(upTo))
		for t, v := range a.Series[i].Before {
			upTo[t] += v
		}
		for t, v := range upTo {
			if a.Before[t] > 0 {
				edge[t] = 100 * v / a.Before[t]
			}
		}
		b.WriteString(path(edge, n, y))
	}
	return b.String()
}

// peak returns the top of the vertical axis: the highest point rounded up to 1, 2, 2.5 or 5 times a power of ten.
func peak(lines [][]float64, before []float64) float64 {
	highest := 0.0
	for _, line := range append(lines, before) {
		for _, v := range line {
			highest = max(highest, v)
		}
	}
	if highest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, factor := range []float64{1, 2, 2.5, 5} {
		if highest <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// path is a line through the points, of n that reach from the left edge to the right one. Steps between points are
// relative, which is shorter.
func path(points []float64, n int, y func(float64) int) string {
	var b strings.Builder
	lastX, lastY := 0, 0
	for i, v := range points {
		nextX := i * width / max(n-1, 1)
		nextY := y(v)
		if i == 0 {
			fmt.Fprintf(&b, "M0 %d", nextY)
		} else {
			fmt.Fprintf(&b, "l%d %d", nextX-lastX, nextY-lastY)
		}
		lastX, lastY = nextX, nextY
	}
	if n == 1 {
		fmt.Fprintf(&b, "h%d", width)
	}
	return b.String()
}

// axes labels the axes. A label of time leads to the time from it to the next one.
func (c *chart) axes(a *explore.Answer, unit, page string) {
	for i := labelsY; i >= 0; i-- {
		v := c.Peak * float64(i) / labelsY
		if c.Mirrored {
			v = math.Abs(2*v - c.Peak)
		}
		c.YLabels = append(c.YLabels, figures.SI(v)+unit)
	}
	n := int(a.To.Sub(a.From) / a.Step)
	if a.Partial && n > 1 {
		c.PartialX = (n - 2) * width / (n - 1)
		c.PartialWidth = width - c.PartialX
	}
	c.XLabels = ticks(a, page)
}

// tickSteps are the possible distances between labels of time.
var tickSteps = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour, 91 * 24 * time.Hour,
	364 * 24 * time.Hour}

// mostTicks is the number of labels that fit a narrow window.
const mostTicks = 6

// ticks are labels at round times of the question's zone. Points stand for the time from them on, so the last one is
// a step before the end.
func ticks(a *explore.Answer, page string) []tick {
	last := a.To.Add(-a.Step)
	length := last.Sub(a.From)
	if length <= 0 {
		return nil
	}
	gap := tickSteps[len(tickSteps)-1]
	for _, step := range tickSteps {
		if length <= mostTicks*step {
			gap = step
			break
		}
	}
	_, seconds := a.From.In(zone(a)).Zone()
	offset := time.Duration(seconds) * time.Second
	var all []tick
	for at := a.From.Add(offset).Truncate(gap).Add(-offset); at.Before(last); at = at.Add(gap) {
		// A label at the edge would stand out of the picture.
		x := 100 * float64(at.Sub(a.From)) / float64(length)
		if x < 0 || x > 95 {
			continue
		}
		t := tick{Text: timeLabel(at.In(zone(a)), gap), X: x}
		if gap >= 2*time.Minute {
			t.Link = a.Question.Between(at, at.Add(gap)).Address(page)
		}
		all = append(all, t)
	}
	return all
}

func zone(a *explore.Answer) *time.Location { return a.Question.Location() }

// timeLabel formats a label of time. gap is the distance between labels.
func timeLabel(t time.Time, gap time.Duration) string {
	switch {
	case gap < 6*time.Hour:
		return t.Format("15:04")
	case gap < 24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("2 Jan")
}
