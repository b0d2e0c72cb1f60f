package store_test

import (
	"testing"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// A granule of wide rows has less than 8192 of them, so that merges, which have one of each part in memory, need less.
func TestGranulesOfWideRowsAreSmall(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n SETTINGS index_granularity = 8192")
	run(t, base, "INSERT INTO t SELECT number, repeat('x', 1000) FROM numbers(8000)")
	if got := run(t, base, "SELECT max(marks) >= 4 FROM system.parts WHERE table = 't'"); got != "1\n" {
		t.Errorf("8 MB of rows are in %s marks", run(t, base, "SELECT marks FROM system.parts WHERE table = 't'"))
	}
}
