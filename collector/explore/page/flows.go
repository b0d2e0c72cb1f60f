package page

import (
	"fmt"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// flowRow is a row of the table of single flows.
type flowRow struct {
	Time, Length, Device, Protocol, In, Out string
	Ends                                    [2]flowEnd // source and destination
	Bytes, Packets, Rate                    string
	Link                                    string // to the other flows between the two ends
}

type flowEnd struct{ Text, AS, About string }

func newFlowRows(a *explore.Answer, page string) []flowRow {
	var all []flowRow
	for i := range a.Flows {
		f := &a.Flows[i]
		r := flowRow{Time: f.From.In(zone(a)).Format("2 Jan 15:04:05"), Length: length(f.To.Sub(f.From)),
			Device: explore.Shown(f.Device), Protocol: explore.Shown(f.Protocol), In: explore.Shown(f.In),
			Out: explore.Shown(f.Out), Ends: [2]flowEnd{newFlowEnd(&f.Source), newFlowEnd(&f.Dest)},
			Bytes: figures.SI(float64(f.Bytes)) + "B", Packets: figures.SI(float64(f.Packets)), Rate: "–"}
		if mean := f.Rate(); mean > 0 {
			r.Rate = figures.SI(mean) + "bit/s"
		}
		q := a.Question.With(f.Condition())
		q.View = explore.Stacked
		r.Link = q.Address(page)
		all = append(all, r)
	}
	return all
}

func newFlowEnd(x *explore.End) flowEnd {
	end := flowEnd{Text: x.Label(), AS: x.AS}
	if x.Name != "" {
		end.AS = cut(explore.Shown(x.AS+" "+x.Name), longestNode)
	}
	if s, err := explore.ParseSubject(string(explore.SubjectAddress), x.Address); err == nil {
		end.About = aboutAddress(s)
	}
	return end
}

// length returns the duration of a flow as text.
func length(d time.Duration) string {
	if d < time.Second {
		return figures.SI(float64(d.Milliseconds())) + "ms"
	}
	return d.Round(time.Second).String()
}

// lostRow is a row of the table of losses.
type lostRow struct {
	Exporter, Link string // Link leads to the flows of the exporter
	What, Count    string
	Share          string // lost part of what was sent
	First, Last    string
	Spark          string // an SVG path, see spark
}

func newLostRows(a *explore.Answer, page string) []lostRow {
	var all []lostRow
	layout := "2 Jan 15:04"
	for i := range a.Lost {
		l := &a.Lost[i]
		r := lostRow{Exporter: explore.Shown(l.Exporter), What: l.Label(), Count: figures.Groups(l.Count), Share: "–",
			First: l.First.In(zone(a)).Format(layout), Last: l.Last.Add(a.Step).In(zone(a)).Format(layout),
			Spark: spark(l.Points)}
		if l.Share > 0 {
			r.Share = explore.Percent(l.Share)
		}
		if l.Exporter == "" {
			r.Exporter = "not known"
		}
		if l.Device != "" {
			if l.Device != l.Exporter {
				r.Exporter = explore.Shown(l.Device + " " + l.Exporter)
			}
			q := a.Question
			q.View, q.Filter, q.By = explore.Stacked, "", []string{"in.if"}
			r.Link = q.With(explore.Is("device", l.Device)).Address(page)
		}
		all = append(all, r)
	}
	return all
}

// spark returns an SVG path that draws counts as bars, 100 wide and 20 high.
func spark(counts []uint64) string {
	most := uint64(0)
	for _, n := range counts {
		most = max(most, n)
	}
	if most == 0 {
		return ""
	}
	path := ""
	for i, n := range counts {
		if n > 0 {
			x := 100 * float64(i) / float64(len(counts))
			path += fmt.Sprintf("M%.1f 20V%.1f", x, 20-max(20*float64(n)/float64(most), 2))
		}
	}
	return path
}

// peakLink describes the highest step of a graph, with a link to its largest flows.
type peakLink struct{ Text, Link string }

// newPeak returns the peak of an answer's graph; nil if all values are zero or the series cannot be added up.
func newPeak(a *explore.Answer, page string) *peakLink {
	var lines [][]float64
	for i := range a.Series {
		lines = append(lines, a.Series[i].Points)
	}
	points := sum(lines)
	at := a.HighestAt(points)
	if at < 0 || a.Overlap {
		return nil
	}
	layout := "15:04"
	switch {
	case a.Step < time.Minute:
		layout = "15:04:05"
	case a.To.Sub(a.From) > 24*time.Hour:
		layout = "Mon 2 Jan 15:04"
	}
	return &peakLink{Text: rate(a, points[at]) + " at " + stepStart(a, at).In(zone(a)).Format(layout),
		Link: flowsOf(a, stepStart(a, at), a.Step, "").Address(page)}
}

func stepStart(a *explore.Answer, i int) time.Time { return a.From.Add(time.Duration(i) * a.Step) }

// mostFlows is how many single flows the link of a peak lists.
const mostFlows = 25

// flowsOf returns the question for the single flows of one step that pass the answer's filter and the condition.
func flowsOf(a *explore.Answer, from time.Time, step time.Duration, condition string) explore.Question {
	q := a.Question.With(condition).Between(from, from.Add(step))
	q.View, q.By, q.Before, q.Step, q.Top = explore.Single, nil, explore.NoBefore, 0, mostFlows
	if q.Unit == explore.Flows {
		q.Unit = explore.Bits
	}
	return q
}
