package web

import (
	"encoding/json"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/status"
	"github.com/metranova/flow-collector/collector/verdict"
)

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

func exampleReport() *status.Report {
	return &status.Report{
		Collector: status.Collector{
			ID: "geneva-1", Version: "v1", Now: noon, Started: noon.Add(-26 * time.Hour), Ready: true,
			Destination:    "the store",
			FlowsPerSecond: 12345, LastHour: []float64{math.NaN(), 1, 2, 3}, Verdicts: []verdict.Verdict{},
		},
		Exporters: []status.Exporter{
			{Address: netip.MustParseAddr("192.0.2.1"), Source: netip.MustParseAddr("192.0.2.1"), Device: "r1",
				Protocol: "netflow9", LastSeen: noon, Verdicts: []verdict.Verdict{}},
			{Address: netip.MustParseAddr("2001:db8::1"), Source: netip.MustParseAddr("192.0.2.2"),
				Device: "<script>alert(1)</script>", Protocol: "sflow5",
				LastSeen: noon.Add(-10 * time.Minute), LossPercent: 1.25,
				TemplatesMissing: []status.MissingTemplate{{ID: 260, Since: noon}},
				Sampling:         &status.Sampling{Rate: 8, Source: "record"},
				Verdicts: []verdict.Verdict{{Severity: verdict.Problem, Code: "clock", Text: "clock 3700 s ahead",
					Fix: "set its clock"}}},
		},
	}
}

func showForTest(t *testing.T, report *status.Report, top *status.TopTraffic) *Server {
	t.Helper()
	s := listenForTest(t, Options{})
	s.Show(Exporters{
		Report: func() *status.Report { return report },
		Top:    func(*http.Request) *status.TopTraffic { return top }, Log: zap.NewNop(),
	})
	return s
}

// The largest AS are traffic: a client that may not see them gets the rest of the page.
func TestExporters_topNotForAll(t *testing.T) {
	answer, body := get(t, showForTest(t, exampleReport(), nil), "/")
	if answer.StatusCode != http.StatusOK || strings.Contains(body, "Source AS") ||
		!strings.Contains(body, "http.explore is off") ||
		strings.Contains(body, "explore the traffic") ||
		!strings.Contains(body, "Exporters") {
		t.Errorf("%s\n%s", answer.Status, body)
	}
	s := listenForTest(t, Options{})
	s.Show(Exporters{Report: exampleReport, Top: func(*http.Request) *status.TopTraffic { return nil },
		Log: zap.NewNop(), Explore: true})
	if _, body := get(t, s, "/"); !strings.Contains(body, "explore the traffic") ||
		!strings.Contains(body, "Shown to those who may") {
		t.Errorf("with /explore:\n%s", body)
	}
}

func TestExporters_pageOrJSON(t *testing.T) {
	s := showForTest(t, exampleReport(), &status.TopTraffic{Minutes: 10})
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, test := range []struct{ path, accept, want string }{
		{"/", browser, "text/html"},
		{"/exporters", browser, "text/html"},
		{"/exporters", "*/*", "text/html"},
		{"/exporters", "application/json", "application/json"},
		{"/exporters", "application/json, text/html", "text/html"},
		{"/exporters.json", browser, "application/json"},
	} {
		answer, body := get(t, s, test.path, "Accept", test.accept)
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s with Accept %s: %s %s", test.path, test.accept, answer.Status, got)
		}
		if test.want != "application/json" {
			continue
		}
		var r status.Report
		if err := json.Unmarshal([]byte(body), &r); err != nil || len(r.Exporters) != 2 ||
			r.Exporters[1].Verdicts[0].Severity != verdict.Problem {
			t.Errorf("%v in %s", err, body)
		}
	}
	if answer, _ := get(t, s, "/elsewhere"); answer.StatusCode != 404 {
		t.Errorf("/elsewhere: %s", answer.Status)
	}
}

