package explore

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/schema"
)

// The parameters of a question's page make the same question again.
func TestParse_values(t *testing.T) {
	for _, text := range []string{
		"", "by=src.as", "by=src.as&by=dst.as", "by=src.as,dst.as,proto,app&view=sankey", "last=24h", "last=90m",
		"last=7d",
		"from=2026-03-05T11:00&to=2026-03-05T12:00", "from=2026-03-05T11:00:30&to=2026-03-05T12:00",
		"from=2026-03-05&to=2026-03-06&zone=Asia/Kolkata", "unit=flows&view=hours&top=50&before=period",
		// That hour is there twice.
		"from=2025-10-26T02:30:00%2B02:00&to=2025-10-26T02:30:00%2B01:00&zone=Europe/Zurich",
		"by=if&last=30d&step=5m", "at=2026-03-05T02:13", "last=today", "last=yesterday&zone=Asia/Kolkata",
		"from=2026-03-05T11:00", "to=2026-03-05T11:00&last=2h", "from=11:00&to=11:00:01",
		"filter=src.as+%3D+1+or+proto+%3D+%22a+b%22", "by=SRC_AS", "by=protocol",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(values, noon)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again, err := Parse(q.Values(), noon)
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%s is %+v, and of its own parameters %+v, %v", text, q, again, err)
		}
	}
}

func TestParse_refused(t *testing.T) {
	for text, want := range map[string]string{
		"last=1y":     `last: "1y" is no time such as 30m, 6h, 7d or 4w, or today or yesterday`,
		"last=0h":     `last: "0h" is no time such as 30m, 6h, 7d or 4w, or today or yesterday`,
		"last=99999w": `last: "99999w" is no time such as 30m, 6h, 7d or 4w, or today or yesterday`,
		"last=30501w": `last: "30501w" is no time such as 30m, 6h, 7d or 4w, or today or yesterday`,
		"last=-1h":    `last: "-1h" is no time such as 30m, 6h, 7d or 4w, or today or yesterday`,

		"from=2026-03-06":                    `from: 2026-03-06 has not come yet`,
		"from=2026-03-06&to=2026-03-07":      `from: 2026-03-06 has not come yet`,
		"from=2026-03-06&to=08:00":           `from: 2026-03-06 has not come yet`,
		"from=2026-03-06&last=1d":            `from: 2026-03-06 has not come yet`,
		"from=2026-03-05T13:00&zone=Etc/UTC": `from: 2026-03-05T13:00 has not come yet`,
		"to=2026-03-06":                      `to: 2026-03-06 has not come yet`,
		"to=2026-03-08&last=2d":              `to: 2026-03-08 has not come yet`,
		"at=2026-03-05T14:05":                `at: 2026-03-05T14:05 has not come yet`,

		"to=x":            `to: "x" is no time such as 2026-03-05T14:05 or 14:05`,
		"from=09:00&to=x": `to: "x" is no time such as 2026-03-05T14:05 or 14:05`,
		"from=x&to=09:00": `from: "x" is no time such as 2026-03-05T14:05 or 14:05`,
		"from=x&to=y":     `from: "x" is no time such as 2026-03-05T14:05 or 14:05`,
		"at=25:00":        `at: "25:00" is no time such as 2026-03-05T14:05 or 14:05`,
		"to=1970-01-01":   "from 1969-12-31T23:00 to 1970-01-01T00:00 is no time that flows can be of",
		"from=2020-01-01": "from 2020-01-01T00:00 to 2026-03-05T12:00 is no time of a second to five years",
		"top=0":           `top: "0" is no number from 1 to 50`,
		"top=51":          `top: "51" is no number from 1 to 50`,
		"view=pie": `view: "pie" is none of [stacked lines both share table sankey matrix hours ` +
			`map flows losses]`,
		"unit=dogs":                     `unit: "dogs" is none of [bits packets flows volume]`,
		"zone=../etc/x":                 `zone: "../etc/x" is no time zone, such as Europe/Zurich or UTC`,
		"zone=right/UTC":                `zone: "right/UTC" is no time zone, such as Europe/Zurich or UTC`,
		"zone=Factory":                  `zone: "Factory" is no time zone, such as Europe/Zurich or UTC`,
		"zone=Local":                    `zone: "Local" is no time zone, such as Europe/Zurich or UTC`,
		"by=a,b,c,d,e":                  "by: 5 dimensions, and at most 4 can be shown",
		"from=2026-03-04&to=2026-03-03": "to: 2026-03-03T00:00 is not after from, 2026-03-04T00:00",
		"from=2026-03-04T09:00&to=2026-03-04T09:00": "to: 2026-03-04T09:00 is not after from, 2026-03-04T09:00",
	} {
		values, _ := url.ParseQuery(text)
		if q, err := Parse(values, noon); err == nil || err.Error() != want {
			t.Errorf("%s: %+v, %v; want %s", text, q, err, want)
		}
	}
}

