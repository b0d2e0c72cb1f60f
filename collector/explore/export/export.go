// Package export writes the answers of package explore as files for programs: CSV, JSON, and the SQL that the figures
// are from. README.md of package explore has their fields.
package export

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// SQL writes all queries that the figures of an answer are from, each with a line that says what it is.
func SQL(w io.Writer, a *explore.Answer) error {
	all := slices.Clone(a.Queries)
	if a.Losses != nil {
		all = append(all, a.Losses.Queries...)
	}
	var parts []string
	for _, x := range all {
		parts = append(parts, "-- "+x.What+"\n"+x.SQL()+";\n")
	}
	_, err := io.WriteString(w, strings.Join(parts, "\n"))
	return err
}

// CSV writes a line for each point, link, hour, flow or loss.
func CSV(w io.Writer, a *explore.Answer) error {
	out := csv.NewWriter(w)
	switch view := a.Question.View; {
	case a.Links != nil:
		writeLinks(out, a)
	case a.Days != nil:
		_ = out.Write([]string{"date", "hour", a.Question.Unit.Label()})
		for _, d := range a.Days {
			for i, v := range d.Hours {
				_ = out.Write([]string{d.Date, strconv.Itoa(i), number(v)})
			}
		}
	case view == explore.Single:
		writeFlows(out, a)
	case view == explore.Lost:
		writeLost(out, a)
	case view.OverTime():
		writePoints(out, a)
	default:
		writeLines(out, a)
	}
	out.Flush()
	return out.Error()
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func writeLinks(out *csv.Writer, a *explore.Answer) {
	_ = out.Write(append(slices.Clone(a.Labels), string(a.Question.Unit)))
	for _, link := range a.Links {
		var line []string
		for _, n := range link.Nodes {
			line = append(line, spreadsheet(n.Label()))
		}
		_ = out.Write(append(line, number(sumOf(a, link.Total))))
	}
}

// writeLines writes the statistics of each line.
func writeLines(out *csv.Writer, a *explore.Answer) {
	unit := a.Question.Unit.Label()
	head := []string{"line", "min " + unit, "mean " + unit, "95 % " + unit, "max " + unit, "last " + unit,
		string(a.Question.Unit), "share"}
	if a.Before != nil {
		head = append(head, "mean before "+unit)
	}
	fast := slices.ContainsFunc(a.Series, func(s explore.Series) bool { return s.Speed > 0 })
	if fast {
		head = append(head, "speed "+unit, "95 % of one direction "+unit)
	}
	_ = out.Write(head)
	for i := range a.Series {
		s := &a.Series[i]
		line := []string{spreadsheet(s.Label()), number(s.Min), number(s.Mean), number(s.P95), number(s.Max),
			number(s.Last), number(sumOf(a, s.Total)), number(s.Share)}
		if a.Before != nil {
			line = append(line, number(s.Earlier))
		}
		switch {
		case fast && s.Speed > 0:
			line = append(line, number(s.Speed), number(s.Busy))
		case fast:
			line = append(line, "", "")
		}
		_ = out.Write(line)
	}
}

// writePoints writes each step of each line, with the same step of the opposite direction and of the earlier time.
func writePoints(out *csv.Writer, a *explore.Answer) {
	unit := a.Question.Unit.Label()
	head := []string{"time", "line", unit}
	if a.Back != nil {
		head = append(head, "opposite "+unit)
	}
	if a.Before != nil {
		head = append(head, "before "+unit)
	}
	_ = out.Write(head)
	for i := range a.Series {
		label := spreadsheet(a.Series[i].Label())
		for j, v := range a.Series[i].Points {
			line := []string{stepStart(a, j).UTC().Format(time.RFC3339), label, number(v)}
			if a.Back != nil {
				line = append(line, number(a.Back[i].Points[j]))
			}
			if a.Before != nil {
				line = append(line, number(at(a.Series[i].Before, j)))
			}
			_ = out.Write(line)
		}
	}
}

func stepStart(a *explore.Answer, i int) time.Time { return a.From.Add(time.Duration(i) * a.Step) }

// at is a point of a line, which may have none.
func at(points []float64, i int) float64 {
	if i < len(points) {
		return points[i]
	}
	return 0
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
