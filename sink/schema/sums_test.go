package schema

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// compareSums compares views of sums with data_flow, over times that begin and end anywhere.
func compareSums(t *testing.T, conn driver.Conn, s *Settings, when string) {
	t.Helper()
	from := time.Date(2026, 1, 30, 22, 17, 43, 0, time.UTC)
	for _, r := range RollupSets() {
		if !slices.Contains([]string{"traffic", "src_prefix", "as_pair", "scireg", "scope", "country",
			"interface_application", "src_as", "all_dst_as", "sampling", "interface", "route", "community"}, r.Name) {
			continue
		}
		finest := time.Second
		on := !r.folds() && slices.ContainsFunc(s.rollups(), func(other Rollup) bool { return other.Name == r.Name })
		if i := slices.IndexFunc(r.Steps, func(step string) bool {
			_, use := s.sumsUse(&summed{Rollup: &r}, step)
			return use
		}); i >= 0 && on {
			finest = stepDuration(r.Steps[i])
		}
		var names, paths []string
		for _, d := range r.Dimensions {
			names, paths = append(names, columnName(d)), append(paths, ofRows(d, ""))
		}
		for length, step := range map[time.Duration]int{50 * time.Minute: 300, 51*time.Hour + 17*time.Minute: 0,
			49 * time.Hour: 3600} {
			to := from.Add(length)
			at := "toDateTime(0, 'UTC')"
			if step > 0 {
				at = fmt.Sprintf("toStartOfInterval(toDateTime(start_time, 'UTC'), INTERVAL %d SECOND)", step)
			}
			sums := func(names []string, flows, from string) string {
				return ask(t, conn, fmt.Sprintf("SELECT count(), sum(f), sum(b), sum(p), "+
					"sum(cityHash64(toString(tuple(*)))) FROM (SELECT %s AS at, %s, toUInt64(%s) AS f, "+
					"sum(bit_count) AS b, sum(packet_count) AS p FROM golden.%s GROUP BY ALL)", at,
					strings.Join(names, ", "), flows, from))
			}
			first, last := from, to
			if length >= fewestSteps*finest {
				first, last = from.Truncate(finest), to.Add(finest-time.Second).Truncate(finest)
			}
			got := sums(names, "sum(flow_count)", fmt.Sprintf("sums_%s(from = %d, to = %d, step = %d, rows = 0)",
				r.Name, from.Unix(), to.Unix(), step))
			want := sums(paths, "count()", fmt.Sprintf("data_flow WHERE start_time >= toDateTime64(%d, 3, 'UTC') AND "+
				"start_time < toDateTime64(%d, 3, 'UTC')", first.Unix(), last.Unix()))
			if got != want {
				t.Errorf("%s: %s over %s by %d s is %s, of data_flow %s", when, r.Name, length, step, got, want)
			}
		}
	}
}

