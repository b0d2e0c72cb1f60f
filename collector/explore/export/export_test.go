package export

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
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

// Each view has its own part, and all names are in small letters.
func TestJSON_views(t *testing.T) {
	from := time.Date(2026, 3, 5, 12, 0, 0, 0, time.FixedZone("", 3600))
	lost := explore.Missing{Stage: "kernel", Reason: "buffer", Unit: "datagrams", Count: 3, Share: 0.5,
		Points: []uint64{1, 2}}
	a := &explore.Answer{From: from, To: from.Add(time.Hour), Step: time.Hour,
		Question: explore.Question{By: []string{"src.as"}, View: explore.Hours, Unit: explore.Flows},
		Links:    []explore.Link{{Nodes: []explore.Node{{Key: "AS64500", Rank: 1}, {}}, Total: 5}},
		Days:     []explore.Day{{Date: "2026-03-05", Hours: [24]float64{11: 2}}},
		Flows: []explore.Flow{{From: from, To: from, Device: "r1", Protocol: "tcp", In: "up", Out: "down", Bytes: 8,
			Packets: 9, Source: explore.End{Address: "192.0.2.1", Port: 443, AS: "AS64500", Name: "Example"}}},
		Lost: []explore.Loss{{Missing: lost, Exporter: "192.0.2.9", Device: "r1", First: from, Last: from}},
		Losses: &explore.Losses{Missing: []explore.Missing{lost}, Sampled: []explore.Sampled{{Rate: 100, Share: 1}},
			SampledFrom: from}}
	var out strings.Builder
	if err := JSON(&out, a); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"from":  `"2026-03-05T11:00:00Z"`,
		"links": `[{"nodes":["AS64500","others"],"total":5}]`,
		"days":  `[{"date":"2026-03-05","hours":[0,0,0,0,0,0,0,0,0,0,0,2,0,0,0,0,0,0,0,0,0,0,0,0]}]`,
		"flows": `[{"from":"2026-03-05T11:00:00Z","to":"2026-03-05T11:00:00Z","device":"r1","source":{"address":` +
			`"192.0.2.1","port":443,"as":"AS64500","as_name":"Example"},"destination":{"address":"","port":0,"as":"",` +
			`"as_name":""},"protocol":"tcp","interface_in":"up","interface_out":"down","bytes":8,"packets":9}]`,
		"lost": `[{"exporter":"192.0.2.9","device":"r1","stage":"kernel","reason":"buffer","unit":"datagrams",` +
			`"count":3,"share":0.5,"points":[1,2],"first":"2026-03-05T11:00:00Z","last":"2026-03-05T11:00:00Z"}]`,
		"losses": `{"missing":[{"stage":"kernel","reason":"buffer","unit":"datagrams","count":3,"share":0.5,` +
			`"points":[1,2]}],"sampled":[{"rate":100,"share":1}],"sampled_from":"2026-03-05T11:00:00Z"}`,
	} {
		var text bytes.Buffer
		if err := json.Compact(&text, got[name]); err != nil || text.String() != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, text.String(), want)
		}
	}
	for name := range namesIn(reflect.TypeOf(answer{})) {
		if !regexp.MustCompile(`^[a-z0-9_]+$`).MatchString(name) {
			t.Errorf("a field is called %q", name)
		}
	}
	// What nobody asked for is not there.
	out.Reset()
	a.Losses, a.Days, a.Flows, a.Lost, a.Links = &explore.Losses{}, nil, nil, nil, nil
	if err := JSON(&out, a); err != nil || strings.Contains(out.String(), "0001-01-01") ||
		strings.Contains(out.String(), "null") {
		t.Errorf("%v in %s", err, out.String())
	}
}

// namesIn returns the names that JSON has for the fields of a type, and of those in it; "" for one without a name.
func namesIn(x reflect.Type) map[string]bool {
	all := map[string]bool{}
	switch x.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return namesIn(x.Elem())
	case reflect.Struct:
		if x == reflect.TypeOf(time.Time{}) {
			break
		}
		for i := range x.NumField() {
			f := x.Field(i)
			if !f.Anonymous {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				all[name] = true
			}
			maps.Copy(all, namesIn(f.Type))
		}
	}
	return all
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
