package schema

import (
	"strings"
	"testing"
	"time"
)

// A rollup that was turned off and is turned on again has each row once, though its tables have rows from before. Where
// it is not known which rows these are, nothing is filled, and questions about earlier times go to data_flow.
func TestRollups_offAndOn(t *testing.T) {
	conn := engine(t)
	off := rollupSettings()
	off.Rollups = nil
	apply(t, conn, off)
	on := off
	on.Rollups = []string{"traffic", "sampling", "application"}
	insert := func(token string, first int) {
		t.Helper()
		if err := insertFlows(conn, token, first, 1000); err != nil {
			t.Fatal(err)
		}
	}
	insert("before", 0)
	apply(t, conn, on)
	if err := Fill(t.Context(), conn, on, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	insert("on", 1000)
	apply(t, conn, off)
	offers, err := Offers(t.Context(), conn, off)
	if err != nil || !strings.Contains(offers[0].Statement, "rollup_edge_application_5m_mv") {
		t.Fatalf("offers %v, error %v", offers, err)
	}
	for _, o := range offers {
		switch {
		case strings.Contains(o.Statement, "rollup_traffic_"):
			err = Accept(t.Context(), conn, &off, o)
		case strings.Contains(o.Statement, "rollup_sampling_"): // as the line of the log says
			err = conn.Exec(t.Context(), o.Statement)
		case o.ends != nil: // interrupted before the view is dropped
			err = endRollup(t.Context(), conn, &off, o.ends)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	insert("off", 2000)
	apply(t, conn, on)
	insert("on again", 3000)
	if err := Fill(t.Context(), conn, on, func(Filling) {}); err == nil || strings.Count(err.Error(), "rollup ") != 1 ||
		!strings.Contains(err.Error(), "rollup sampling: its tables have rows of flows from before ") {
		t.Errorf("filling says %v", err)
	}
	filled := on
	filled.Rollups = []string{"traffic", "application"}
	compareRollups(t, conn, filled, "on again")
	if got := ask(t, conn, "SELECT sum(flow_count) FROM golden.rollup_sampling_1d"); got != "2000" {
		t.Errorf("the rollup that cannot be filled has %s flows, want those of the first time that it was on", got)
	}
	sources, err := ReadSources(t.Context(), conn, on)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		if since := time.Since(s.From) < 48*time.Hour; since != (s.Set == "sampling") {
			t.Errorf("%s is complete since %s", s.Table, s.From)
		}
	}
}
