package explore

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func testSeries(t *testing.T, e *Explorer) {
	a := ask(t, e, "by=src.as,proto&top=2&last=2h&before=period&filter=dst.as+%3D+64510")
	if len(a.Series) != 3 || a.Series[0].Label() != "AS64500 UNI-A → tcp" || a.Series[2].Label() != "others" {
		t.Fatalf("the lines are %s", lines(a, 1))
	}
	if a.Step != time.Minute || len(a.Series[0].Points) != 120 || !a.From.Equal(noon.Add(-2*time.Hour)) || a.Partial {
		t.Errorf("%d steps of %s from %s, partial %t", len(a.Series[0].Points), a.Step, a.From, a.Partial)
	}
	// 24,000 bits in every other minute of the last 60.
	first := a.Series[0].Points
	if first[0] != 0 || first[60] != 400 || first[61] != 0 || first[62] != 400 {
		t.Errorf("points are %v", first)
	}
	want := Stats{Min: 0, Mean: 100, P95: 400, Max: 400, Last: 0, Total: 30 * 24000, Share: 0.5}
	if got := a.Series[0].Stats; math.Abs(got.Mean-want.Mean) > 1e-9 {
		t.Errorf("the mean is %g", got.Mean)
	} else if got.Mean = want.Mean; got != want {
		t.Errorf("statistics are %+v, want %+v", got, want)
	}
	if read := e.Estimate(t.Context(), a.Query); read < 180 || read > 10000 {
		t.Errorf("%d rows are read", read)
	}
	l, err := e.Losses(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Missing) != 1 || l.Missing[0].Count != 16 || l.Missing[0].Points[10] != 9 ||
		l.Missing[0].Points[70] != 7 ||
		math.Abs(l.Missing[0].Share-16.0/116) > 1e-9 {
		t.Errorf("missing: %+v", l.Missing)
	}
	if len(l.Sampled) != 1 || l.Sampled[0] != (Sampled{100, 1}) || !l.SampledFrom.Equal(noon.Add(-time.Hour)) {
		t.Errorf("sampled: %+v since %s", l.Sampled, l.SampledFrom)
	}
	for _, v := range a.Before {
		if v != 0 {
			t.Error("there is traffic before there was any")
		}
	}
	// The hour before now, asked an hour later.
	b := ask(t, after(e, time.Hour), "from=2026-03-05T12:00&to=2026-03-05T13:00&before=period")
	if len(b.Series) != 0 || b.Before[0] != 800 || b.Partial {
		t.Errorf("lines are %s, before %v, partial %t", lines(b, 1), b.Before[0], b.Partial)
	}
	// Each line has its mean of the time before, and interfaces their speed.
	b = ask(t, e, "by=in.if&from=2026-03-05T11:30&to=2026-03-05T12:00&before=period")
	if line := b.Series[0]; math.Abs(line.Mean-800)+math.Abs(line.Earlier-800) > 1e-9 || line.Speed != 10e9 {
		t.Errorf("mean %g, before %g, speed %g", line.Mean, line.Earlier, line.Speed)
	}
	b = ask(t, e, "by=circuit&from=2026-03-05T11:00&to=2026-03-05T12:00")
	if b.Series[0].Speed != 10e9 {
		t.Errorf("the speed of a circuit is %g", b.Series[0].Speed)
	}
	// A step that is not over counts in the total, and in no rate.
	b = ask(t, e, "from=2026-03-05T10:30&to=2026-03-05T11:30")
	if b.Partial || b.Series[0].Total != 30*48000 {
		t.Errorf("%g in all", b.Series[0].Total)
	}
}

// The other direction has sources and destinations exchanged, in the filter too, and the same lines.
func testBoth(t *testing.T, e *Explorer) {
	a := ask(t, e,
		"view=both&by=src.as&top=2&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=in.if+%3D+r1::up")
	if got := lines(a, 10); got != "AS64500 UNI-A 180, AS64501 LAB 120, others 60" {
		t.Errorf("lines are %s", got)
	}
	// What goes out by r1::up: nothing.
	if len(a.Back) != 3 || a.Back[0].Total+a.Back[1].Total+a.Back[2].Total != 0 {
		t.Errorf("back: %+v", a.Back)
	}
	a = ask(t, e, "view=both&by=src.as&top=4&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00")
	// A destination that is no source gets a line while there is room; the others stand last.
	got := ""
	for i, s := range a.Series {
		got += fmt.Sprintf("%s %g/%g, ", s.Label(), s.Total/10, a.Back[i].Total/10)
	}
	if want := "AS64500 UNI-A 180/0, AS64501 LAB 120/0, unknown 60/0, AS64510 0/180, others 0/180, "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	a = ask(t, e, "view=both&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=dst.as+%3D+64510")
	if len(a.Back) != 1 || a.Series[0].Total != 1800 || a.Back[0].Total != 0 {
		t.Errorf("all: %s of %+v", lines(a, 10), a.Back)
	}
	a = ask(t, e, "view=both&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=src.as+%3D+64510")
	if len(a.Back) != 1 || a.Series[0].Total != 0 || a.Back[0].Total != 1800 {
		t.Errorf("all: %s of %+v", lines(a, 10), a.Back)
	}
}

