package explore

import (
	"slices"
	"strings"
	"time"
)

// Series is one line of a graph, with its statistics.
type Series struct {
	Keys   []string // as filters take them
	Names  []string // of the keys; "" for none
	Rank   int      // 0: all others together
	Points []float64
	Stats
	Filter  string    // takes the flows of the line; "" where there is no such filter
	Code    string    // of a country, as ISO 3166 has it; for Map
	Speed   float64   // bits a second that it can have each way; 0 is not known
	Busy    float64   // its 95th percentile in the direction that has more, where Speed is known
	Earlier float64   // its mean in the earlier time, where one is asked for
	Before  []float64 // its points then; nil where there is nothing
	// peak is where the highest of its steps begins that are finer than those of Points; peakStep is how long it is.
	// 0: the steps are those of Points.
	peak     time.Time
	peakStep time.Duration
}

// Label returns the line's name for people.
func (s *Series) Label() string {
	if s.Rank == 0 {
		return "others"
	}
	var parts []string
	for i, key := range s.Keys {
		parts = append(parts, label(key, s.Names[i]))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " → ")
}

func label(key, name string) string {
	switch {
	case key == "":
		return "unknown"
	case name == "":
		return Shown(key)
	}
	return Shown(key + " " + name)
}

// Stats are the statistics of a line: rates in the question's unit per second, over complete steps, and the total in
// the unit.
type Stats struct {
	Min, Mean, P95, Max, Last float64
	Total                     float64 // in all steps, the last one included
	Share                     float64 // of all
}

// newLine returns a line without traffic.
func newLine(keys []string, rank int, s span) Series {
	return Series{Keys: keys, Names: make([]string, len(keys)), Rank: rank, Points: make([]float64, s.points())}
}

// add adds the traffic of another line, which has the same steps.
func (s *Series) add(line *Series) {
	for t, v := range line.Points {
		s.Points[t] += v
	}
	s.Total += line.Total
}

// addEarlier adds a line of the earlier time, which has the same number of steps.
func (s *Series) addEarlier(line *Series) {
	if s.Before == nil {
		s.Before = make([]float64, len(line.Points))
	}
	for t, v := range line.Points {
		s.Before[t] += v
	}
	s.Earlier += line.Earlier
}

// remove takes out the traffic of another line, which has the same steps and is a part of this one.
func (s *Series) remove(line *Series) {
	for t, v := range line.Points {
		s.Points[t] = max(s.Points[t]-v, 0)
	}
	s.Total = max(s.Total-line.Total, 0)
}

// End is the end of what the figures are of. To is later where the last step of the graph has less than the others.
func (a *Answer) End() time.Time {
	if a.end.IsZero() {
		return a.To
	}
	return a.end
}

// Peak returns where the highest step of a line begins, of the steps that are over, and how long it is; false if there
// is none. It is the step of the line's maximum, which can be finer than those of its points.
func (a *Answer) Peak(line *Series) (from time.Time, step time.Duration, ok bool) {
	if line.peakStep > 0 {
		return line.peak, line.peakStep, true
	}
	if at := a.HighestAt(line.Points); at >= 0 {
		return a.From.Add(time.Duration(at) * a.Step), a.Step, true
	}
	return from, 0, false
}

// HighestAt returns the index of the highest point of steps that are over; -1 if there is none.
func (a *Answer) HighestAt(points []float64) int {
	if a.Partial && len(points) > 1 {
		points = points[:len(points)-1]
	}
	best, most := -1, 0.0
	for i, v := range points {
		if v > most {
			best, most = i, v
		}
	}
	return best
}

// others returns the line of all others; nil if there is none.
func (a *Answer) others() *Series {
	if n := len(a.Series); n > 0 && a.Series[n-1].Rank == 0 {
		return &a.Series[n-1]
	}
	return nil
}

// lineOf is a line's key in the map of lines.
func lineOf(keys []string) string { return strings.Join(keys, "\x00") }

// lines maps the keys of lines to their indexes. It must be called before nameSeries formats the keys.
func (a *Answer) lines() map[string]int {
	lines := map[string]int{}
	for i, line := range a.Series {
		if line.Rank != 0 {
			lines[lineOf(line.Keys)] = i
		}
	}
	return lines
}

// rate computes the statistics of the points, which are complete steps.
func (s *Stats) rate(points []float64, all float64) {
	if all > 0 {
		s.Share = s.Total / all
	}
	if len(points) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(points))
	s.Min, s.Max, s.Last = sorted[0], sorted[len(sorted)-1], points[len(points)-1]
	// Nearest rank: at least 95 % of the steps are not above it.
	s.P95 = sorted[(len(sorted)*95+99)/100-1]
	for _, v := range points {
		s.Mean += v
	}
	s.Mean /= float64(len(points))
}
