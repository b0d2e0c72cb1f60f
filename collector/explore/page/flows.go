package page

import (
	"fmt"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// flowRow is a line of the list of single flows.
type flowRow struct {
	Time, Length, Device, Protocol, In, Out string
	Ends                                    [2]flowEnd // source and destination
	Bytes, Packets, Rate                    string
	Link                                    string // to all flows between the two ends
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
		if rate := f.Rate(); rate > 0 {
			r.Rate = figures.SI(rate) + "bit/s"
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

// length is how long a flow took.
func length(d time.Duration) string {
	if d < time.Second {
		return figures.SI(float64(d.Milliseconds())) + "ms"
	}
	return d.Round(time.Second).String()
}

// lostRow is a line of the table of losses.
type lostRow struct {
	Exporter, Link string // of the flows of the exporter
	What, Count    string
	Share          string // of what was received
	First, Last    string
	Spark          string // a path of a drawing 100 wide and 20 high
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
			r.Share = percent(l.Share)
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

// percent is a part of something, with more digits where it is small.
func percent(part float64) string {
	switch {
	case part < 0.0001:
		return "< 0.01 %"
	case part < 0.1:
		return fmt.Sprintf("%.2g %%", 100*part)
	}
	return fmt.Sprintf("%.0f %%", 100*part)
}

// spark draws counts as bars, 100 wide and 20 high.
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

// peakLink is the highest step of a graph, which leads to the flows behind it.
type peakLink struct{ Text, Link string }

// newPeak is nil where all is zero, or the sum of the lines says nothing.
func newPeak(a *explore.Answer, page string) *peakLink {
	var lines [][]float64
	for i := range a.Series {
		lines = append(lines, a.Series[i].Points)
	}
	points := sum(lines)
	at := highestAt(a, points)
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
	return &peakLink{Text: figures.SI(points[at]) + a.Question.Unit.Label() + " at " +
		stepStart(a, at).In(zone(a)).Format(layout), Link: flowsOf(a, at, "").Address(page)}
}

// highestAt is the highest of the whole steps; -1 where there is none.
func highestAt(a *explore.Answer, points []float64) int {
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

func stepStart(a *explore.Answer, i int) time.Time { return a.From.Add(time.Duration(i) * a.Step) }

// mostFlows is how many single flows are listed behind a peak.
const mostFlows = 25

// flowsOf is the question for the single flows of a step, of those that the condition takes too.
func flowsOf(a *explore.Answer, step int, condition string) explore.Question {
	from := stepStart(a, step)
	q := a.Question.With(condition).Between(from, from.Add(max(a.Step, time.Minute)))
	q.View, q.By, q.Before, q.Top = explore.Single, nil, explore.NoBefore, mostFlows
	if q.Unit == explore.Flows {
		q.Unit = explore.Bits
	}
	return q
}
