package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
)

//go:embed figure.svg
var figureSVG string

// figure is a drawing that stands alone, with its labels and colours.
type figure struct {
	Title  string
	Chart  *chart
	Sankey *sankey
	Map    *worldMap
	Sheet  *sheet
	Legend []shape
	Height int // of a chart with its legend
}

var figureTemplate = template.Must(template.New("figure").Funcs(template.FuncMap{
	"times":   func(a, b int) int { return a * b },
	"tenfold": func(x float64) string { return fmt.Sprintf("%.0f", 10*x) },
	"color":   func(i int) string { return colors[i] },
	"opacity": func(shade int) string { return fmt.Sprintf("%.2f", 0.15+0.085*float64(shade)) },
	"add":     func(a, b int) int { return a + b },
	"legend":  func(i int) int { return 20 + legendLine*i },
}).Parse(figureSVG))

// legendLine is how far lines of a legend are apart.
const legendLine = 18

// colors are those of explore.css for a light ground; the first is that of all others.
var colors = [...]string{"#9aa5b1", "#0072b2", "#e69f00", "#009e73", "#cc5a8b", "#56b4e9", "#8a6d3b", "#7356bf",
	"#b23800", "#5c6773"}

func writeSVG(w io.Writer, a *explore.Answer) error {
	f := figure{Title: title(a)}
	switch view := a.Question.View; {
	case view == explore.Sankey:
		f.Sankey = newSankey(a, address)
	case view == explore.Map:
		f.Map = newMap(a, address)
	case view.OverTime():
		f.Chart = newChart(a, address)
		for i := range a.Series {
			f.Legend = append(f.Legend, shape{Color: color(a.Series[i].Rank),
				Title: cut(a.Series[i].Label(), longestNode-4)})
		}
		f.Height = max(400, 60+legendLine*len(f.Legend))
	default:
		f.Sheet = sheetOf(a)
	}
	return figureTemplate.Execute(w, f)
}

// title is what an answer is by.
func title(a *explore.Answer) string {
	if len(a.Labels) == 0 {
		return "Traffic"
	}
	return strings.Join(a.Labels, ", ")
}
