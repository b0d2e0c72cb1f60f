package page

import (
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/explore"
)

func TestChart(t *testing.T) {
	c := newChart(answer(explore.Stacked), "explore")
	// The largest is at the bottom and drawn last; the step that is not over is not drawn.
	if len(c.Areas) != 2 || c.Areas[1].Color != 1 || c.Peak != 5e6 {
		t.Fatalf("%+v", c)
	}
	if want := "M0 800l333 -200l333 -200V1000H0Z"; c.Areas[1].Path != want {
		t.Errorf("the path is %s, want %s", c.Areas[1].Path, want)
	}
	if c.PartialX != 666 || c.PartialWidth != 334 || c.YLabels[0] != "5.00 Mbit/s" {
		t.Errorf("%+v", c)
	}
	if got := c.XLabels[1]; got.Text != "11:10" || !strings.Contains(got.Link, "from=2026-03-05T11%3A10") {
		t.Errorf("labels of time are %+v", c.XLabels)
	}
	c = newChart(answer(explore.Both), "explore")
	if want := "M0 550l333 -50l333 100V500H0Z"; c.Areas[3].Path != want || c.YLabels[2] != "0 bit/s" ||
		c.YLabels[4] != c.YLabels[0] {
		t.Errorf("the path down is %s, want %s; labels are %v", c.Areas[3].Path, want, c.YLabels)
	}
	c = newChart(answer(explore.Share), "explore")
	if c.Peak != 100 || c.YLabels[4] != "0 %" {
		t.Errorf("%+v", c)
	}
}

// The earlier time of shares is where each line ended then, of all traffic then: at a quarter and at a half, and at the
// bottom in a step without traffic.
func TestChart_shareBefore(t *testing.T) {
	a := answer(explore.Share)
	a.Question.Before, a.Partial, a.To = explore.DayBefore, false, a.From.Add(3*a.Step)
	a.Before = []float64{8, 0, 4}
	others := a.Series[1]
	second := a.Series[0]
	a.Series[0].Before, second.Before, others.Before = []float64{2, 0, 1}, []float64{2, 0, 1}, []float64{4, 0, 2}
	second.Rank = 2
	a.Series = []explore.Series{a.Series[0], second, others}
	if got, want := newChart(a, "explore").Before, "M0 750l500 250l500 -250M0 500l500 500l500 -500"; got != want {
		t.Errorf("the earlier shares are %s, want %s", got, want)
	}
	p := pages(t)
	p.cache.put(cacheKey(a.Question), a, kept(a))
	html := get(t, p, "/explore?"+a.Question.Values().Encode()).Body.String()
	for _, want := range []string{"where the largest lines ended the day before", `d="M0 750l500 250`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s on the page", want)
		}
	}
	a.Question.Before, a.Before = explore.NoBefore, nil
	if got := newChart(a, "explore").Before; got != "" {
		t.Errorf("without an earlier time: %s", got)
	}
}
