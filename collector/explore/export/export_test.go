package export

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// answered is an answer of two lines and two steps, with the opposite direction and the day before.
func answered(view explore.View) *explore.Answer {
	from := time.Date(2026, 3, 5, 11, 0, 0, 0, time.UTC)
	a := &explore.Answer{From: from, To: from.Add(2 * time.Hour), Step: time.Hour, Fine: time.Minute,
		Question: explore.Question{By: []string{"in.if"}, View: view, Unit: explore.Bits},
		Series: []explore.Series{
			{Keys: []string{"=up"}, Names: []string{""}, Rank: 1, Points: []float64{1, 2}, Speed: 10, Busy: 2.5,
				Stats: explore.Stats{Min: 1, Mean: 1.5, P95: 2, Max: 2, Last: 2, Total: 10800, Share: 0.75}},
			{Keys: []string{""}, Names: []string{""}, Points: []float64{0, 1}},
		}}
	if view == explore.Both {
		a.Back = []explore.Series{{Points: []float64{3, 4}, Stats: explore.Stats{Mean: 3.5}}, {Points: []float64{5, 6}}}
	}
	return a
}

// withBefore compares the answer with the day before.
func withBefore(a *explore.Answer) *explore.Answer {
	a.Question.Before, a.Before, a.BeforeFrom = explore.DayBefore, []float64{7, 8}, a.From.AddDate(0, 0, -1)
	a.Series[0].Before, a.Series[0].Earlier = []float64{7, 8}, 7.5
	return a
}

// The opposite direction and the earlier time are columns where they are asked for.
func TestCSV(t *testing.T) {
	for name, test := range map[string]struct {
		a    *explore.Answer
		want string
	}{
		"lines": {answered(explore.Lines), "time,line,bit/s\n" +
			"2026-03-05T11:00:00Z,'=up,1\n2026-03-05T12:00:00Z,'=up,2\n" +
			"2026-03-05T11:00:00Z,others,0\n2026-03-05T12:00:00Z,others,1\n"},
		"both directions and before": {withBefore(answered(explore.Both)),
			"time,line,bit/s,opposite bit/s,before bit/s\n" +
				"2026-03-05T11:00:00Z,'=up,1,3,7\n2026-03-05T12:00:00Z,'=up,2,4,8\n" +
				"2026-03-05T11:00:00Z,others,0,5,0\n2026-03-05T12:00:00Z,others,1,6,0\n"},
		"table and before": {withBefore(answered(explore.Table)), "line,min bit/s,mean bit/s,95 % bit/s,max bit/s," +
			"last bit/s,bits,share,mean before bit/s,speed bit/s,95 % of one direction bit/s\n" +
			"'=up,1,1.5,2,2,2,10800,0.75,7.5,10,2.5\nothers,0,0,0,0,0,0,0,0,,\n"},
	} {
		var out strings.Builder
		if err := CSV(&out, test.a); err != nil || out.String() != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, out.String(), test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var out strings.Builder
	if err := JSON(&out, withBefore(answered(explore.Both))); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(got["series"].([]any)[0])
	want := `{"before":{"mean":7.5,"points":[7,8]},"keys":["=up"],"label":"=up","last":2,"max":2,"mean":1.5,"min":1,` +
		`"opposite":{"last":0,"max":0,"mean":3.5,"min":0,"p95":0,"points":[3,4],"share":0,"total":0},"p95":2,` +
		`"p95_of_one_direction":2.5,"points":[1,2],"share":0.75,"speed":10,"total":10800}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	text, _ = json.Marshal(got["before"])
	if want := `{"from":"2026-03-04T11:00:00Z","points":[7,8],"what":"day"}`; string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	out.Reset()
	if err := JSON(&out, answered(explore.Lines)); err != nil || strings.Contains(out.String(), "before") ||
		strings.Contains(out.String(), "opposite") {
		t.Errorf("%v: what was not asked for is there: %s", err, out.String())
	}
}

// Every query has a line that says what it is, and ends with a semicolon.
func TestSQL(t *testing.T) {
	a := &explore.Answer{Queries: []explore.Statement{{What: "lines", Query: &explore.Query{}}},
		Losses: &explore.Losses{Queries: []explore.Statement{{What: "losses", Query: &explore.Query{}}}}}
	var out strings.Builder
	if err := SQL(&out, a); err != nil || out.String() != "-- lines\n;\n\n-- losses\n;\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}

// Names come from devices: no cell of a CSV file is a formula to a spreadsheet.
func TestSpreadsheet(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "uplink": "uplink", "1=1": "1=1", "=cmd|' /c calc'!A0": "'=cmd|' /c calc'!A0", "+1": "'+1", "-1": "'-1",
		"@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
	} {
		if got := spreadsheet(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
