package page

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// row is a row of the table below a graph.
type row struct {
	Color                     int
	Label, Link               string
	Min, Mean, P95, Max, Last string
	Volume                    string
	Percent                   float64
	Back                      string      // mean of the other direction
	Earlier, Change           string      // mean of the earlier time, and how much more it is now
	Full                      string      // 95th percentile in per cent of the speed
	About                     []aboutLink // pages of what it names
	Peak                      string      // the page of the flows behind its highest step
}

// rate formats a figure of an answer with its unit.
func rate(a *explore.Answer, v float64) string { return figures.SI(v) + a.Question.Unit.Label() }

// aboutLink leads to the page of a thing. End tells the links of a row apart; "" if there is one.
type aboutLink struct {
	link
	End string
}

// endOf names the end of a flow that a dimension is about, such as source; otherwise the dimension.
func endOf(dimension string) string {
	side, _, _ := strings.Cut(dimension, ".")
	switch side {
	case "src":
		return "source"
	case "dst":
		return "destination"
	}
	return side
}

// mostPeaks is how many lines lead to the flows behind their highest step. More would make the page too large.
const mostPeaks = 10

func (p *Pages) newRows(a *explore.Answer, page string) []row {
	show := a.KnownRate()
	var all []row
	for i := range a.Series {
		line := &a.Series[i]
		r := row{Color: color(line.Rank), Label: line.Label(), Min: show(line.Min), Mean: show(line.Mean),
			P95: show(line.P95), Max: show(line.Max), Last: show(line.Last),
			Volume: a.Question.Unit.Amount(line.Total), Percent: 100 * line.Share}
		if from, step, ok := a.Peak(line); ok && line.Filter != "" && i < mostPeaks {
			r.Peak = flowsOf(a, from, step, line.Filter).Address(page)
		}
		if line.Filter != "" {
			r.Link = a.Question.With(line.Filter).Address(page)
		}
		for j, name := range a.Question.By {
			if subject, ok := p.Explorer.Planner.SubjectOf(name, line.Keys[j]); ok && line.Rank != 0 {
				r.About = append(r.About, aboutLink{link{subject.Label(), aboutAddress(subject)}, endOf(name)})
			}
		}
		if a.Before != nil {
			r.Earlier, r.Change = rate(a, line.Earlier), explore.Change(line.Earlier, line.Mean)
		}
		if len(r.About) == 1 {
			r.About[0].End = ""
		}
		r.Full = line.Full()
		if i < len(a.Back) {
			r.Back = show(a.Back[i].Mean)
		}
		all = append(all, r)
	}
	return all
}

// newAll returns the row of all lines together. It is nil if a flow can count in several lines, or if there is one
// line.
func newAll(a *explore.Answer) *row {
	if a.Overlap || len(a.Series) < 2 {
		return nil
	}
	all, show := a.Sum(), a.KnownRate()
	r := &row{Min: show(all.Min), Mean: show(all.Mean), P95: show(all.P95), Max: show(all.Max),
		Last: show(all.Last), Volume: a.Question.Unit.Amount(all.Total)}
	earlier, back := 0.0, 0.0
	for i := range a.Series {
		earlier += a.Series[i].Earlier
		if i < len(a.Back) {
			back += a.Back[i].Mean
		}
	}
	r.Earlier, r.Change, r.Back = rate(a, earlier), explore.Change(earlier, all.Mean), show(back)
	return r
}

// linkRow is what goes one way, as the table below a sankey has it.
type linkRow struct {
	Nodes []string
	Mean  string
	Share string
	Link  string // to its flows; "" where others are among them
}

// mostLinks is how many lines that table has.
const mostLinks = 50

func newLinkRows(a *explore.Answer, page string) []linkRow {
	all := 0.0
	for _, link := range a.Links {
		all += link.Total
	}
	var rows []linkRow
	for i, link := range a.Links[:min(len(a.Links), mostLinks)] {
		r := linkRow{Share: fmt.Sprintf("%.1f %%", 100*link.Total/all),
			Mean: rate(a, a.Mean(link.Total))}
		if link.Filter != "" && i < mostLinkedRows {
			r.Link = stackedOf(a, link.Filter).Address(page)
		}
		for _, n := range link.Nodes {
			r.Nodes = append(r.Nodes, n.Label())
		}
		rows = append(rows, r)
	}
	return rows
}