// A part of a time is what people mean by it. Now is Thursday noon in UTC, and 13:00 in Zurich.
func TestParse_time(t *testing.T) {
	const day = "2006-01-02 15:04"
	for text, want := range map[string]string{
		"last=today":                       "2026-03-05 00:00 to 2026-03-05 12:00",
		"last=Yesterday":                   "2026-03-04 00:00 to 2026-03-05 00:00",
		"last=today&zone=Europe/Zurich":    "2026-03-04 23:00 to 2026-03-05 12:00",
		"last=yesterday&zone=Asia/Kolkata": "2026-03-03 18:30 to 2026-03-04 18:30",
		"from=2026-03-05T09:00":            "2026-03-05 09:00 to 2026-03-05 12:00",
		"from=2026-03-05T09:00&last=":      "2026-03-05 09:00 to 2026-03-05 12:00",
		"from=2026-03-04T09:00&last=2h":    "2026-03-04 09:00 to 2026-03-04 11:00",
		"to=2026-03-05T09:00":              "2026-03-05 08:00 to 2026-03-05 09:00",
		"to=2026-03-05T09:00&last=1d":      "2026-03-04 09:00 to 2026-03-05 09:00",
		"to=2026-03-05T09:00&last=today":   "2026-03-05 08:00 to 2026-03-05 09:00",
		"at=11:05":                         "2026-03-05 10:55 to 2026-03-05 11:15",
		"at=11:05:30&zone=Europe/Zurich":   "2026-03-05 09:55 to 2026-03-05 10:15",
		"at=14:05":                         "2026-03-04 13:55 to 2026-03-04 14:15",
		"from=09:00":                       "2026-03-05 09:00 to 2026-03-05 12:00",
		"from=22:00":                       "2026-03-04 22:00 to 2026-03-05 12:00",
		"from=22:00&to=06:00":              "2026-03-04 22:00 to 2026-03-05 06:00",
		"from=2026-02-01T22:00&to=23:30":   "2026-02-01 22:00 to 2026-02-01 23:30",
		"to=14:00":                         "2026-03-04 13:00 to 2026-03-04 14:00",
		// Of two times of day, the end is of today at the latest.
		"from=11:00&to=09:00":                    "2026-03-04 11:00 to 2026-03-05 09:00",
		"from=09:00&to=09:00":                    "2026-03-04 09:00 to 2026-03-05 09:00",
		"from=10:00&to=00:00":                    "2026-03-04 10:00 to 2026-03-05 00:00",
		"from=12:30&to=02:00&zone=Europe/Zurich": "2026-03-04 11:30 to 2026-03-05 01:00",
		"from=18:00&to=17:00":                    "2026-03-04 18:00 to 2026-03-05 12:00",
		"from=11:00&to=14:00":                    "2026-03-05 11:00 to 2026-03-05 12:00",
		"from=18:00&to=2026-03-02T17:00":         "2026-03-01 18:00 to 2026-03-02 17:00",
		"from=18:00&to=2026-03-02T18:00":         "2026-03-01 18:00 to 2026-03-02 18:00",
		"from=18:00&to=2026-03-06":               "2026-03-04 18:00 to 2026-03-05 12:00",
		"from=2026-03-05T11:00&to=10:00":         "2026-03-05 11:00 to 2026-03-05 12:00",
		// What has not come is left out.
		"from=2026-03-05&to=2026-03-06":    "2026-03-05 00:00 to 2026-03-05 12:00",
		"from=2026-03-05&last=7d":          "2026-03-05 00:00 to 2026-03-05 12:00",
		"to=2026-03-05T12:30":              "2026-03-05 11:30 to 2026-03-05 12:00",
		"at=11:55":                         "2026-03-05 11:45 to 2026-03-05 12:00",
		"from=11:00&to=11:00:10":           "2026-03-05 11:00 to 2026-03-05 11:00",
		"last=today&from=09:00&to=10:00":   "2026-03-05 09:00 to 2026-03-05 10:00",
		"from=2026-03-05 09:00:30":         "2026-03-05 09:00 to 2026-03-05 12:00",
		"from=2026-03-05 09:00Z":           "2026-03-05 09:00 to 2026-03-05 12:00",
		"from=2026-03-05T09:00%2B01:00":    "2026-03-05 08:00 to 2026-03-05 12:00",
		"from=2026-03-05T09:00+01:00":      "2026-03-05 08:00 to 2026-03-05 12:00",
		"from=2026-03-05 09:00:00+01:00":   "2026-03-05 08:00 to 2026-03-05 12:00",
		"from=2026-03-05 09:00:00.5-01:00": "2026-03-05 10:00 to 2026-03-05 12:00",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(values, noon)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		from, to := q.times(noon)
		if got := from.UTC().Format(day) + " to " + to.UTC().Format(day); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	// A month of five minutes, as it is billed, is so long where clocks go back too.
	october, _ := url.ParseQuery("from=2025-10-01&to=2025-11-01&step=5m&zone=Europe/Zurich&view=table")
	q, err := Parse(october, noon)
	if s := q.span(noon); err != nil || s.step != 5*time.Minute || s.points() != 8940 {
		t.Errorf("October: %d steps of %s, %v", s.points(), s.step, err)
	}
	// A day just begun has a length, and yesterday's address is of the next day a day later.
	today := Question{Day: Today}
	midnight := time.Date(2026, 3, 6, 0, 0, 0, 0, time.UTC)
	if s := today.span(midnight); s.points() == 0 || !s.from.Equal(midnight) {
		t.Errorf("today at midnight: %+v", s)
	}
	if from, _ := (Question{Day: Yesterday}).times(noon.AddDate(0, 0, 1)); from.Day() != 5 {
		t.Errorf("yesterday of the next day is %s", from)
	}
}

// Days begin and end where their zone says so, also where clocks go forward at midnight: there is no such time then.
func TestParse_midnights(t *testing.T) {
	const layout = "2006-01-02 15:04"
	for _, test := range []struct{ now, text, want string }{
		{"2026-09-06 15:00", "last=today&zone=America/Santiago", "2026-09-06 04:00 to 2026-09-06 15:00"},
		{"2026-09-06 15:00", "last=yesterday&zone=America/Santiago", "2026-09-05 04:00 to 2026-09-06 04:00"},
		{"2026-09-07 03:15", "last=yesterday&zone=America/Santiago", "2026-09-06 04:00 to 2026-09-07 03:00"},
		{"2026-09-07 03:15", "from=23:00&zone=America/Santiago", "2026-09-07 02:00 to 2026-09-07 03:15"},
		{"2026-09-07 15:00", "from=2026-09-06&to=2026-09-07&zone=America/Santiago",
			"2026-09-06 04:00 to 2026-09-07 03:00"},
		{"2026-09-07 15:00", "from=2026-09-05T00:30&to=00:15&zone=America/Santiago",
			"2026-09-05 04:30 to 2026-09-06 03:15"}, // which is 23:15
		{"2026-03-29 12:00", "last=today&zone=Atlantic/Azores", "2026-03-29 01:00 to 2026-03-29 12:00"},
		{"2026-10-25 12:00", "last=today&zone=Atlantic/Azores", "2026-10-25 00:00 to 2026-10-25 12:00"},
		{"2026-11-01 12:00", "last=today&zone=America/Havana", "2026-11-01 04:00 to 2026-11-01 12:00"},
		{"2026-04-24 12:00", "last=today&zone=Africa/Cairo", "2026-04-23 22:00 to 2026-04-24 12:00"},
		{"2026-10-30 12:00", "last=today&zone=Africa/Cairo", "2026-10-29 22:00 to 2026-10-30 12:00"},
		{"2026-03-29 12:00", "from=02:30&zone=Europe/Zurich", "2026-03-29 01:30 to 2026-03-29 12:00"}, // 03:30
		{"2026-03-29 00:30", "from=02:30&to=01:00&zone=Europe/Zurich", "2026-03-28 01:30 to 2026-03-29 00:00"},
		{"2026-10-25 12:00", "from=02:30&to=01:00&zone=Europe/Zurich", "2026-10-24 00:30 to 2026-10-24 23:00"},
	} {
		now, err := time.Parse(layout, test.now)
		if err != nil {
			t.Fatal(err)
		}
		values, err := url.ParseQuery(test.text)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(values, now)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		from, to := q.times(now)
		if got := from.UTC().Format(layout) + " to " + to.UTC().Format(layout); got != test.want {
			t.Errorf("at %s %s is %s, want %s", test.now, test.text, got, test.want)
		}
	}
	if from, err := ParseDate("2026-09-06", santiago(t)); err != nil || from.Day() != 6 || from.Hour() != 1 {
		t.Errorf("the day in Chile begins at %s: %v", from, err)
	}
}

func santiago(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// Each view says in a line which of the parameters that are set it has no use for.
func TestQuestion_Ignored(t *testing.T) {
	for text, want := range map[string]string{
		"before=day": "", "view=table&before=week&step=1h": "", "view=sankey&by=src.as,dst.as": "",
		"view=sankey&by=src.as,dst.as&before=day": "This view has no earlier period (before).",
		"view=matrix&by=src.as,dst.as&step=5m":    "This view has no statistics of steps (step).",
		"view=hours&by=src.as&top=5&unit=flows":   "This view has no dimensions (by), no number of lines (top).",
		"view=flows&by=app&before=week":           "This view has no dimensions (by), no earlier period (before).",
		"view=losses&filter=as=1&unit=flows": "This view has no filter (losses are of datagrams, not of flows), " +
			"no unit (unit).",
	} {
		if got := question(t, text).Ignored(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, view := range Views() {
		for _, name := range view.Ignores() {
			if without[name] == "" {
				t.Errorf("%s ignores %s without a word", view, name)
			}
		}
	}
	// A step that the time is too long for, or that the graph is finer than.
	for step, last := range map[time.Duration]time.Duration{time.Minute: 30 * 24 * time.Hour, time.Hour: time.Hour} {
		q := Question{Last: last, View: Lines, Step: step, Unit: Bits, Top: 8}
		s := q.span(noon)
		if a := (&Answer{Question: q, Fine: s.step}); !strings.Contains(a.Ignored(), "not of "+StepText(step)) {
			t.Errorf("steps of %s in %s: %q", step, last, a.Ignored())
		}
	}
}

// A parameter that is not known is said, with the one that may be meant; all that Parse reads are known.
func TestStrange(t *testing.T) {
	for text, want := range map[string]string{
		"by=src.as&filter=&last=1h&from=&to=&at=&step=&zone=&view=&unit=&top=&before=": "",
		"cmp=day&by=app":                   "Parameters that are not known here: cmp.",
		"filters=x":                        "Parameters that are not known here: filters (did you mean filter?).",
		"aaaa&bbbb&cccc&dddd&eeee&%1b[31m": "Parameters that are not known here: \ufffd[31m, aaaa, bbbb, cccc, dddd.",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Strange(values); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	q := Question{By: []string{"app"}, Filter: "x", Day: Today, Unit: Flows, View: Table, Top: 3, Before: DayBefore,
		Step: time.Hour, Zone: time.FixedZone("Asia/Kolkata", 0)}
	if got := Strange(q.Values()); got != "" {
		t.Error(got)
	}
}

func TestQuestion_span(t *testing.T) {
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 5, 12, 0, 30, 0, time.UTC)
	for name, test := range map[string]struct {
		q       Question
		from    string
		step    time.Duration
		points  int
		partial bool
	}{
		"15 minutes": {Question{Last: 15 * time.Minute}, "2026-03-05T11:45:30Z", 10 * time.Second, 90, false},
		"an hour":    {Question{Last: time.Hour}, "2026-03-05T11:00:00Z", time.Minute, 61, true},
		"a day":      {Question{Last: 24 * time.Hour}, "2026-03-04T12:00:00Z", 15 * time.Minute, 97, true},
		"day table":  {Question{Last: 24 * time.Hour, View: Table}, "2026-03-04T12:00:00Z", time.Hour, 25, true},
		"month flow": {Question{Last: 30 * 24 * time.Hour, View: Sankey}, "2026-02-03T00:00:00Z", 24 * time.Hour, 31,
			true},
		"a week": {Question{Last: 7 * 24 * time.Hour}, "2026-02-26T12:00:00Z", time.Hour, 169, true},
		"a year": {Question{Last: 365 * 24 * time.Hour}, "2025-03-03T00:00:00Z", 7 * 24 * time.Hour, 53, true},
		"days elsewhere": {Question{Last: 90 * 24 * time.Hour, Zone: kolkata}, "2025-12-04T18:30:00Z", 24 * time.Hour,
			91, true},
		"flows": {Question{Last: 24 * time.Hour, View: Single}, "2026-03-04T12:00:30Z", 15 * time.Minute, 96, false},
		"flows of a step": {Question{From: now.Add(-70 * time.Second), To: now.Add(-60 * time.Second), View: Single},
			"2026-03-05T11:59:20Z", time.Second, 10, false},
		"a step of statistics for no statistics": {Question{Last: 24 * time.Hour, View: Lost, Step: time.Minute},
			"2026-03-04T12:00:00Z", 15 * time.Minute, 97, true},
		"whole hours": {Question{Last: 2 * time.Hour, View: Hours}, "2026-03-05T10:00:00Z", time.Hour, 3, true},
		"today":       {Question{Day: Today}, "2026-03-05T00:00:00Z", 5 * time.Minute, 145, true},
		"yesterday":   {Question{Day: Yesterday, Zone: kolkata}, "2026-03-03T18:30:00Z", 15 * time.Minute, 96, false},
		"a minute": {Question{From: now.Add(-90 * time.Second), To: now.Add(-30 * time.Second)},
			"2026-03-05T11:59:00Z", time.Second, 60, false},
	} {
		s := test.q.span(now)
		if got := s.from.UTC().Format(time.RFC3339); got != test.from || s.step != test.step ||
			s.points() != test.points || s.partial != test.partial {
			t.Errorf("%s: from %s, step %s, %d points, partial %t", name, got, s.step, s.points(), s.partial)
		}
	}
}

func TestQuestion_With(t *testing.T) {
	for _, test := range []struct{ filter, more, want string }{
		{"", "a = 1", "a = 1"}, {"a = 1", "b = 2", "a = 1 and b = 2"},
		{"a = 1 or b = 2", "c = 3", "(a = 1 or b = 2) and c = 3"},
		{"a = 1 OR b = 2", "c = 3", "(a = 1 OR b = 2) and c = 3"}, {"a=1||b=2", "c = 3", "(a=1||b=2) and c = 3"},
		{"a = 1", "", "a = 1"}, {"a = 1 or(b = 2)", "c = 3", "(a = 1 or(b = 2)) and c = 3"},
		{`a = " or "`, "c = 3", `a = " or " and c = 3`}, {"(a = 1 or b = 2)", "c = 3", "((a = 1 or b = 2)) and c = 3"},
	} {
		if got := (Question{Filter: test.filter}).With(test.more).Filter; got != test.want {
			t.Errorf("%s with %s is %s, want %s", test.filter, test.more, got, test.want)
		}
	}
}

// Every preset can be answered where all extensions are on, and those that need one are left out without.
func TestPresets(t *testing.T) {
	all := schema.Default()
	all.IPRefExtensions = []string{"scireg"}
	p := NewPlanner(&all)
	if got := p.Presets(); len(got) != len(presets) {
		t.Errorf("%d of %d presets: %+v", len(got), len(presets), got)
	}
	none := schema.Default()
	for _, preset := range NewPlanner(&none).Presets() {
		if preset.Name == "Science" {
			t.Error("the Science Registry is offered where it is not")
		}
	}
}

func TestStats(t *testing.T) {
	var s Stats
	s.Total = 30
	points := make([]float64, 20)
	for i := range points {
		points[i] = float64(i + 1)
	}
	s.rate(points, 60)
	if want := (Stats{Min: 1, Mean: 10.5, P95: 19, Max: 20, Last: 20, Total: 30, Share: 0.5}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	var none Stats
	none.rate(nil, 0)
	if none != (Stats{}) {
		t.Errorf("of nothing: %+v", none)
	}
}

// The dimensions of a store with all extensions are the fields of filters, each once, and no others.
func TestDimensions_areFields(t *testing.T) {
	s := schema.Default()
	s.FlowExtensions, s.IPRefExtensions, s.WithoutColumns = []string{"bgp", "ipv4", "vlan"}, []string{"scireg"}, nil
	seen := map[string]int{}
	for _, d := range dimensions(&s) {
		seen[d.Name]++
	}
	for _, f := range filter.Fields() {
		if seen[f.Name] != 1 {
			t.Errorf("%s is a dimension %d times", f.Name, seen[f.Name])
		}
		delete(seen, f.Name)
	}
	for name := range seen {
		t.Errorf("%s is no field of filters", name)
	}
}

// An hour of a day is as long as the clocks of its zone make it.
func TestQuestion_Hour(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Zone: zurich}
	for _, test := range []struct {
		day, hour int
		month     time.Month
		want      time.Duration
	}{{24, 2, time.October, time.Hour}, {25, 1, time.October, time.Hour}, {25, 2, time.October, 2 * time.Hour},
		{25, 3, time.October, time.Hour}, {29, 1, time.March, time.Hour}, {29, 3, time.March, time.Hour}} {
		from, to := q.Hour(time.Date(2026, test.month, test.day, 0, 0, 0, 0, zurich), test.hour)
		if to.Sub(from) != test.want || from.Hour() != test.hour {
			t.Errorf("hour %d of %d %s is from %s to %s", test.hour, test.day, test.month, from, to)
		}
	}
}
