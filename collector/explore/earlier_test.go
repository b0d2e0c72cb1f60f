package explore

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// What was among the largest and no longer is has a line, so that one sees what is gone.
func testGone(t *testing.T, e *Explorer) {
	a := ask(t, after(e, time.Hour), "by=src.as&unit=packets&from=2026-03-05T12:00&to=2026-03-05T13:00&before=period")
	if got := lines(a, 10); got != "AS64500 UNI-A 0, AS64501 LAB 0, unknown 0" {
		t.Errorf("an hour later: %s", got)
	}
	for _, line := range a.Series {
		if line.Earlier == 0 || len(line.Before) != len(line.Points) || Change(line.Earlier, line.Mean) != "gone" {
			t.Errorf("%s had %g, change %s", line.Label(), line.Earlier, Change(line.Earlier, line.Mean))
		}
	}
	// The source that was the largest one is among all others now: it has a line, and all others have less.
	for at, packets := range map[string][2]int{"2026-02-01 10:30:00": {10, 70}, "2026-02-01 11:30:00": {60, 20}} {
		insert := fmt.Sprintf("INSERT INTO explored.data_flow (start_time, end_time, flow_type, src_as_id, protocol, "+
			"bit_count, packet_count) VALUES ('%[1]s', '%[1]s', 'netflow', 64500, 'gone', 1, %[2]d), "+
			"('%[1]s', '%[1]s', 'netflow', 64501, 'gone', 1, %[3]d), "+
			"('%[1]s', '%[1]s', 'netflow', 64502, 'gone', 1, 5)", at, packets[0], packets[1])
		if err := e.Conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := e.Conn.Exec(t.Context(), "ALTER TABLE explored.data_flow DELETE WHERE protocol = 'gone' "+
			"SETTINGS mutations_sync = 2"); err != nil {
			t.Error(err)
		}
	}()
	a = ask(t, e, "by=src.as&unit=packets&top=1&from=2026-02-01T11:00&to=2026-02-01T12:00&before=period")
	if got := lines(a, 1); got != "AS64500 UNI-A 60, AS64501 LAB 20, others 5" || a.Series[1].Earlier == 0 ||
		math.Abs(a.Sum().Total-85) > 1e-6 {
		t.Errorf("%s, %+v", got, a.Series)
	}
}

// Those without a key and all others both have an empty key, and are two lines in the earlier time too.
func testEarlierUnknown(t *testing.T, e *Explorer) {
	insert := func(at, terms string) {
		t.Helper()
		if err := e.Conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO explored.data_flow (start_time, end_time, "+
			"flow_type, device_id, protocol, bit_count, packet_count) SELECT '%[1]s', '%[1]s', 'netflow', %[2]s",
			at, terms)); err != nil {
			t.Fatal(err)
		}
	}
	insert("2026-02-01 10:30:00",
		fmt.Sprintf("concat('d', toString(number)), 'many', 1, 36 FROM numbers(%d)", MaxTop+10))
	insert("2026-02-01 10:30:00", "'', 'many', 1, 3600")
	insert("2026-02-01 11:30:00", "if(number = 0, '', 'd1'), 'many', 1, 100 - number FROM numbers(2)")
	defer func() {
		if err := e.Conn.Exec(t.Context(), "ALTER TABLE explored.data_flow DELETE WHERE protocol = 'many' "+
			"SETTINGS mutations_sync = 2"); err != nil {
			t.Error(err)
		}
	}()
	a := ask(t, e, "by=device&unit=packets&top=1&from=2026-02-01T11:00&to=2026-02-01T12:00&before=period"+
		"&filter=proto+%3D+many")
	if got := lines(a, 1); got != "unknown 100, others 99" {
		t.Fatalf("lines are %s", got)
	}
	for i, want := range []float64{1, 0.01 * (MaxTop + 10)} { // packets a second
		if got := a.Series[i].Earlier; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s had %g, want %g", a.Series[i].Label(), got, want)
		}
	}
}
