package explore

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// testOthers asks of weeks with many values. What rollups say, with all others as all less the largest and whole days
// from the tables of days, is what one pass over the rows says.
func testOthers(t *testing.T, e *Explorer) {
	const many = `INSERT INTO explored.data_flow (start_time, end_time, flow_type, device_id, src_ip, dst_ip, src_as_id,
		dst_as_id, src_country, dst_country, in_interface_id, out_interface_id, protocol, application_port, bit_count,
		packet_count)
		SELECT toDateTime64('2026-01-03 05:17:00', 3, 'UTC') + number * 97 AS t, t, 'netflow', 'r' || number % 3,
			toIPv6('2001:db8::' || number % 53), toIPv6('2001:db8:1::' || number % 31),
			[64500, 64501, 0, 7][1 + number % 4] + intDiv(number, 7) % 40, 64500 + number % 29, 'C' || number % 5,
			'C' || number % 7, if(number % 5, 'r1::up', 'r1::x' || number % 3), if(number % 3, NULL, 'r1::down'),
			if(number % 2, 'tcp', 'udp'), number % 23, 1000 + 17 * number, 1 + number % 3
		FROM numbers(20000)`
	if err := e.Conn.Exec(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	whole := *e.Planner.sources.Load()
	defer e.Planner.SetSources(whole)
	var lines []string
	source := ""
	const week, days = "from=2026-01-04T03:00&to=2026-01-09T14:00", "from=2026-01-03&to=2026-01-24"
	for _, address := range []string{
		"by=src.as", "by=src.as&top=5", "by=src.as&unit=flows&zone=Europe/Zurich", "by=dst.as&view=table&top=3",
		"by=src.org&top=2", "by=src.org,dst.org&view=sankey&top=2", "by=src.as,dst.as&view=matrix&top=4",
		"by=src.as,dst.org&view=matrix&top=3&unit=packets", "by=src.as,dst.as&top=4&filter=src.as+>+10",
		"by=src.as,dst.as&view=sankey&top=4&filter=device+=+r1", "by=src.country,dst.country&view=matrix&top=3",
		"by=src.ip,dst.ip,app&view=table&top=6", "by=app&top=4", "by=circuit,app&view=table&top=5", "by=if,app&top=7",
		"by=src.as,dst.as&top=4", "by=dst.as,device,src.as&view=table&top=3&filter=proto+=+tcp",
		"by=dst.as,device,src.as&view=table&top=3", "by=src.ip,dst.ip&top=5&filter=device+=+r1",
		"by=dst.ip,proto,src.ip&view=table&top=3&unit=volume", "by=src.ip,dst.ip&top=3&filter=src.as+=+64500",
		"by=src.as,app&view=sankey&top=3", "by=src.city&top=2", "by=src.as&view=both", "by=src.as&before=week&top=2",
	} {
		for _, during := range []string{week, days} {
			q := question(t, address+"&"+during)
			said := func() string {
				a, err := e.Ask(t.Context(), q)
				if err != nil {
					t.Fatalf("%s: %v", address, err)
				}
				source = address + ": " + a.Query.Source.Line()
				if by := a.Query.Source.LargestBy; by != "" != strings.Contains(source, "; rollup_") {
					t.Errorf("%s: the largest are by %q", source, by)
				}
				return everything(a)
			}
			e.Planner.SetSources(whole)
			got := said()
			lines = append(lines, source)
			e.Planner.SetSources(whole[:1])
			if want := said(); got != want || got == "" {
				t.Errorf("%s, %s:\n%s\nthe rows:\n%s", address, during, got, want)
			}
		}
	}
	for _, want := range []string{
		"by=src.as,dst.as&top=4: data_flow: single flows; rollup_largest_as_pair_1d: the largest",
		"by=dst.as,device,src.as&view=table&top=3: data_flow: single flows; rollup_largest_as_pair_1h",
		"by=src.ip,dst.ip,app&view=table&top=6: data_flow: single flows; rollup_talkers_1d",
		"by=src.ip,dst.ip&top=5&filter=device+=+r1: data_flow: single flows; rollup_talkers_1h",
		"by=src.ip,dst.ip&top=3&filter=src.as+=+64500: data_flow: single flows; not",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	testLargestFlows(t, e)
	testEarlier(t, e)
	testBusy(t, e)
	for day := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC); day.Day() < 28; day = day.AddDate(0, 0, 1) {
		if err := e.Conn.Exec(t.Context(), "ALTER TABLE explored.data_flow DROP PARTITION ID '"+
			day.Format("20060102")+"'"); err != nil {
			t.Fatal(err)
		}
	}
}

// testEarlier asks of more addresses than are read of the earlier time: all lines have what they had then.
func testEarlier(t *testing.T, e *Explorer) {
	a := ask(t, e, "by=src.ip&view=table&top=50&unit=volume&before=week&from=2026-01-17&to=2026-01-24")
	sums := map[string]float64{}
	rows, err := e.Conn.Query(t.Context(), `SELECT toString(src_ip), toFloat64(sum(bit_count)) / 8
		FROM explored.data_flow
		WHERE start_time >= '2026-01-10 00:00:00' AND start_time < '2026-01-17 00:00:00' GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var address string
		var sum float64
		if err := rows.Scan(&address, &sum); err != nil {
			t.Fatal(err)
		}
		sums[address] = sum
	}
	shown, steps := 0, float64(len(a.Before))
	for _, line := range a.Series {
		if line.Rank != 0 {
			shown++
			if want := sums[line.Keys[0]] / steps; math.Abs(line.Earlier-want) > want/1e6 {
				t.Errorf("%s had %g, want %g", line.Keys[0], line.Earlier, want)
			}
			delete(sums, line.Keys[0])
		}
	}
	rest := 0.0
	for _, sum := range sums {
		rest += sum / steps
	}
	// Some that were among the largest have lines too.
	if others := a.others(); shown < 50 || others == nil || math.Abs(others.Earlier-rest) > rest/1e6 {
		t.Errorf("%d lines, %d others had %+v, want %g", shown, len(sums), others, rest)
	}
}

// testBusy asks how full lines of both directions are: as full as the direction that has more.
func testBusy(t *testing.T, e *Explorer) {
	if err := e.Conn.Exec(t.Context(), `INSERT INTO explored.data_flow (start_time, end_time, flow_type, device_id,
		in_interface_id, out_interface_id, bit_count)
		SELECT toDateTime64('2026-01-26 11:00:00', 3, 'UTC') + 60 * (number % 60) AS t, t, 'netflow', 'r1',
			if(number < 60, 'r1::up', 'r1::down'), if(number < 60, 'r1::down', 'r1::up'),
			if(number < 60, 600000, 1800000)
		FROM numbers(120)`); err != nil {
		t.Fatal(err)
	}
	for by, want := range map[string][2]float64{"circuit": {40_000, 30_000}, "if": {40_000, 30_000},
		"in.circuit": {10_000, 10_000}, "out.if": {30_000, 30_000}, "in.circuit&view=both": {10_000, 30_000}} {
		a := ask(t, e, "by="+by+"&from=2026-01-26T11:00&to=2026-01-26T12:00&filter=if+=+r1::up")
		at := slices.IndexFunc(a.Series, func(line Series) bool { return line.Speed > 0 })
		if at < 0 {
			t.Errorf("%s: no line has a speed", by)
		} else if line := a.Series[at]; line.P95 != want[0] || line.Busy != want[1] {
			t.Errorf("%s: %s has %g, busy %g, want %g", by, line.Label(), line.P95, line.Busy, want)
		}
	}
}

// testLargestFlows asks for the largest flows of weeks: the last day of one has many, of the other one none.
func testLargestFlows(t *testing.T, e *Explorer) {
	for _, days := range [][2]string{{"2026-01-03", "2026-01-24"}, {"2026-01-20", "2026-02-20"}} {
		for unit, column := range map[string]string{"bits": "bit_count", "packets": "packet_count"} {
			a := ask(t, e, "view=flows&top=5&unit="+unit+"&from="+days[0]+"&to="+days[1])
			var got []string
			for _, f := range a.Flows {
				got = append(got, fmt.Sprint(f.From.Unix(), " ", f.Source.Address))
			}
			var want []string
			if err := e.Conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT groupArray(toUnixTimestamp(start_time) || ' ' ||
				toString(src_ip)) FROM (SELECT start_time, src_ip FROM explored.data_flow WHERE start_time >=
				'%s 00:00:00' AND start_time < '%s 00:00:00' ORDER BY %s DESC, start_time DESC LIMIT 5)`,
				days[0], days[1], column)).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if len(got) != 5 || !slices.Equal(got, want) {
				t.Errorf("%v: the largest by %s are %q, want %q", days, unit, got, want)
			}
		}
	}
}

// everything is what an answer shows, in an order of its own: equal sums have no order.
func everything(a *Answer) string {
	var all []string
	for _, s := range slices.Concat(a.Series, a.Back) {
		all = append(all, fmt.Sprint(s.Label(), " ", s.Total, s.Points, s.Earlier))
	}
	for _, l := range a.Links {
		var nodes []string
		for _, n := range l.Nodes {
			nodes = append(nodes, n.Label())
		}
		all = append(all, fmt.Sprint(strings.Join(nodes, " → "), " ", l.Total))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
