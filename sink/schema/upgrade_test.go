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
	if err := insertFlows(conn, "newer", 5000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := Fill(t.Context(), conn, s, func(Filling) {}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "SELECT count() FROM golden.data_flow"); got != "6000" {
		t.Errorf("%s rows", got)
	}
	compareRollups(t, conn, s, "after the upgrade")
	compareSums(t, conn, &s, "after the upgrade")
	if again := apply(t, conn, s); len(again) > 0 {
		t.Errorf("a second time changes %q", again)
	}
}
