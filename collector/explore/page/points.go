package page

import (
	"math"
	"net/url"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// points are the figures of a graph for the script, which shows them at the cursor. Rates are whole numbers, in units
// of Scale, which keeps the page small.
type points struct {
	From    int64       `json:"from"` // seconds since 1970
	Step    float64     `json:"step"` // seconds
	N       int         `json:"n"`
	Partial bool        `json:"partial"`
	Zone    string      `json:"zone"`
	Unit    string      `json:"unit"`
	Scale   float64     `json:"scale"` // what one is, in the unit
	Lines   []pointLine `json:"lines"`
	All     []int       `json:"all"`
	Before  []int       `json:"before,omitempty"`
	Earlier string      `json:"earlier,omitempty"` // what before is: day
	Missing []pointLost `json:"missing,omitempty"`
	Address string      `json:"address"` // the page without its time
}

type pointLine struct {
	Label  string `json:"label"`
	Color  int    `json:"color"`
	Points []int  `json:"points"`
}

type pointLost struct {
	Label  string   `json:"label"`
	Points []uint64 `json:"points"`
}

// mostPointLines is the number of lines, the largest, that the script gets.
const mostPointLines = 15

// finest is the number that stands for the highest rate.
const finest = 9999

func newPoints(a *explore.Answer, page string) points {
	p := points{From: a.From.Unix(), Step: a.Step.Seconds(), N: int(a.To.Sub(a.From) / a.Step), Partial: a.Partial,
		Zone: zone(a).String(), Unit: a.Question.Unit.Label(), Earlier: string(a.Question.Before)}
	highest := 0.0
	var lines [][]float64
	for i := range a.Series {
		lines = append(lines, a.Series[i].Points)
	}
	all := sum(lines)
	for _, line := range append([][]float64{all, a.Before}, lines...) {
		for _, v := range line {
			highest = max(highest, v)
		}
	}
	p.Scale = highest / finest
	whole := func(line []float64) []int {
		var parts []int
		for _, v := range line {
			part := 0
			if highest > 0 {
				part = int(math.Round(v / p.Scale))
			}
			parts = append(parts, part)
		}
		return parts
	}
	for i := range a.Series[:min(len(a.Series), mostPointLines)] {
		line := &a.Series[i]
		p.Lines = append(p.Lines, pointLine{line.Label(), color(line.Rank), whole(line.Points)})
		if i < len(a.Back) {
			p.Lines = append(p.Lines, pointLine{"opposite: " + line.Label(), color(line.Rank), whole(a.Back[i].Points)})
		}
	}
	p.All, p.Before = whole(all), whole(a.Before)
	if a.Losses != nil {
		for i := range a.Losses.Missing {
			m := &a.Losses.Missing[i]
			p.Missing = append(p.Missing, pointLost{m.Label(), m.Points})
		}
	}
	values := a.Question.Values()
	for _, name := range []string{"last", "from", "to"} {
		values.Del(name)
	}
	p.Address = page + "?" + values.Encode()
	return p
}

// mark is a step of a graph in which something is missing.
type mark struct {
	X, Width int
	Title    string
}

// addLosses marks the steps in which something is missing.
func (c *chart) addLosses(a *explore.Answer, n int) {
	if a.Losses == nil {
		return
	}
	for t := range n {
		var lost []string
		for i := range a.Losses.Missing {
			if m := &a.Losses.Missing[i]; t < len(m.Points) && m.Points[t] > 0 {
				lost = append(lost, figures.Groups(m.Points[t])+" "+m.Label())
			}
		}
		if len(lost) > 0 {
			x := t * width / max(n-1, 1)
			c.Losses = append(c.Losses, mark{min(x, width-2), max(width/max(n-1, 1), 2),
				"missing: " + strings.Join(lost, ", ")})
		}
	}
}

// suggested is a completion of the filter as a link, for the page without a script.
type suggested struct{ Text, Note, Address string }

func newSuggested(s explore.Suggestion, values url.Values) suggested {
	next := url.Values{}
	for name, list := range values {
		next[name] = list
	}
	next.Set("filter", s.Filter)
	page := address
	if s.Open { // more must follow
		page = "suggest"
	}
	return suggested{s.Text, s.Note, page + "?" + next.Encode()}
}
