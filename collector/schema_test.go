package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
)

// The command lists what an older table would have otherwise, changes nothing before it is told to, and then has
// nothing to list.
func TestSchema(t *testing.T) {
	cfg := testkit.Config(t)
	ctx := t.Context()
	list := func() string {
		var out bytes.Buffer
		if err := withOffers(ctx, cfg, func(o *offered) error { return o.list(&out) }); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := list(); !strings.HasPrefix(got, "nothing:") {
		t.Fatalf("of new tables it says %q", got)
	}
	for _, sql := range []string{
		"ALTER TABLE data_flow MODIFY COLUMN src_port CODEC(LZ4)",
		"INSERT INTO data_flow (start_time, src_port) SELECT now64(), number % 100 FROM numbers(100000)",
	} {
		if err := setup.Query(ctx, cfg, sql, "TSV", &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got := list(); !strings.Contains(got, "table data_flow (100000 rows, ") ||
			!strings.Contains(got, "MODIFY COLUMN `src_port` CODEC(ZSTD(1));") {
			t.Fatalf("it says %q", got)
		}
	}
	var out bytes.Buffer
	if err := withOffers(ctx, cfg, func(o *offered) error { return o.apply(ctx, true, &out) }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "partition ") || !strings.Contains(out.String(), " bytes a row instead of ") {
		t.Errorf("it said %q", out.String())
	}
	if got := list(); !strings.HasPrefix(got, "nothing:") {
		t.Errorf("afterwards it says %q", got)
	}
}
