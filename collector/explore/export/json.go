package export

import (
	"encoding/json"
	"io"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// answer is an answer as JSON has it. Rates are a second, in the unit.
type answer struct {
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	Step    float64         `json:"step_seconds"`
	Fine    float64         `json:"statistics_step_seconds,omitempty"`
	Partial bool            `json:"last_step_is_not_over"`
	Unit    string          `json:"unit"`
	By      []string        `json:"by"`
	Series  []series        `json:"series,omitempty"`
	Before  *earlier        `json:"before,omitempty"`
	Links   []link          `json:"links,omitempty"`
	Days    []explore.Day   `json:"days,omitempty"`
	Flows   []explore.Flow  `json:"flows,omitempty"`
	Lost    []explore.Loss  `json:"lost,omitempty"`
	Losses  *explore.Losses `json:"losses,omitempty"`
	Ignored string          `json:"ignored,omitempty"`
}

// figures are those of a line in one direction.
type figures struct {
	Points []float64 `json:"points"`
	Min    float64   `json:"min"`
	Mean   float64   `json:"mean"`
	P95    float64   `json:"p95"`
	Max    float64   `json:"max"`
	Last   float64   `json:"last"`
	Total  float64   `json:"total"`
	Share  float64   `json:"share"`
}

type series struct {
	Keys  []string `json:"keys"`
	Label string   `json:"label"`
	figures
	Opposite *figures `json:"opposite,omitempty"`
	Before   *before  `json:"before,omitempty"`
	Speed    float64  `json:"speed,omitempty"`
	Busy     *float64 `json:"p95_of_one_direction,omitempty"`
}

// before is a line of the earlier time.
type before struct {
	Points []float64 `json:"points"`
	Mean   float64   `json:"mean"`
}

// earlier is all traffic of the earlier time.
type earlier struct {
	What   string    `json:"what"`
	From   time.Time `json:"from"`
	Points []float64 `json:"points"`
}

type link struct {
	Nodes []string `json:"nodes"`
	Total float64  `json:"total"`
}

// JSON writes an answer with all its figures.
func JSON(w io.Writer, a *explore.Answer) error {
	out := answer{From: a.From.UTC(), To: a.To.UTC(), Step: a.Step.Seconds(), Partial: a.Partial,
		Unit: a.Question.Unit.Label(), By: a.Question.By, Days: a.Days, Flows: a.Flows, Lost: a.Lost,
		Losses: a.Losses, Ignored: a.Ignored()}
	if a.Before != nil {
		out.Before = &earlier{string(a.Question.Before), a.BeforeFrom.UTC(), a.Before}
	}
	for i := range a.Series {
		out.Fine = a.Fine.Seconds()
		out.Series = append(out.Series, newSeries(a, i))
	}
	for _, x := range a.Links {
		l := link{Total: sumOf(a, x.Total)}
		for _, n := range x.Nodes {
			l.Nodes = append(l.Nodes, n.Label())
		}
		out.Links = append(out.Links, l)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(out)
}

func newSeries(a *explore.Answer, i int) series {
	s := &a.Series[i]
	x := series{Keys: s.Keys, Label: s.Label(), figures: newFigures(a, s), Speed: s.Speed}
	if i < len(a.Back) {
		back := newFigures(a, &a.Back[i])
		x.Opposite = &back
	}
	if a.Before != nil {
		x.Before = &before{s.Before, s.Earlier}
		if s.Before == nil {
			x.Before.Points = make([]float64, len(s.Points))
		}
	}
	if s.Speed > 0 {
		x.Busy = &s.Busy
	}
	return x
}

func newFigures(a *explore.Answer, s *explore.Series) figures {
	return figures{s.Points, s.Min, s.Mean, s.P95, s.Max, s.Last, sumOf(a, s.Total), s.Share}
}
