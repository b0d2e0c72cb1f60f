package page

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
)

// mapText has the shape of each country, by its code of ISO 3166: a path, or the place of a dot for a country that is
// too small for one. testdata/atlas.mjs makes it from Natural Earth, which is in the public domain.
//
//go:embed map.txt
var mapText string

// Sizes of the map, in its own units.
const (
	mapWidth  = 1000
	mapHeight = 445
)

// worldMap fills the template of a map of countries.
type worldMap struct {
	Width, Height int
	Shapes        []country // those without a link first, so that the others are drawn upon them
	Elsewhere     string    // what has no country here, in all; "" if there is none
	Darkest       string    // the figure of the darkest shade; "" if no country has one
	More          int       // countries that have no line in the table
}

// country is a path, or a dot where the path is empty.
type country struct {
	Code, Path, X, Y string
	Title, Link      string
	Shade            int // from 0, for nothing, to 9
}

// mostLinkedCountries is how many countries of a map are links: the largest. Each has its whole address in the page.
const mostLinkedCountries = 25

// newMap draws an answer by country.
func newMap(a *explore.Answer, page string) *worldMap {
	m := &worldMap{Width: mapWidth, Height: mapHeight}
	places := map[string]int{}
	for line := range strings.Lines(mapText) {
		code, shape, _ := strings.Cut(strings.TrimSpace(line), " ")
		places[code] = len(m.Shapes)
		c := country{Code: code}
		if strings.HasPrefix(shape, "M") {
			c.Path = shape
		} else {
			c.X, c.Y, _ = strings.Cut(shape, " ")
		}
		m.Shapes = append(m.Shapes, c)
	}
	highest, elsewhere := 0.0, 0.0
	for i := range a.Series {
		if _, ok := places[a.Series[i].Code]; ok {
			highest = max(highest, a.Series[i].Mean)
		}
	}
	for i := range a.Series {
		line := &a.Series[i]
		at, ok := places[line.Code]
		if !ok {
			elsewhere += line.Mean
			continue
		}
		c := &m.Shapes[at]
		c.Title = fmt.Sprintf("%s: %s, %.1f %%", line.Label(), rate(a, line.Mean), 100*line.Share)
		// The square root makes small values visible.
		c.Shade = 1 + int(8*math.Sqrt(line.Mean/max(highest, 1e-9)))
		if line.Filter != "" && i < mostLinkedCountries {
			c.Link = a.Question.With(line.Filter).Address(page)
		}
	}
	slices.SortStableFunc(m.Shapes, func(x, y country) int {
		return cmp.Or(cmp.Compare(min(len(x.Link), 1), min(len(y.Link), 1)), // dots last: they lie on shapes
			cmp.Compare(min(len(x.X), 1), min(len(y.X), 1)))
	})
	if highest > 0 {
		m.Darkest = rate(a, highest)
	}
	if elsewhere > 0 {
		m.Elsewhere = rate(a, elsewhere)
	}
	return m
}
