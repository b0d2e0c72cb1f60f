// Package plot draws the bench's two figures as SVG or PNG, by the file's ending.
package plot

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// Line is a named row of points, in order of X.
type Line struct {
	Name string
	X, Y []float64
}

// Throughput draws records a second against workers, with what it were if each worker added as much as the first. rates
// begin with one worker.
func Throughput(path, title string, rates []float64) error {
	measured, ideal := Line{Name: "measured"}, Line{Name: "as much for each core"}
	for i, rate := range rates {
		n := float64(i + 1)
		measured.X, measured.Y = append(measured.X, n), append(measured.Y, rate/1e6)
		ideal.X, ideal.Y = append(ideal.X, n), append(ideal.Y, n*rates[0]/1e6)
	}
	p := newPlot(title, "workers, a core each", "million records a second")
	p.X.Min, p.X.Max = 0, float64(len(rates))+0.5
	p.X.Tick.Marker = whole{}
	return draw(p, path, []Line{measured, ideal})
}

// Loss draws the share of datagrams lost, in percent, against the rate in flows a second: a line for each collector.
func Loss(path, title string, lines []Line) error {
	p := newPlot(title, "thousand flows a second", "datagrams lost, %")
	p.Y.Max = 1
	scaled := make([]Line, len(lines))
	for i, l := range lines {
		scaled[i] = Line{Name: l.Name}
		for j := range l.X {
			scaled[i].X, scaled[i].Y = append(scaled[i].X, l.X[j]/1e3), append(scaled[i].Y, 100*l.Y[j])
			p.Y.Max = max(p.Y.Max, 105*l.Y[j])
		}
	}
	return draw(p, path, scaled)
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(8)
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	return p
}

// draw adds the lines and writes the file. The error names it.
func draw(p *plot.Plot, path string, lines []Line) error {
	for i, l := range lines {
		points := make(plotter.XYs, len(l.X))
		for j := range points {
			points[j].X, points[j].Y = l.X[j], l.Y[j]
			p.X.Max, p.Y.Max = math.Max(p.X.Max, points[j].X), math.Max(p.Y.Max, points[j].Y*1.05)
		}
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("draw %s: %s: %w", path, l.Name, err)
		}
		line.Color, marks.Color = plotutil.Color(i), plotutil.Color(i)
		line.Dashes, marks.Shape = plotutil.Dashes(i), plotutil.Shape(i)
		p.Add(line, marks)
		p.Legend.Add(l.Name, line, marks)
	}
	if err := p.Save(18*vg.Centimeter, 11*vg.Centimeter, path); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return nil
}

// whole marks whole numbers.
type whole struct{}

// Ticks returns a mark for each whole number in the range, or for every so many of them.
func (whole) Ticks(low, high float64) (ticks []plot.Tick) {
	step := math.Max(1, math.Ceil((high-low)/16))
	for n := math.Ceil(low); n <= high; n += step {
		ticks = append(ticks, plot.Tick{Value: n, Label: strconv.Itoa(int(n))})
	}
	return ticks
}