// compareEdge compares views of flows over the edge with the aggregate of these, and with the rows, over whole windows.
func compareEdge(t *testing.T, conn driver.Conn, when string) {
	t.Helper()
	from := time.Date(2026, 1, 30, 22, 15, 0, 0, time.UTC)
	const sums = "SELECT count(), sum(f), sum(b), sum(cityHash64(toString(tuple(*)))) FROM (SELECT %s, " +
		"toUInt64(sum(flow_count)) AS f, sum(bit_count) AS b FROM golden.%s GROUP BY ALL)"
	for view, dimensions := range map[string]string{"src_as": "device_id, src_as_id", "dst_as": "device_id, dst_as_id",
		"application": "device_id, ifNull(application_id, '')",
		"interface":   "device_id, in_interface_id, in_interface_edge, out_interface_edge"} {
		for length, step := range map[time.Duration]int{50 * time.Minute: 300, 51*time.Hour + 15*time.Minute: 0,
			49 * time.Hour: 3600} {
			by := dimensions
			if step > 0 {
				by += fmt.Sprintf(", toStartOfInterval(toDateTime(start_time, 'UTC'), INTERVAL %d SECOND)", step)
			}
			to := from.Add(length)
			got := ask(t, conn, fmt.Sprintf(sums, by, fmt.Sprintf("edge_%s(from = %d, to = %d, step = %d, "+
				"rows = 0)", view, from.Unix(), to.Unix(), step)))
			within := fmt.Sprintf(" WHERE start_time >= toDateTime(%d) AND start_time < toDateTime(%d)", from.Unix(),
				to.Unix())
			want := ask(t, conn, fmt.Sprintf(sums, by, "data_flow_by_edge_as_5m"+within))
			if got != want || strings.HasPrefix(got, "0\t") {
				t.Errorf("%s: edge_%s over %s by %d s is %s, of the aggregate %s", when, view, length, step, got, want)
			}
		}
	}
	got := ask(t, conn, fmt.Sprintf("SELECT sum(flow_count) FROM golden.edge_as_pair(from = %d, to = %d, step = 0, "+
		"rows = 1) WHERE src_as_id = 3", from.Unix(), from.Add(24*time.Hour).Unix()))
	want := ask(t, conn, fmt.Sprintf("SELECT count() FROM golden.data_flow WHERE src_as_id = 3 AND in_interface_edge "+
		"AND start_time >= toDateTime(%d) AND start_time < toDateTime(%d)", from.Unix(), from.Add(24*time.Hour).Unix()))
	if got != want || got == "0" {
		t.Errorf("%s: of one AS %s flows, want %s", when, got, want)
	}
}

// compareKnown compares the view of flows of which both interfaces are in metadata with their aggregate, over whole
// windows.
func compareKnown(t *testing.T, conn driver.Conn, when string) {
	t.Helper()
	from := time.Date(2026, 1, 30, 22, 15, 0, 0, time.UTC)
	for length, step := range map[time.Duration]int{50 * time.Minute: 300, 51*time.Hour + 15*time.Minute: 0,
		49 * time.Hour: 3600} {
		at := "toDateTime(0)"
		if step > 0 {
			at = fmt.Sprintf("toStartOfInterval(toDateTime(start_time, 'UTC'), INTERVAL %d SECOND)", step)
		}
		to := from.Add(length)
		sums := func(table string) string {
			return ask(t, conn, fmt.Sprintf("SELECT count(), sum(f), sum(b), sum(p), "+
				"sum(cityHash64(toString(tuple(*)))) FROM (SELECT %s AS at, device_id, in_interface_id, "+
				"toString(in_interface_ref), in_interface_edge, "+
				"out_interface_id, toString(out_interface_ref), out_interface_edge, toUInt64(sum(flow_count)) AS f, "+
				"sum(bit_count) AS b, sum(packet_count) AS p FROM golden.%s GROUP BY ALL)", at, table))
		}
		got := sums(fmt.Sprintf("known_interface(from = %d, to = %d, step = %d, rows = 0)", from.Unix(), to.Unix(),
			step))
		want := sums(fmt.Sprintf("data_flow_by_interface_5m WHERE start_time >= toDateTime(%d) AND start_time < "+
			"toDateTime(%d)", from.Unix(), to.Unix()))
		if got != want || strings.HasPrefix(got, "0\t") {
			t.Errorf("%s: known_interface over %s by %d s is %s, of the aggregate %s", when, length, step, got, want)
		}
	}
}