func TestPage(t *testing.T) {
	s := showForTest(t, exampleReport(), &status.TopTraffic{Minutes: 10,
		SourceAS: []status.Share{{ID: "64496", Name: "A & B", Bits: 1.5e9, Share: 0.25}}})
	answer, body := get(t, s, "/exporters")
	for _, want := range []string{
		"geneva-1", "12\u202f345", "up 1 d 2 h", "NetFlow v9", "clock 3700 s ahead", "→ set its clock", "10 min ago",
		"1.2 %", "0 (1 missing)",
		"1:8", "1 with problems", "A &amp; B", "1.50 G", "25.0 %", `http-equiv="refresh" content="10"`,
		"&lt;script&gt;alert(1)",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in:\n%s", want, body)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "style=") {
		t.Error("the page has a script or a style that its policy forbids")
	}
	if strings.Index(body, "2001:db8::1") > strings.Index(body, "192.0.2.1<") {
		t.Error("the exporter with a problem does not stand first")
	}
	if csp := answer.Header.Get("Content-Security-Policy"); csp != pagePolicy {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	if answer, body := get(t, s, "/style.css"); !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/css") ||
		!strings.Contains(body, "prefers-color-scheme") {
		t.Errorf("/style.css: %s", answer.Status)
	}
	if _, body := get(t, s, "/exporters?refresh=60"); !strings.Contains(body, `content="60"`) {
		t.Error("?refresh=60 is not heeded")
	}
}

func TestPage_whenTheStoreDoesNotAnswer(t *testing.T) {
	report := exampleReport()
	report.Collector.Ready = false
	report.Collector.Verdicts = []verdict.Verdict{{Severity: verdict.Problem, Code: "store_down",
		Text: "ClickHouse takes no inserts: refused"}}
	s := showForTest(t, report, &status.TopTraffic{Minutes: 10, Error: "dial tcp 127.0.0.1:8123: connection refused"})
	answer, body := get(t, s, "/")
	if answer.StatusCode != 200 || !strings.Contains(body, "The store does not say: dial tcp") ||
		!strings.Contains(body, "not ready") ||
		!strings.Contains(body, "ClickHouse takes no inserts") || !strings.Contains(body, "192.0.2.1") {
		t.Errorf("%s %s", answer.Status, body)
	}
}

func TestPage_withVeryManyExporters(t *testing.T) {
	report := exampleReport()
	for len(report.Exporters) < mostExporters+50 {
		report.Exporters = append(report.Exporters, report.Exporters[0])
	}
	_, body := get(t, showForTest(t, report, &status.TopTraffic{}), "/")
	if n := strings.Count(body, "<tbody"); n != mostExporters+3 || !strings.Contains(body, "50 more exporters are in") {
		t.Errorf("%d tables' bodies", n)
	}
}

func TestPage_withoutExporters(t *testing.T) {
	if _, body := get(t, showForTest(t, &status.Report{}, &status.TopTraffic{}), "/"); !strings.Contains(body,
		"No exporter was heard yet") {
		t.Error(body)
	}
}

func TestSpark(t *testing.T) {
	s := newSpark([]float64{math.NaN(), 2, 4, math.NaN(), 1})
	if s.Mean != 7.0/3 || s.Peak != 4 || len(s.Lines) != 2 || len(s.Areas) != 2 {
		t.Fatalf("got %+v", s)
	}
	if want := "M180.0 53.0L360.0 6.0"; s.Lines[0] != want || s.Areas[0] != want+"V100H180.0Z" {
		t.Errorf("the first line is %s, its area %s", s.Lines[0], s.Areas[0])
	}
	if want := "M720.0 76.5h0.1"; s.Lines[1] != want {
		t.Errorf("a single point is %s", s.Lines[1])
	}
	if s := newSpark([]float64{math.NaN(), math.NaN()}); len(s.Lines) != 0 || s.Peak != 0 {
		t.Errorf("of nothing: %+v", s)
	}
	if s := newSpark([]float64{0, 0}); s.Lines[0] != "M0.0 100.0L720.0 100.0" {
		t.Errorf("of zeros: %+v", s)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", math.NaN(): "0", 0.01: "< 0.1", 2.34: "2.3", 1234.4: "1234",
		123456: "123\u202f456"} {
		if got := rateText(n); got != want && !math.IsNaN(n) {
			t.Errorf("rateText(%v) is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "1 s", 90 * time.Second: "1 min",
		61 * time.Minute: "1 h 1 min", 49 * time.Hour: "2 d 1 h"} {
		if got := lasting(d); got != want {
			t.Errorf("lasting(%v) is %q, want %q", d, got, want)
		}
	}
}