// mostLinkedRows is how many of them are links.
const mostLinkedRows = 20

// stackedOf is the question for what the condition takes, over time.
func stackedOf(a *explore.Answer, condition string) explore.Question {
	q := a.Question.With(condition)
	q.View = explore.Stacked
	return q
}

// matrix fills the template of a traffic matrix.
type matrix struct {
	From, To []heading
	Cells    [][]cell
}

// heading leads to with whom it exchanges what.
type heading struct{ Text, Link string }

func newHeading(a *explore.Answer, side int, n explore.Node, page string) heading {
	h := heading{Text: cut(n.Label(), longestNode)}
	if n.Filter != "" {
		q := stackedOf(a, n.Filter)
		q.By = []string{a.Question.By[1-side]}
		h.Link = q.Address(page)
	}
	return h
}

// cell has a shade from 0 to 9.
type cell struct {
	Text, Link string
	Shade      int
}

func newMatrix(a *explore.Answer, page string) *matrix {
	m := &matrix{}
	var columns [2][]*node
	highest := 0.0
	for _, link := range a.Links {
		highest = max(highest, link.Total)
		for i := range columns {
			find(&columns[i], link.Nodes[i]).total += link.Total
		}
	}
	for i := range columns {
		sortNodes(columns[i])
	}
	for _, to := range columns[1] {
		m.To = append(m.To, newHeading(a, 1, to.Node, page))
	}
	for _, from := range columns[0] {
		m.From = append(m.From, newHeading(a, 0, from.Node, page))
		line := make([]cell, len(columns[1]))
		for _, link := range a.Links {
			if find(&columns[0], link.Nodes[0]) != from {
				continue
			}
			for j, to := range columns[1] {
				if to == find(&columns[1], link.Nodes[1]) {
					line[j] = cell{Text: rate(a, a.Mean(link.Total)),
						Shade: shade(link.Total, highest)}
					if link.Filter != "" {
						line[j].Link = stackedOf(a, link.Filter).Address(page)
					}
				}
			}
		}
		m.Cells = append(m.Cells, line)
	}
	return m
}

// shade returns the darkness of a cell, from 0 to 9.
func shade(v, highest float64) int {
	if highest <= 0 {
		return 0
	}
	return int(9 * v / highest)
}

// day is a line of the view of hours.
type day struct {
	Label, Link string
	Hours       [24]hour
}

type hour struct {
	Title, Link string
	Shade       int
}

// mostLinkedDays is the maximum number of days with a link for each hour: more links would outweigh the page.
const mostLinkedDays = 10

// highestHour returns the figure of the hour that has most.
func highestHour(a *explore.Answer) float64 {
	highest := 0.0
	for _, d := range a.Days {
		for _, v := range d.Hours {
			highest = max(highest, v)
		}
	}
	return highest
}

func newDays(a *explore.Answer, page string) []day {
	highest := highestHour(a)
	var all []day
	for _, d := range a.Days {
		date, err := explore.ParseDate(d.Date, zone(a))
		if err != nil {
			continue
		}
		q := a.Question.Between(date, a.Question.DayAfter(date))
		q.View = explore.Stacked
		line := day{Label: date.Format("Mon 2 Jan"), Link: q.Address(page)}
		for i, v := range d.Hours {
			from, to := a.Question.Hour(date, i)
			q := a.Question.Between(from, to)
			q.View = explore.Stacked
			line.Hours[i] = hour{Shade: shade(v, highest), Title: rate(a, v)}
			if len(a.Days) <= mostLinkedDays && from.Before(a.To) { // nothing is known of what has not come
				line.Hours[i].Link = q.Address(page)
			}
		}
		all = append(all, line)
	}
	return all
}
