package page

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// format is a file format for answers.
type format struct {
	contentType string
	write       func(io.Writer, *explore.Answer) error
}

// formats has the file formats, by the suffix of their addresses.
var formats = map[string]format{
	"csv":  {"text/csv; charset=utf-8", writeCSV},
	"json": {"application/json", writeJSON},
	"sql":  {"text/plain; charset=utf-8", writeSQL},
	"svg":  {"image/svg+xml", writeSVG},
}

// export answers with a question's answer in one format.
func (p *Pages) export(name string, f format) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := explore.Parse(r.URL.Query())
		var a *explore.Answer
		if err == nil {
			a, err = p.ask(r.Context(), q, name == "json")
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		var out bytes.Buffer
		if err := f.write(&out, a); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", f.contentType)
		w.Header().Set("Content-Disposition", "inline; filename=\"explore."+name+"\"")
		respond(w, r, http.StatusOK, out.Bytes())
	}
}

func writeSQL(w io.Writer, a *explore.Answer) error {
	_, err := io.WriteString(w, a.Query.SQL()+"\n")
	return err
}

// writeCSV writes a line for each point, link or hour.
func writeCSV(w io.Writer, a *explore.Answer) error {
	out := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	unit := a.Question.Unit.Label()
	switch {
	case a.Links != nil:
		head := append([]string{}, a.Labels...)
		_ = out.Write(append(head, string(a.Question.Unit)))
		for _, link := range a.Links {
			var line []string
			for _, n := range link.Nodes {
				line = append(line, spreadsheet(n.Label()))
			}
			_ = out.Write(append(line, number(sumOf(a, link.Total))))
		}
	case a.Days != nil:
		_ = out.Write([]string{"date", "hour", unit})
		for _, d := range a.Days {
			for i, v := range d.Hours {
				_ = out.Write([]string{d.Date, strconv.Itoa(i), number(v)})
			}
		}
	case a.Question.View == explore.Single:
		writeFlows(out, a)
	case a.Question.View == explore.Lost:
		writeLost(out, a)
	case !a.Question.View.OverTime():
		_ = out.Write([]string{"line", "min " + unit, "mean " + unit, "95 % " + unit, "max " + unit, "last " + unit,
			string(a.Question.Unit), "share"})
		for i := range a.Series {
			s := &a.Series[i]
			_ = out.Write([]string{spreadsheet(s.Label()), number(s.Min), number(s.Mean), number(s.P95), number(s.Max),
				number(s.Last), number(sumOf(a, s.Total)), number(s.Share)})
		}
	default:
		_ = out.Write([]string{"time", "line", unit})
		for i := range a.Series {
			for j, v := range a.Series[i].Points {
				at := stepStart(a, j)
				_ = out.Write([]string{at.UTC().Format(time.RFC3339), spreadsheet(a.Series[i].Label()), number(v)})
			}
		}
	}
	out.Flush()
	return out.Error()
}

// sumOf is a sum in the question's unit: of volume in bytes.
func sumOf(a *explore.Answer, sum float64) float64 {
	if a.Question.Unit == explore.Volume {
		return sum / 8
	}
	return sum
}

func writeFlows(out *csv.Writer, a *explore.Answer) {
	_ = out.Write([]string{"start", "end", "device", "source", "source port", "source AS", "source AS name",
		"destination", "destination port", "destination AS", "destination AS name", "protocol", "interface in",
		"interface out", "bytes", "packets"})
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
	for i := range a.Flows {
		f := &a.Flows[i]
		line := []string{stamp(f.From), stamp(f.To), spreadsheet(f.Device)}
		for _, end := range []*explore.End{&f.Source, &f.Dest} {
			line = append(line, end.Address, strconv.Itoa(int(end.Port)), end.AS, spreadsheet(end.Name))
		}
		_ = out.Write(append(line, f.Protocol, spreadsheet(f.In), spreadsheet(f.Out),
			strconv.FormatUint(f.Bytes, 10), strconv.FormatUint(f.Packets, 10)))
	}
}

func writeLost(out *csv.Writer, a *explore.Answer) {
	_ = out.Write([]string{"time", "exporter", "device", "stage", "reason", "unit", "count"})
	for i := range a.Lost {
		l := &a.Lost[i]
		for j, n := range l.Points {
			if n > 0 {
				_ = out.Write([]string{stepStart(a, j).UTC().Format(time.RFC3339), spreadsheet(l.Exporter),
					spreadsheet(l.Device), l.Stage, l.Reason, l.Unit, strconv.FormatUint(n, 10)})
			}
		}
	}
}

// spreadsheet keeps a text from being taken for a formula: names of interfaces, say, come from devices.
func spreadsheet(text string) string {
	if text != "" && strings.IndexByte("=+-@\t\r\n", text[0]) >= 0 {
		return "'" + text
	}
	return text
}

// answerJSON is an answer as JSON has it. Rates are a second, in the unit.
type answerJSON struct {
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	Step    float64         `json:"step_seconds"`
	Partial bool            `json:"last_step_is_not_over"`
	Unit    string          `json:"unit"`
	By      []string        `json:"by"`
	Series  []seriesJSON    `json:"series,omitempty"`
	Links   []linkJSON      `json:"links,omitempty"`
	Days    []explore.Day   `json:"days,omitempty"`
	Flows   []explore.Flow  `json:"flows,omitempty"`
	Lost    []explore.Loss  `json:"lost,omitempty"`
	Losses  *explore.Losses `json:"losses,omitempty"`
}

type seriesJSON struct {
	Keys   []string  `json:"keys"`
	Label  string    `json:"label"`
	Points []float64 `json:"points"`
	Total  float64   `json:"total"`
	Share  float64   `json:"share"`
}

type linkJSON struct {
	Nodes []string `json:"nodes"`
	Total float64  `json:"total"`
}

func writeJSON(w io.Writer, a *explore.Answer) error {
	out := answerJSON{From: a.From.UTC(), To: a.To.UTC(), Step: a.Step.Seconds(), Partial: a.Partial,
		Unit: a.Question.Unit.Label(), By: a.Question.By, Days: a.Days, Flows: a.Flows, Lost: a.Lost,
		Losses: a.Losses}
	for i := range a.Series {
		s := &a.Series[i]
		out.Series = append(out.Series, seriesJSON{s.Keys, s.Label(), s.Points, sumOf(a, s.Total), s.Share})
	}
	for _, link := range a.Links {
		l := linkJSON{Total: sumOf(a, link.Total)}
		for _, n := range link.Nodes {
			l.Nodes = append(l.Nodes, n.Label())
		}
		out.Links = append(out.Links, l)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(out)
}
