package export

import (
	"encoding/json"
	"io"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// answer is an answer as JSON has it. Rates are a second, in the unit.
type answer struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Step    float64   `json:"step_seconds"`
	Fine    float64   `json:"statistics_step_seconds,omitempty"`
	Partial bool      `json:"last_step_is_not_over"`
	Unit    string    `json:"unit"`
	By      []string  `json:"by"`
	Series  []series  `json:"series,omitempty"`
	Before  *earlier  `json:"before,omitempty"`
	Links   []link    `json:"links,omitempty"`
	Days    []day     `json:"days,omitempty"`
	Flows   []flow    `json:"flows,omitempty"`
	Lost    []loss    `json:"lost,omitempty"`
	Losses  *losses   `json:"losses,omitempty"`
	Ignored string    `json:"ignored,omitempty"`
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

// day has the mean rate of each hour of a day.
type day struct {
	Date  string      `json:"date"`
	Hours [24]float64 `json:"hours"`
}

type flow struct {
	From         time.Time `json:"from"`
	To           time.Time `json:"to"`
	Device       string    `json:"device"`
	Source       end       `json:"source"`
	Destination  end       `json:"destination"`
	Protocol     string    `json:"protocol"`
	InterfaceIn  string    `json:"interface_in"`
	InterfaceOut string    `json:"interface_out"`
	Bytes        uint64    `json:"bytes"`
	Packets      uint64    `json:"packets"`
}

// end is one end of a flow.
type end struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	AS      string `json:"as"`
	ASName  string `json:"as_name"`
}

// missing is a known loss. Share is its part of what was received and lost; 0 is not known.
type missing struct {
	Stage  string   `json:"stage"`
	Reason string   `json:"reason"`
	Unit   string   `json:"unit"`
	Count  uint64   `json:"count"`
	Share  float64  `json:"share"`
	Points []uint64 `json:"points,omitempty"`
}

// loss is a known loss of one exporter. First and Last are where its first and its last step begin.
type loss struct {
	Exporter string `json:"exporter"`
	Device   string `json:"device"`
	missing
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// losses are what is missing from the answer, and how exporters sampled since SampledFrom.
type losses struct {
	Missing     []missing  `json:"missing"`
	Sampled     []sampling `json:"sampled"`
	SampledFrom time.Time  `json:"sampled_from,omitzero"`
}

// sampling is the share of the bits of which one packet in so many was looked at.
type sampling struct {
	Rate  uint64  `json:"rate"`
	Share float64 `json:"share"`
}

// JSON writes an answer with all its figures.
func JSON(w io.Writer, a *explore.Answer) error {
	out := answer{From: a.From.UTC(), To: a.To.UTC(), Step: a.Step.Seconds(), Partial: a.Partial,
		Unit: a.Question.Unit.Label(), By: append([]string{}, a.Question.By...), Losses: newLosses(a.Losses),
		Ignored: a.Ignored()}
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
	for _, d := range a.Days {
		out.Days = append(out.Days, day(d))
	}
	for i := range a.Flows {
		out.Flows = append(out.Flows, newFlow(&a.Flows[i]))
	}
	for i := range a.Lost {
		l := &a.Lost[i]
		out.Lost = append(out.Lost, loss{l.Exporter, l.Device, missing(l.Missing), l.First.UTC(), l.Last.UTC()})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(out)
}

func newFlow(f *explore.Flow) flow {
	return flow{From: f.From.UTC(), To: f.To.UTC(), Device: f.Device, Source: newEnd(&f.Source),
		Destination: newEnd(&f.Dest), Protocol: f.Protocol, InterfaceIn: f.In, InterfaceOut: f.Out, Bytes: f.Bytes,
		Packets: f.Packets}
}

func newEnd(x *explore.End) end { return end{x.Address, x.Port, x.AS, x.Name} }

// newLosses returns nil where nobody asked.
func newLosses(l *explore.Losses) *losses {
	if l == nil {
		return nil
	}
	out := &losses{Missing: []missing{}, Sampled: []sampling{}}
	for i := range l.Missing {
		out.Missing = append(out.Missing, missing(l.Missing[i]))
	}
	for _, x := range l.Sampled {
		out.Sampled = append(out.Sampled, sampling(x))
	}
	if !l.SampledFrom.IsZero() {
		out.SampledFrom = l.SampledFrom.UTC()
	}
	return out
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
