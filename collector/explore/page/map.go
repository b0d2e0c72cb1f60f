package page

import (
	_ "embed"
	"fmt"
	"math"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web/figures"
)

// mapText has a tile for each country, by its code of ISO 3166, about where it lies: rows from the north, columns of
// three characters from the west. It is our own: tiles are of one size, so that small countries can be seen and
// touched.
//
//go:embed map.txt
var mapText string

// worldMap is how much countries have.
type worldMap struct {
	Width, Height int // in tiles
	Tiles         []tile
	Elsewhere     string // what has no tile, in all; "" if there is none
	More          int    // countries that have no line in the table
}

// tile is a country.
type tile struct {
	X, Y              int
	Code, Title, Link string
	Shade             int // from 0, for nothing, to 9
}

// newMap draws an answer by country.
func newMap(a *explore.Answer, page string) *worldMap {
	m := &worldMap{}
	places := map[string]int{}
	for y, row := range strings.Split(strings.TrimRight(mapText, "\n"), "\n") {
		m.Height = y + 1
		for at := 0; at+2 <= len(row); at += 3 {
			if code := row[at : at+2]; code != "  " {
				m.Width = max(m.Width, at/3+1)
				places[code] = len(m.Tiles)
				m.Tiles = append(m.Tiles, tile{X: at / 3, Y: y, Code: code, Title: code + ": nothing"})
			}
		}
	}
	highest, elsewhere := 0.0, 0.0
	for i := range a.Series {
		if _, ok := places[a.Series[i].Code]; ok {
			highest = max(highest, a.Series[i].Mean)
		}
	}
	rate := func(v float64) string { return figures.SI(v) + a.Question.Unit.Label() }
	for i := range a.Series {
		line := &a.Series[i]
		at, ok := places[line.Code]
		if !ok {
			elsewhere += line.Mean
			continue
		}
		t := &m.Tiles[at]
		t.Title = fmt.Sprintf("%s: %s, %.1f %%", line.Label(), rate(line.Mean), 100*line.Share)
		// The root shows small ones too.
		t.Shade = 1 + int(8*math.Sqrt(line.Mean/max(highest, 1e-9)))
		t.Link = a.Question.With(line.Filter).Address(page)
	}
	if elsewhere > 0 {
		m.Elsewhere = rate(elsewhere)
	}
	return m
}
