package page

import (
	"fmt"
	"strconv"
	"unicode"

	"github.com/metranova/flow-collector/collector/explore"
)

// sheet is a table drawn as an SVG file.
type sheet struct {
	Width, Height int
	Cells         []sheetCell
}

// sheetCell is a cell with its position in the drawing.
type sheetCell struct {
	X, Y        int
	Text        string
	End         bool // the text ends at X, else it starts there
	Head        bool // it is in the header row
	GroundX     int  // background of the cell
	GroundWidth int
	Shade       int // of the background, 1 to 9; 0: none
}

// Sizes of a sheet.
const (
	sheetLine   = 22
	sheetGap    = 18
	sheetMargin = 12
	sheetLetter = 7 // approximate width of a Latin letter
	sheetCut    = 60
)

// sheetText is a cell without its position.
type sheetText struct {
	text  string
	shade int
}

// newSheet computes the positions of the cells. The first line is the header. Columns for which number returns true are
// aligned right.
func newSheet(lines [][]sheetText, number func(column int) bool) *sheet {
	s := &sheet{Width: sheetMargin, Height: 2*sheetMargin + sheetLine*len(lines)}
	if len(lines) == 0 {
		return s
	}
	for column := range lines[0] {
		width := 0
		for _, line := range lines {
			width = max(width, textWidth(cut(line[column].text, sheetCut)))
		}
		for i, line := range lines {
			c := sheetCell{X: s.Width, Y: sheetMargin + sheetLine*i + 15, Text: cut(line[column].text, sheetCut),
				Head: i == 0, GroundX: s.Width - sheetGap/2, GroundWidth: width + sheetGap, Shade: line[column].shade}
			if number(column) {
				c.X, c.End = s.Width+width, true
			}
			s.Cells = append(s.Cells, c)
		}
		s.Width += width + sheetGap
	}
	return s
}

// textWidth returns the approximate width of a text.
func textWidth(text string) int {
	n := 0
	for _, r := range text {
		if n += sheetLetter; unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) ||
			r > 0x1f000 {
			n += sheetLetter
		}
	}
	return n
}

// sheetOf draws the table of an answer whose view has no chart.
func sheetOf(a *explore.Answer) *sheet {
	switch a.Question.View {
	case explore.Hours:
		return hoursSheet(a)
	case explore.Matrix:
		return matrixSheet(a)
	case explore.Single:
		return flowsSheet(a)
	case explore.Lost:
		return lostSheet(a)
	}
	figure := func(v float64) sheetText { return sheetText{text: rate(a, v)} }
	lines := [][]sheetText{texts(title(a), "min", "mean", "95 %", "max", "last", "volume", "share")}
	if a.Before != nil {
		lines[0] = append(lines[0], texts("before", "change")...)
	}
	for i := range a.Series {
		x := &a.Series[i]
		line := []sheetText{{text: x.Label()}, figure(x.Min), figure(x.Mean), figure(x.P95),
			figure(x.Max), figure(x.Last), {text: a.Question.Unit.Amount(x.Total)},
			{text: fmt.Sprintf("%.1f %%", 100*x.Share), shade: shade(x.Share, 1)}}
		if a.Before != nil {
			line = append(line, figure(x.Earlier), sheetText{text: explore.Change(x.Earlier, x.Mean)})
		}
		lines = append(lines, line)
	}
	return newSheet(lines, func(column int) bool { return column > 0 })
}

func texts(all ...string) []sheetText {
	var line []sheetText
	for _, text := range all {
		line = append(line, sheetText{text: text})
	}
	return line
}

func hoursSheet(a *explore.Answer) *sheet {
	head := texts("")
	for hour := range 24 {
		head = append(head, sheetText{text: fmt.Sprintf("%02d", hour)})
	}
	lines := [][]sheetText{head}
	for _, d := range newDays(a, address) {
		line := texts(d.Label)
		for _, h := range d.Hours {
			line = append(line, sheetText{shade: h.Shade})
		}
		lines = append(lines, line)
	}
	return newSheet(lines, func(int) bool { return false })
}

func matrixSheet(a *explore.Answer) *sheet {
	m := newMatrix(a, address)
	head := texts("")
	for _, to := range m.To {
		head = append(head, sheetText{text: to.Text})
	}
	lines := [][]sheetText{head}
	for i, from := range m.From {
		line := texts(from.Text)
		for _, c := range m.Cells[i] {
			line = append(line, sheetText{c.Text, c.Shade})
		}
		lines = append(lines, line)
	}
	return newSheet(lines, func(column int) bool { return column > 0 })
}

func flowsSheet(a *explore.Answer) *sheet {
	lines := [][]sheetText{texts("time", "from", "AS", "to", "AS", "protocol", "bytes", "packets", "rate")}
	for _, f := range newFlowRows(a, address) {
		lines = append(lines, texts(f.Time, f.Ends[0].Text, f.Ends[0].AS, f.Ends[1].Text, f.Ends[1].AS, f.Protocol,
			f.Bytes, f.Packets, f.Rate))
	}
	return newSheet(lines, func(column int) bool { return column > 5 })
}

func lostSheet(a *explore.Answer) *sheet {
	lines := [][]sheetText{texts("exporter", "what is missing", "count", "of what was received", "first", "last")}
	for _, l := range newLostRows(a, address) {
		lines = append(lines, texts(l.Exporter, l.What, l.Count, l.Share, l.First, l.Last))
	}
	return newSheet(lines, func(column int) bool { return column == 2 || column == 3 })
}

// Opacity returns the opacity of the cell's background, from 0 to 1.
func (c sheetCell) Opacity() string { return strconv.FormatFloat(0.09*float64(c.Shade), 'f', 2, 64) }