// What a rollup answers is what the rows say, for every dimension that one has.
func testRollups(t *testing.T, e *Explorer) {
	s := testSettings()
	s.Rollups = nil
	rows := &Explorer{Conn: e.Conn, Planner: NewPlanner(&s), Now: e.Now}
	answered := map[string]bool{}
	for _, d := range e.Planner.list {
		for _, rest := range []string{"", "&zone=Asia/Kolkata&filter=device+%3D+r1"} {
			if d.Only {
				continue
			}
			address := "unit=flows&top=50&from=2026-02-20&to=2026-03-06&by=" + d.Name + rest
			a, b := ask(t, e, address), ask(t, rows, address)
			answered[a.Table()] = true
			if got, want := lines(a, 1), lines(b, 1); got != want || !reflect.DeepEqual(a.Days, b.Days) {
				t.Errorf("%s: %s says %s, the rows %s", address, a.Query.Source.Line(), got, want)
			}
			for i := range a.Series {
				if !slices.Equal(a.Series[i].Points, b.Series[i].Points) {
					t.Errorf("%s: points of %s differ in %s", address, a.Series[i].Label(), a.Query.Source.Line())
				}
			}
		}
	}
	for _, rest := range []string{"view=hours", "by=app&filter=device+%3D+r1+and+proto+%3D+tcp", "by=in.if&view=both",
		"by=src.as,device&view=sankey", "by=device&filter=scope+%3D+comm:lhcone", "by=level&filter=scope+!%3D+unknown",
		"by=device&filter=scope+%3D+as:64500", "by=src.country,dst.country&view=sankey",
		"filter=src.country+%3D+switz*&by=country", "filter=country+%3D+unknown&by=dst.country"} {
		a, b := ask(t, e, "unit=flows&from=2026-02-20&to=2026-03-06&"+rest),
			ask(t, rows, "unit=flows&from=2026-02-20&to=2026-03-06&"+rest)
		if lines(a, 1) != lines(b, 1) || !reflect.DeepEqual(a.Days, b.Days) || !reflect.DeepEqual(a.Links, b.Links) ||
			!reflect.DeepEqual(a.Back, b.Back) {
			t.Errorf("%s: %s differs from the rows", rest, a.Query.Source.Line())
		}
	}
	for _, want := range []string{"data_flow", "rollup_all_src_as_6h", "rollup_edge_src_as_5m",
		"rollup_interface_ref_1h", "rollup_edge_application_1h", "rollup_scireg_1h", "rollup_named_scope_1h",
		"rollup_country_1h", "rollup_traffic_1h"} {
		if !answered[want] {
			t.Errorf("%s answers nothing; the tables are %v", want, answered)
		}
	}
}

// Statistics can be of finer steps than the graph: a 95th percentile of five minutes over a month.
func testStep(t *testing.T, e *Explorer) {
	const rest = "by=src.as&unit=packets&from=2026-02-26T12:00&to=2026-03-05T12:00"
	coarse, fine := ask(t, e, rest), ask(t, e, rest+"&step=5m")
	n := len(fine.Series[0].Points)
	if fine.Fine != 5*time.Minute || fine.Step != coarse.Step || n != len(coarse.Series[0].Points) {
		t.Fatalf("steps of %s and %s, %d points", fine.Fine, fine.Step, n)
	}
	for i := range coarse.Series {
		c, f := coarse.Series[i], fine.Series[i]
		if c.Total != f.Total || math.Abs(c.Mean-f.Mean) > 1e-9 || f.Max < c.Max {
			t.Errorf("%s: %+v, in fine steps %+v", c.Label(), c.Stats, f.Stats)
		}
		for j := range c.Points {
			if math.Abs(c.Points[j]-f.Points[j]) > 1e-9 {
				t.Errorf("%s at %d: %g and %g", c.Label(), j, c.Points[j], f.Points[j])
			}
		}
	}
	if got := fine.Series[0].Max; got != 5*30/300.0 { // 30 packets a minute
		t.Errorf("the highest of five minutes is %g", got)
	}
	b := ask(t, after(e, time.Hour), "by=src.as&from=2026-02-26T12:10&to=2026-03-05T12:20&step=5m")
	if !b.End().Equal(b.Question.To) || !b.To.After(b.End()) ||
		!strings.HasPrefix(b.told(), "2026-02-26 12:00 to 2026-03-05 12:20") {
		t.Errorf("figures are up to %s, the graph up to %s: %s", b.End(), b.To, b.told())
	}
	// What leads to the flows of the maximum is of the same step.
	if from, step, ok := fine.Peak(&fine.Series[0]); !ok || step != 5*time.Minute || !from.Equal(noon.Add(-time.Hour)) {
		t.Errorf("the highest step is of %s from %s, %t", step, from, ok)
	}
	if _, step, ok := coarse.Peak(&coarse.Series[0]); !ok || step != coarse.Step {
		t.Errorf("the highest step is of %s, %t", step, ok)
	}
}
