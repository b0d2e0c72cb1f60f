package page

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// format is a form in which an answer can be taken away.
type format struct {
	contentType string
	write       func(io.Writer, *explore.Answer) error
	fits        func(explore.View) bool
}

func always(explore.View) bool { return true }

// formats by the ending of their addresses.
var formats = map[string]format{
	"csv":  {"text/csv; charset=utf-8", writeCSV, always},
	"json": {"application/json", writeJSON, always},
	"sql":  {"text/plain; charset=utf-8", writeSQL, always},
	"svg": {"image/svg+xml", writeSVG, func(v explore.View) bool {
		return v.OverTime() || v == explore.Sankey ||
			v == explore.Map
	}},
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
			http.Error(w, problemOf(q, err).Text, http.StatusBadRequest)
			return
		}
		if !f.fits(q.View) {
			http.Error(w, "the view "+string(q.View)+" has no "+name, http.StatusBadRequest)
			return
		}
		var out bytes.Buffer
		if err := f.write(&out, a); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", f.contentType)
		_, _ = out.WriteTo(w)
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
			_ = out.Write(append(line, number(link.Total)))
		}
	case a.Days != nil:
		_ = out.Write([]string{"date", "hour", unit})
		for _, d := range a.Days {
			for i, v := range d.Hours {
				_ = out.Write([]string{d.Date, strconv.Itoa(i), number(v)})
			}
		}
	case !a.Question.View.OverTime():
		_ = out.Write([]string{"line", "min " + unit, "mean " + unit, "95 % " + unit, "max " + unit, "last " + unit,
			string(a.Question.Unit), "share"})
		for i := range a.Series {
			s := &a.Series[i]
			_ = out.Write([]string{spreadsheet(s.Label()), number(s.Min), number(s.Mean), number(s.P95), number(s.Max),
				number(s.Last), number(s.Total), number(s.Share)})
		}
	default:
		_ = out.Write([]string{"time", "line", unit})
		for i := range a.Series {
			for j, v := range a.Series[i].Points {
				at := a.From.Add(time.Duration(j) * a.Step)
				_ = out.Write([]string{at.UTC().Format(time.RFC3339), spreadsheet(a.Series[i].Label()), number(v)})
			}
		}
	}
	out.Flush()
	return out.Error()
}

// spreadsheet keeps a text from being taken for a formula: names of interfaces, say, come from devices.
func spreadsheet(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@') {
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
		Unit: a.Question.Unit.Label(), By: a.Question.By, Days: a.Days, Losses: a.Losses}
	for i := range a.Series {
		s := &a.Series[i]
		out.Series = append(out.Series, seriesJSON{s.Keys, s.Label(), s.Points, s.Total, s.Share})
	}
	for _, link := range a.Links {
		l := linkJSON{Total: link.Total}
		for _, n := range link.Nodes {
			l.Nodes = append(l.Nodes, n.Label())
		}
		out.Links = append(out.Links, l)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(out)
}
