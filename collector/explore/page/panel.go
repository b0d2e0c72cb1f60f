package page

import (
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
)

// panel is an answer as it is drawn: one of its pictures, and the table that belongs to it.
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
	HourList []int // the head of Days
}

func (p *Pages) newPanel(a *explore.Answer) *panel {
	x := &panel{Title: "Traffic", Answer: a}
	if len(a.Labels) > 0 {
		x.Title = strings.Join(a.Labels, ", ")
	}
	switch view := a.Question.View; {
	case view == explore.Sankey:
		x.Sankey, x.Links = newSankey(a), newLinkRows(a)
	case view == explore.Matrix:
		x.Matrix = newMatrix(a, address)
	case view == explore.Hours:
		x.Days = newDays(a, address)
		for i := range 24 {
			x.HourList = append(x.HourList, i)
		}
	default:
		x.Rows, x.All = p.newRows(a, address), newAll(a)
		x.Full = slices.ContainsFunc(x.Rows, func(r row) bool { return r.Full != "" })
		if view == explore.Map {
			x.Map = newMap(a, address)
			if x.Map.More = len(x.Rows) - a.Question.Top; x.Map.More > 0 {
				x.Rows = x.Rows[:a.Question.Top]
			}
		}
		if view.OverTime() {
			x.Chart = newChart(a, address)
		}
	}
	return x
}
