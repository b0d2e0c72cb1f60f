package schema

import (
	"strings"
	"testing"
	"time"
)

// How many hours are counted at once follows from the flows of the day, and stays what it was after an interruption:
// else an hour whose insert was not noted would be counted twice, with another token.
func TestSpanOf(t *testing.T) {
	day := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	hours := func(flows uint64) (all []fillHour) {
		for h := range 24 {
			all = append(all, fillHour{day.Add(time.Duration(h) * time.Hour), flows})
		}
		return all
	}
	for _, test := range []struct {
		name  string
		hours []fillHour
		done  []time.Time
		span  int
		isNew bool
	}{
		{"a small day", hours(1000), nil, 24, true},
		{"as much as fits", hours(mostFilled / 24), nil, 24, true},
		{"more", hours(mostFilled/24 + 1), nil, 12, true},
		{"a quarter of a day", hours(mostFilled / 6), nil, 6, true},
		{"three hours", hours(mostFilled / 3), nil, 3, true},
		{"an hour has more than that", hours(2 * mostFilled), nil, 1, true},
		{"noted", hours(2 * mostFilled), []time.Time{spanMark(day, 6)}, 6, false},
		{"noted, and rows have gone since", hours(1), []time.Time{spanMark(day, 1)}, 1, false},
		{"begun by a version that counted by the hour", hours(1000), []time.Time{day}, 1, true},
		{"of another day", hours(1000), []time.Time{spanMark(day.Add(24*time.Hour), 3), day.Add(-time.Hour)}, 24, true},
	} {
		done := map[time.Time]bool{}
		for _, at := range test.done {
			done[at] = true
		}
		if span, isNew := spanOf(day, test.hours, done); span != test.span || isNew != test.isNew {
			t.Errorf("%s: %d hours, new %v, want %d, %v", test.name, span, isNew, test.span, test.isNew)
		}
	}
	if mark := noted(allHours); mark.Equal(allHours) || !mark.Truncate(time.Hour).Equal(allHours) {
		t.Errorf("the hour from 1970 is noted as %s", mark)
	}
}

// An insert that is retried after the rollups were turned on, and was stored before, counts once: new rollups wait for
// it (RollupsLater).
func TestRollupsLater(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = nil
	apply(t, conn, s)
	if err := insertFlows(conn, "a", 0, 5000); err != nil {
		t.Fatal(err)
	}
	s.Rollups, s.RollupsLater = []string{"traffic", "src_as"}, true
	apply(t, conn, s)
	const made = "SELECT count() FROM system.tables WHERE database = 'golden' AND name LIKE 'rollup%'"
	if got := ask(t, conn, made); got != "0" {
		t.Fatalf("%s rollups are made while inserts are in doubt", got)
	}
	if err := insertFlows(conn, "a", 0, 5000); err != nil {
		t.Fatal(err)
	}
	s.RollupsLater = false
	apply(t, conn, s)
	if err := insertFlows(conn, "b", 5000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	compareRollups(t, conn, s, "after a retry")
}

// A rollup whose view is not there yet is not filled: another program that makes the view states another time than the
// guess, and rows would be missing or count twice.
func TestFill_withoutView(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = nil
	apply(t, conn, s)
	if err := insertFlows(conn, "a", 0, 5000); err != nil {
		t.Fatal(err)
	}
	s.Rollups = []string{"traffic"}
	apply(t, conn, s)
	s.Rollups = []string{"traffic", "src_as"}
	err := Fill(t.Context(), conn, s, func(f Filling) { t.Errorf("filled %+v", f) })
	if err == nil || !strings.Contains(err.Error(), "the views of rollups src_as are not there yet") {
		t.Errorf("error %v", err)
	}
	if got := ask(t, conn, "SELECT count() FROM golden.collector_rollup"); got != "0" {
		t.Errorf("%s marks", got)
	}
	apply(t, conn, s)
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	compareRollups(t, conn, s, "after the views were made")
	sources, err := ReadSources(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if !source.From.IsZero() {
			t.Errorf("%s is complete only since %s", source.Table, source.From)
		}
	}
}