// The views of sums are exact whatever rollups are on and however far these are filled, for times that begin and end
// anywhere, and read what costs least.
func TestSums(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Rollups = nil
	apply(t, conn, s)
	run(t, conn, "INSERT INTO golden.meta_application (id, protocol, port_range_min, port_range_max) VALUES "+
		"('web', 'TCP', 80, 80), ('system', 'tcp', 0, 1023), ('turn', 'udp', 160, 100)")
	run(t, conn, s.ReloadDictionaries()[0])
	if err := insertFlowsOf(conn, "a", 0, 6000, 4*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	compareSums(t, conn, &s, "without rollups")
	compareEdge(t, conn, "without rollups")
	compareKnown(t, conn, "without rollups")
	s.Rollups = []string{"traffic", "src_prefix", "as_pair", "scireg", "scope", "country", "interface_application",
		"interface", "src_as", "dst_as", "all_src_as", "all_dst_as", "application", "sampling", "route", "community"}
	apply(t, conn, s)
	if again := apply(t, conn, s); len(again) > 0 {
		t.Errorf("a second time changes %q", again)
	}
	compareSums(t, conn, &s, "before rows are filled in")
	compareEdge(t, conn, "before rows are filled in")
	compareKnown(t, conn, "before rows are filled in")
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	if again := apply(t, conn, s); len(again) > 0 {
		t.Errorf("filled: a second time changes %q", again)
	}
	compareSums(t, conn, &s, "filled")
	compareEdge(t, conn, "filled")
	compareKnown(t, conn, "filled")
	if err := insertFlowsOf(conn, "b", 6000, 1000, 4*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	compareSums(t, conn, &s, "after more rows")
	compareEdge(t, conn, "after more rows")
	compareKnown(t, conn, "after more rows")

	// Days from the table of days, nothing from the rows; with rows = 1, and with ad-hoc filters, the rows alone.
	from, to := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 2, 12, 59, 59, 0, time.UTC)
	read := func(rows int, settings string) string {
		t.Helper()
		plan := ask(t, conn, fmt.Sprintf("EXPLAIN ESTIMATE SELECT sum(bit_count) FROM golden.sums_traffic("+
			"from = %d, to = %d, step = 0, rows = %d)%s", from.Unix(), to.Unix(), rows, settings))
		var tables []string
		for line := range strings.SplitSeq(plan, "\n") {
			if fields := strings.Split(line, "\t"); fields[3] != "0" { // rows
				tables = append(tables, fields[1])
			}
		}
		return strings.Join(tables, " ")
	}
	if got := read(0, ""); !strings.Contains(got, "rollup_traffic_1d") || !strings.Contains(got, "rollup_traffic_1h") {
		t.Errorf("read is\n%s", got)
	}
	filters := map[int]string{1: "", 0: " SETTINGS additional_table_filters = {'data_flow': 'src_as_id = 3'}"}
	for rows, settings := range filters {
		if got := read(rows, settings); strings.Contains(got, "rollup") || !strings.Contains(got, "data_flow") {
			t.Errorf("rows = %d%s: read is\n%s", rows, settings, got)
		}
	}
	got := ask(t, conn, fmt.Sprintf("SELECT sum(bit_count) FROM golden.sums_traffic(from = %d, to = %d, step = 0, "+
		"rows = 0) SETTINGS additional_table_filters = {'golden.data_flow': 'src_as_id = 3'}", from.Unix(),
		to.Unix()))
	want := ask(t, conn, fmt.Sprintf("SELECT sum(bit_count) FROM golden.data_flow WHERE src_as_id = 3 AND "+
		"start_time >= toDateTime64(%d, 3, 'UTC') AND start_time < toDateTime64(%d, 3, 'UTC')", from.Unix(), to.Unix()))
	if got != want {
		t.Errorf("with an ad-hoc filter the sum is %s, want %s", got, want)
	}
}

// A table that keeps its rows for a shorter time than the aggregate is left out of a range that begins before these,
// and what is then read of the wider tables is not read of the aggregate too.
func TestSumsOfTablesKeptForLess(t *testing.T) {
	for name, steps := range map[string][]string{"the finest": {"1m", "5m"}, "one between": {"5m"}} {
		t.Run(name, func(t *testing.T) {
			conn := engine(t)
			s := rollupSettings()
			s.Rollups = []string{"interface", "src_as"}
			for _, step := range steps {
				s.RollupTTLs[step] = "1 DAY"
			}
			apply(t, conn, s)
			run(t, conn, "INSERT INTO golden.meta_application (id, protocol, port_range_min, port_range_max) VALUES "+
				"('web', 'TCP', 80, 80)")
			run(t, conn, s.ReloadDictionaries()[0])
			if err := insertFlowsOf(conn, "a", 0, 6000, 4*24*time.Hour); err != nil {
				t.Fatal(err)
			}
			compareEdge(t, conn, name)
			compareKnown(t, conn, name)
		})
	}
}

// Without the aggregate by edge, rollups and rows have the names of applications that the aggregate would have.
func TestSums_applicationsWithoutAggregate(t *testing.T) {
	conn := engine(t)
	s := rollupSettings()
	s.Views = slices.DeleteFunc(s.Views, func(v View) bool { return v.Kind == ByEdgeAS })
	s.Rollups = []string{"application"}
	apply(t, conn, s)
	run(t, conn, "INSERT INTO golden.meta_application (id, protocol, port_range_min, port_range_max) VALUES "+
		"('web', 'UDP', 80, 80), ('turn', 'udp', 160, 100)")
	run(t, conn, s.ReloadDictionaries()[0])
	if err := insertFlowsOf(conn, "a", 0, 6000, 4*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	const sums = "SELECT application_id, sum(flow_count), sum(bit_count), sum(packet_count) FROM (%s) " +
		"GROUP BY 1 ORDER BY 1 NULLS FIRST"
	want := ask(t, conn, fmt.Sprintf(sums, "SELECT dictGetOrNull('golden."+s.ApplicationDictionary.Name+
		"', 'id', lower(protocol), application_port) AS application_id, 1 AS flow_count, bit_count, packet_count "+
		"FROM golden.data_flow WHERE in_interface_edge OR out_interface_edge"))
	if !strings.Contains(want, "web") || strings.Count(want, "\n") < 2 {
		t.Fatalf("the flows are of\n%s", want)
	}
	for _, rows := range []int{0, 1} {
		got := ask(t, conn, fmt.Sprintf(sums, fmt.Sprintf("SELECT * FROM golden.edge_application(from = %d, to = %d, "+
			"step = 0, rows = %d)", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix(),
			time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix(), rows)))
		if got != want {
			t.Errorf("rows = %d:\n%s\nwant\n%s", rows, got, want)
		}
	}
}

// A table that has no whole window of the aggregate begins with the next one: the aggregate has all of that window.
func TestSumsBeginWithWholeWindows(t *testing.T) {
	s := rollupSettings()
	since := time.Date(2026, 1, 31, 10, 3, 20, 0, time.UTC)
	s.RollupsSince = map[string]time.Time{"interface": since}
	views := map[string]string{}
	for _, v := range s.sumsViews() {
		views[v.name] = v.query
	}
	window := fmt.Sprint(since.Truncate(5 * time.Minute).Add(5 * time.Minute).Unix())
	minute := fmt.Sprint(since.Truncate(time.Minute).Add(time.Minute).Unix())
	if q := views["edge_interface"]; !strings.Contains(q, window) || strings.Contains(q, minute) {
		t.Errorf("of the aggregate:\n%s", q)
	}
	if q := views["sums_interface"]; !strings.Contains(q, minute) {
		t.Errorf("of rows:\n%s", q)
	}
}

func TestEdgeAggregateIsTheFinest(t *testing.T) {
	for name, test := range map[string]struct {
		views []View
		want  string
	}{
		"none":       {[]View{NewView(ByIPVersion, "1m")}, ""},
		"one":        {[]View{NewView(ByIPVersion, "1m"), NewView(ByEdgeAS, "1h")}, "data_flow_by_edge_as_1h"},
		"the second": {[]View{NewView(ByEdgeAS, "1h"), NewView(ByEdgeAS, "5m")}, "data_flow_by_edge_as_5m"},
		"the first":  {[]View{NewView(ByEdgeAS, "90s"), NewView(ByEdgeAS, "2m")}, "data_flow_by_edge_as_90s"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if v := (&Settings{Views: test.views}).aggregate(ByEdgeAS); v != nil {
				got = v.Table
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
