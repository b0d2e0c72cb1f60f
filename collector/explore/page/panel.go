package page

import (
	"slices"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// panel fills the template of an answer: its drawing and its table.
type panel struct {
	Title    string
	Answer   *explore.Answer
	Chart    *chart
	Rows     []row
	All      *row // the sum of Rows; nil where a flow may count in several
	Full     bool // speeds are known of some
	Sankey   *sankey
	Links    []linkRow // of Sankey
	Matrix   *matrix
	Map      *worldMap
	Days     []day
	HourList []int  // the head of Days
	Step     string // of a graph
	Span     string // the time of the answer
	Fine     string // the step of statistics; "" where there are none
	Early    string // a page of less time, where no step of the answer is over
	Darkest  string // hour of Days
	Flows    []flowRow
	Lost     []lostRow
	Peak     *peakLink        // of a graph; nil where nothing is drawn
	Nothing  *explore.Nothing // why there is nothing to show; nil: not asked
	Instead  string           // the page that Nothing leads to
	Unknown  string           // what to do where nothing is known of any flow
}

// lighten drops links that a page of several panels would be too large with.
func (x *panel) lighten() {
	for i := range x.Rows {
		x.Rows[i].Peak = ""
	}
	for i := range x.Days {
		for j := range x.Days[i].Hours {
			x.Days[i].Hours[j].Link = ""
		}
	}
}

// spanOf formats the time of an answer, from its first step to the end of the last one. It says which steps made it
// longer than was asked for.
func spanOf(a *explore.Answer) string {
	clock := a.Clock()
	layout := "Mon 2 Jan 2006 " + clock
	from, to := a.From.In(zone(a)), a.End().In(zone(a))
	text := from.Format(layout) + " to " + to.Format(layout+" MST")
	switch {
	case from.Format("MST") != to.Format("MST"):
		text = from.Format(layout+" MST") + " to " + to.Format(layout+" MST")
	case from.Format(time.DateOnly) == to.Format(time.DateOnly):
		text = from.Format(layout) + " to " + to.Format(clock+" MST")
	}
	if a.Widened {
		text += ", whole steps of " + explore.StepText(a.Step)
	}
	return text
}

func (p *Pages) newPanel(a *explore.Answer) *panel {
	x := &panel{Title: title(a), Answer: a, Span: spanOf(a)}
	x.Unknown, x.Step = a.Unknown(), explore.StepText(a.Step)
	switch view := a.Question.View; {
	case view == explore.Single:
		x.Title, x.Flows = "Largest flows", newFlowRows(a, address)
		if a.Question.Unit == explore.Flows {
			x.Title = "Latest flows"
		}
	case view == explore.Lost:
		x.Title, x.Lost = "Losses", newLostRows(a, address)
	case view == explore.Sankey:
		x.Sankey, x.Links = newSankey(a, address), newLinkRows(a, address)
	case view == explore.Matrix:
		x.Matrix = newMatrix(a, address)
	case view == explore.Hours:
		x.Days = newDays(a, address)
		x.Darkest = rate(a, highestHour(a))
		for i := range 24 {
			x.HourList = append(x.HourList, i)
		}
	default:
		x.Rows, x.All, x.Fine = p.newRows(a, address), newAll(a), explore.StepText(a.Fine)
		if a.OnlyPartial() {
			q := a.Question.Latest(15 * time.Minute)
			q.Before = explore.NoBefore
			x.Early = q.Address(address)
		}
		x.Full = slices.ContainsFunc(x.Rows, func(r row) bool { return r.Full != "" })
		if view == explore.Map {
			x.Map = newMap(a, address)
			if x.Map.More = len(x.Rows) - a.Question.Top; x.Map.More > 0 {
				x.Rows = x.Rows[:a.Question.Top]
			}
		}
		if view.OverTime() && (!a.Empty() || a.Before != nil) {
			x.Chart, x.Peak = newChart(a, address), newPeak(a, address)
		}
	}
	return x
}
