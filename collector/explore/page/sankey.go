package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/metranova/flow-collector/collector/explore"
)

// Sizes of a sankey in its own units.
const (
	sankeyWidth  = 900
	sankeyHeight = 420
	nodeWidth    = 12
	nodeGap      = 8
	textHeight   = 13
)

// sankey fills the template of a Sankey diagram: a column of nodes for each dimension, and bands between columns.
type sankey struct {
	Width, Height int
	Nodes         []box
	Bands         []band
	Labels        []string // of the columns
}

// box is a node.
type box struct {
	X, Y, Height float64
	TextX, TextY float64
	End          bool // the text stands left of it
	Text, Title  string
	Link         string // to its flows; "" for all others
}

// band joins two nodes.
type band struct {
	Path, Title string
	Color       int
	Link        string // to its flows; "" where others are among them, or where it is narrow
}

// node is a node while it is placed.
type node struct {
	explore.Node
	total, y float64
	// out and in are how much of its two sides has bands already, from the top.
	out, in float64
}

// Bottom is the height with some room for the last text.
func (s *sankey) Bottom() int { return s.Height + 2*textHeight }

func newSankey(a *explore.Answer, page string) *sankey {
	s := &sankey{Width: sankeyWidth, Height: sankeyHeight, Labels: a.Labels}
	n := len(a.Labels)
	columns := make([][]*node, n)
	all := 0.0
	for _, link := range a.Links {
		all += link.Total
		for i, x := range link.Nodes {
			find(&columns[i], x).total += link.Total
		}
	}
	if all == 0 {
		return s
	}
	most := 0
	for _, column := range columns {
		most = max(most, len(column))
	}
	scale := (sankeyHeight - nodeGap*float64(most-1)) / all
	for i := range columns {
		s.place(a, columns, i, scale, page)
	}
	for i := range n - 1 {
		s.join(a, columns, i, scale, page)
	}
	return s
}

// find returns the node of a column with x's key, and adds it if there is none.
func find(column *[]*node, x explore.Node) *node {
	for _, n := range *column {
		if n.Rank == x.Rank && n.Key == x.Key {
			return n
		}
	}
	n := &node{Node: x}
	*column = append(*column, n)
	return n
}

// sortNodes sorts a column: the largest first, all others last.
func sortNodes(column []*node) {
	slices.SortFunc(column, func(a, b *node) int { return cmp.Compare(uint(a.Rank-1), uint(b.Rank-1)) })
}

// place stacks the nodes of a column, the largest on top and all others at the bottom.
func (s *sankey) place(a *explore.Answer, columns [][]*node, i int, scale float64, page string) {
	column := columns[i]
	sortNodes(column)
	x := float64(i) * (sankeyWidth - nodeWidth) / float64(len(columns)-1)
	y, lowest := 0.0, -float64(textHeight)
	for _, n := range column {
		n.y = y
		b := box{X: x, Y: y, Height: max(n.total*scale, 1), TextX: x + nodeWidth + 4,
			TextY: y + max(n.total*scale, 1)/2 + 4,
			Text:  cut(n.Label(), longestNode)}
		b.Title = n.Label() + " " + rate(a, a.Mean(n.total))
		if n.Filter != "" {
			b.Link = a.Question.With(n.Filter).Address(page)
		}
		if i == len(columns)-1 {
			b.End, b.TextX = true, x-4
		}
		if free := b.TextY - lowest; free < textHeight {
			b.Text = "" // it would stand on the one above; the title has it
		} else {
			lowest = b.TextY
		}
		s.Nodes = append(s.Nodes, b)
		y += n.total*scale + nodeGap
	}
}

// join draws the bands between two columns. They have the colours of the first column's nodes.
func (s *sankey) join(a *explore.Answer, columns [][]*node, i int, scale float64, page string) {
	type pair struct{ from, to *node }
	sums := map[pair]float64{}
	var pairs []pair
	for _, link := range a.Links {
		p := pair{find(&columns[i], link.Nodes[i]), find(&columns[i+1], link.Nodes[i+1])}
		if _, ok := sums[p]; !ok {
			pairs = append(pairs, p)
		}
		sums[p] += link.Total
	}
	// In the order of the nodes bands cross least.
	slices.SortFunc(pairs,
		func(a, b pair) int { return cmp.Or(cmp.Compare(a.from.y, b.from.y), cmp.Compare(a.to.y, b.to.y)) })
	gap := float64(sankeyWidth-nodeWidth) / float64(len(columns)-1)
	x1 := float64(i)*gap + nodeWidth
	x2 := float64(i+1) * gap
	middle := (x1 + x2) / 2
	narrow := linkedFrom(slices.Collect(maps.Values(sums)))
	for _, p := range pairs {
		h := sums[p] * scale
		y1, y2 := p.from.y+p.from.out, p.to.y+p.to.in
		p.from.out += h
		p.to.in += h
		b := band{Color: color(p.from.Rank),
			Path: fmt.Sprintf("M%.0f %.1fC%.0f %.1f %.0f %.1f %.0f %.1fv%.1fC%.0f %.1f %.0f %.1f %.0f %.1fZ",
				x1, y1, middle, y1, middle, y2, x2, y2, max(h, 0.5), middle, y2+h, middle, y1+h, x1, y1+h),
			Title: fmt.Sprintf("%s → %s: %s", p.from.Label(), p.to.Label(), rate(a, a.Mean(sums[p]))),
		}
		if p.from.Filter != "" && p.to.Filter != "" && sums[p] >= narrow {
			b.Link = a.Question.With(p.from.Filter + " and " + p.to.Filter).Address(page)
		}
		s.Bands = append(s.Bands, b)
	}
}

// mostLinkedBands is how many bands between two columns are links: each has its whole address in the page.
const mostLinkedBands = 16

// linkedFrom is how large the smallest band is that is a link.
func linkedFrom(sizes []float64) float64 {
	slices.Sort(sizes)
	return sizes[max(len(sizes)-mostLinkedBands, 0)]
}

// longestNode is how many characters of its name stand at a node. Its title has all.
const longestNode = 34

// cut shortens a text.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
