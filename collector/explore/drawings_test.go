package explore

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Countries of a map have their codes; a map of anything else is refused.
func testMap(t *testing.T, e *Explorer) {
	for _, by := range []string{"src.country", "country"} {
		a := ask(t, e, "view=map&top=1&from=2026-03-05T11:00&to=2026-03-05T12:00&by="+by)
		codes := map[string]string{}
		for _, line := range a.Series {
			codes[line.Label()] = line.Code
		}
		if len(codes) != 2 || codes["Switzerland"] != "CH" || codes["unknown"] != "" {
			t.Errorf("by %s: %v", by, codes)
		}
	}
	for _, by := range [][]string{{"src.as"}, nil, {"src.country", "dst.country"}} {
		q := Question{By: by, View: Map, Last: time.Hour, Unit: Bits, Top: 8}
		if _, err := e.Ask(t.Context(), q); err == nil || !strings.Contains(err.Error(), "a map needs a country") {
			t.Errorf("by %v: %v", by, err)
		}
	}
}

// Countries are the same from the columns of rows, and by prefix where rows may not have these columns.
func testCountries(t *testing.T, e *Explorer) {
	s := testSettings()
	s.WithoutColumns = []string{"src_country", "dst_country"}
	joined := &Explorer{Conn: e.Conn, Planner: NewPlanner(&s), Now: e.Now}
	for _, rest := range []string{"by=src.country", "by=dst.country", "by=country", "by=country,src.as&view=table",
		"by=src.country,dst.country&view=sankey", "by=src.country&view=map", "by=proto&filter=country+%3D+CH",
		"by=proto&filter=not+src.country+%3D+switzerland", "by=country&filter=src.country+%3D+unknown"} {
		address := "unit=flows&from=2026-03-05T11:00&to=2026-03-05T12:00&" + rest
		a, b := ask(t, e, address), ask(t, joined, address)
		if lines(a, 1) != lines(b, 1) || !reflect.DeepEqual(a.Links, b.Links) {
			t.Errorf("%s: %s, by prefix %s", rest, lines(a, 1), lines(b, 1))
		}
		if sql := a.Query.SQL(); strings.Contains(sql, "ip_ref") || !strings.Contains(b.Query.SQL(), "ip_ref") {
			t.Errorf("%s: the columns are not read: %s", rest, sql)
		}
	}
	later := e.Planner.settings.Sources()[:1]
	later[0].Later = []string{"src_country"}
	p := NewPlanner(e.Planner.settings)
	p.SetSources(later)
	if p.dimension("src.country").few || !p.dimension("dst.country").few {
		t.Error("the column is read though rows may not have it, or not where they have")
	}
}

func testLinks(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=sankey&by=src.as,in.if,dst.as&top=2&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00")
	var all []string
	for _, link := range a.Links {
		var nodes []string
		for _, n := range link.Nodes {
			nodes = append(nodes, n.Label())
		}
		all = append(all, fmt.Sprintf("%s %g", strings.Join(nodes, ">"), link.Total/10))
	}
	slices.Sort(all)
	want := "AS64500 UNI-A>r1::up to the world>AS64510 90; AS64500 UNI-A>r1::up to the world>AS64511 90; " +
		"AS64501 LAB>r1::up to the world>AS64510 60; AS64501 LAB>r1::up to the world>AS64511 60; " +
		"others>r1::up to the world>AS64510 30; others>r1::up to the world>AS64511 30"
	if got := strings.Join(all, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	q, _ := Parse(url.Values{"view": {"sankey"}, "by": {"src.as"}}, noon)
	if _, err := e.Ask(t.Context(), q); err == nil {
		t.Error("a sankey of one dimension is drawn")
	}
}

func testHours(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=hours&unit=flows&last=2d&zone=Asia/Kolkata")
	// 11:00 to 12:00 UTC is 16:30 to 17:30 there: 90 flows in each of two hours.
	if len(a.Days) != 1 || a.Days[0].Date != "2026-03-05" || a.Days[0].Hours[16] != 90.0/3600 ||
		a.Days[0].Hours[17] != 90.0/3600 {
		t.Errorf("days are %+v", a.Days)
	}
}
