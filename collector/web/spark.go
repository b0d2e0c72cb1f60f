package web

import (
	"fmt"
	"math"
	"strings"
)

// spark is a graph of numbers over time as SVG paths, with gaps where there are none.
type spark struct {
	Width, Height int
	Lines, Areas  []string // path data
	Mean, Peak    float64
}

// newSpark draws points at equal distances over the whole width. The top is a little above the peak.
func newSpark(points []float64) spark {
	s := spark{Width: 720, Height: 100}
	sum, n := 0.0, 0
	for _, p := range points {
		if !math.IsNaN(p) {
			sum += p
			n++
			s.Peak = max(s.Peak, p)
		}
	}
	if n > 0 {
		s.Mean = sum / float64(n)
	}
	step, scale := float64(s.Width)/float64(max(len(points)-1, 1)), 0.0
	if s.Peak > 0 {
		scale = 0.94 * float64(s.Height) / s.Peak
	}
	for from := 0; from < len(points); from++ {
		if math.IsNaN(points[from]) {
			continue
		}
		to := from
		var line strings.Builder
		for ; to < len(points) && !math.IsNaN(points[to]); to++ {
			command := "L"
			if to == from {
				command = "M"
			}
			fmt.Fprintf(&line, "%s%.1f %.1f", command, float64(to)*step, float64(s.Height)-points[to]*scale)
		}
		if to == from+1 { // a single point
			line.WriteString("h0.1")
		}
		s.Lines = append(s.Lines, line.String())
		s.Areas = append(s.Areas, fmt.Sprintf("%sV%dH%.1fZ", line.String(), s.Height, float64(from)*step))
		from = to
	}
	return s
}
