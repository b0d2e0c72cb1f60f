package explore

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// All queries that figures of an answer are from are noted, and each runs as it is.
func testStatements(t *testing.T, e *Explorer) {
	const during = "&from=2026-03-05T11:00&to=2026-03-05T12:00"
	for address, want := range map[string]string{
		"by=src.as":                      "the largest lines, names of src.as",
		"by=src.as&before=period&top=1":  "the largest lines, the period before, names of src.as",
		"by=src.as&view=both":            "the largest lines, the opposite direction, names of src.as",
		"by=proto&view=both&before=week": "the largest lines, the opposite direction, the week before",
		"by=circuit&view=table": "the largest lines, speeds in bits, how full lines are: in.circuit, " +
			"how full lines are: out.circuit",
		"by=src.country&view=map":                 "the largest lines, codes of countries",
		"by=src.as,dst.as&view=sankey":            "from where to where, names of src.as, names of dst.as",
		"view=hours":                              "the sum of each hour",
		"view=flows":                              "single flows, names of src.as",
		"view=losses":                             "known losses by exporter",
		`filter=src.org+~+"x'y\\"+or+proto+=+tcp`: "the largest lines",
	} {
		a := ask(t, e, address+during)
		l := &Losses{}
		if a.Question.View != Lost {
			var err error
			if l, err = e.Losses(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			want += ", known losses of this time, bits by sampling rate"
		}
		all := append(a.Queries, l.Queries...)
		if parts := strings.Split(want, ", "); len(parts) != len(all) {
			t.Errorf("%s: %d statements, want %s", address, len(all), want)
		} else {
			for i, x := range all {
				if !strings.HasPrefix(x.What, parts[i]) || strings.ContainsAny(x.What, "\n;") {
					t.Errorf("%s: statement %d is %q, want %s", address, i, x.What, parts[i])
				}
			}
		}
		for _, x := range all {
			result, err := e.Conn.QueryFormat(t.Context(), "TSV", x.SQL())
			if err == nil {
				_, err = io.Copy(io.Discard, result)
				_ = result.Close()
			}
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", address, x.What, err, x.SQL())
			}
		}
	}
}

// Lines have the steps of the earlier time, in the steps of the graph too, and their sum is the earlier time's.
func testEarlierPoints(t *testing.T, e *Explorer) {
	const half, week = "&before=period&from=2026-03-05T11:30&to=2026-03-05T12:00",
		"&before=day&from=2026-03-06T11:00&to=2026-03-13T11:00"
	for _, address := range []string{half, half + "&view=both", half + "&top=1", week + "&step=5m"} {
		a := ask(t, after(e, 8*24*time.Hour), "by=src.as&unit=packets"+address)
		if !a.BeforeFrom.Equal(noon.Add(-time.Hour)) {
			t.Errorf("%s: the earlier time is from %s", address, a.BeforeFrom)
		}
		all := 0.0
		for i, want := range a.Before {
			sum := 0.0
			for j := range a.Series {
				if line := &a.Series[j]; line.Before != nil {
					sum += line.Before[i]
				}
			}
			if math.Abs(sum-want) > 1e-9 {
				t.Errorf("%s: lines have %g together in step %d, and the earlier time %g", address, sum, i, want)
			}
			all += want
		}
		if all == 0 || len(a.Before) != len(a.Series[0].Points) {
			t.Errorf("%s: %g in %d steps", address, all, len(a.Before))
		}
	}
}

// An interface and a circuit have their speed, and are as full as their busier direction was.
func testFullness(t *testing.T, e *Explorer) {
	for _, test := range []struct {
		kind, id string
		speed    float64
	}{{"if", "r1::up", 10e9}, {"circuit", "c2", 10e9}, {"if", "r1::down", 0}, {"if", "none", 0}, {"device", "r1", 0}} {
		s, err := ParseSubject(test.kind, test.id)
		if err != nil {
			t.Fatal(err)
		}
		if speed, err := e.Speed(t.Context(), s); err != nil || speed != test.speed {
			t.Errorf("%v: %g, %v", s, speed, err)
		}
	}
	s := Subject{SubjectInterface, "r1::up"}
	q := s.Questions()[0].Question.Between(noon.Add(-time.Hour), noon)
	a, err := e.Ask(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	want := "Speed 800 bit/s. The busier direction, in, was full by 100 % (min), 100 % (mean), 100 % (95 %) and " +
		"100 % (max), in steps of 1m."
	if got := a.Fullness(800); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	q.Filter = "out.if = r1::up"
	if a, err = e.Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got := a.Fullness(1600); !strings.Contains(got, "direction, out, was full by 50 % (min)") {
		t.Error(got)
	}
	q.Filter = "in.if = none"
	if a, err = e.Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(a.Fullness(1e9), a.Fullness(0)); got != "Speed 1.00 Gbit/s."+
		"Its speed is not known: meta_interface has it, from SNMP or from a file." {
		t.Error(got)
	}
}
