package schema

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/upgrade.sql
var olderTable string

// TestUpgrade opens the table of an older version with all rollups: its rows stay, get the later columns, and count in
// every rollup as soon as these are filled, like the rows that come meanwhile.
func TestUpgrade(t *testing.T) {
	conn := engine(t)
	run(t, conn, "CREATE DATABASE golden")
	run(t, conn, olderTable)
	if err := insertFlows(conn, "older", 0, 5000); err != nil {
		t.Fatal(err)
	}
	const sums = "SELECT count(), sum(bit_count), sum(packet_count), sum(cityHash64(src_ip_ref, dst_as_id, " +
		"ext.bgp_as_path_id)) FROM golden.data_flow"
	before := ask(t, conn, sums)
	s := rollupSettings()
	changes := apply(t, conn, s)
	added := slices.ContainsFunc(changes, func(line string) bool {
		return strings.HasPrefix(line, "table data_flow: column tcp_flags")
	})
	if !added {
		t.Errorf("the table has no new columns: %q", changes)
	}
	if after := ask(t, conn, sums); after != before {
		t.Errorf("the rows are %s, were %s", after, before)
	}
	insertCountries(t, conn)
	if err := insertFlows(conn, "newer", 5000, 1000); err != nil {
		t.Fatal(err)
	}
	// By country: as the prefixes say, whether rows have the columns of countries yet or not.
	countries := func() string {
		return ask(t, conn, "SELECT src_country, dst_country, sum(flow_count), sum(bit_count) FROM "+
			"golden.sums_country(from = 1769700000, to = 1769950000, step = 0, rows = 0) GROUP BY ALL ORDER BY ALL")
	}
	want := ask(t, conn, "SELECT s.country AS src_country, d.country AS dst_country, count(), sum(bit_count) FROM "+
		"golden.data_flow AS f ANY LEFT JOIN (SELECT ref, "+CountryOf+" AS country FROM golden.meta_ip) AS s ON "+
		"s.ref = f.src_ip_ref ANY LEFT JOIN (SELECT ref, "+CountryOf+" AS country FROM golden.meta_ip) AS d ON "+
		"d.ref = f.dst_ip_ref GROUP BY ALL ORDER BY ALL")
	const later = "SELECT countIf(src_country = '?'), countIf(dst_country = '?'), countIf(src_country = 'C2') > 0 " +
		"FROM golden.data_flow"
	if got := ask(t, conn, later); got != "5000\t5000\t1" {
		t.Errorf("rows without countries: %s", got)
	}
	if got := countries(); got != want || strings.Count(got, "\n") < 8 {
		t.Errorf("by country: %s\nwant %s", got, want)
	}
	sources, err := ReadSources(t.Context(), conn, s)
	if err != nil || len(sources[0].Later) != 2 {
		t.Errorf("columns that older rows do not have are %q, error %v", sources[0].Later, err)
	}
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "SELECT count() FROM golden.data_flow"); got != "6000" {
		t.Errorf("%s rows", got)
	}
	if got := ask(t, conn, later); got != "0\t0\t1" {
		t.Errorf("rows without countries, filled: %s", got)
	}
	if got := countries(); got != want {
		t.Errorf("by country, filled: %s\nwant %s", got, want)
	}
	if sources, err = ReadSources(t.Context(), conn, s); err != nil || len(sources[0].Later) != 0 {
		t.Errorf("filled: columns that older rows do not have are %q, error %v", sources[0].Later, err)
	}
	compareRollups(t, conn, s, "after the upgrade")
	compareSums(t, conn, &s, "after the upgrade")
	if again := apply(t, conn, s); len(again) > 0 {
		t.Errorf("a second time changes %q", again)
	}
}
