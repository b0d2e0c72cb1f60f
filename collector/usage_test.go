package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/schema"
)

// The command is a subcommand of store, which is also the name of the store's own process.
func TestStoreUsage(t *testing.T) {
	cfg := testkit.Config(t)
	conn, settings, done, err := openTables(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, sql := range []string{
		"INSERT INTO data_flow (start_time) SELECT toStartOfDay(now64(3, 'UTC')) - 3600 FROM numbers(1000)",
		"INSERT INTO data_flow (start_time) SELECT toStartOfDay(now64(3, 'UTC')) - 200000 FROM numbers(500)",
	} {
		if err := setup.Query(t.Context(), cfg, sql, "TSV", &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	usage, err := schema.ReadUsage(t.Context(), conn, &settings)
	if err != nil {
		t.Fatal(err)
	}
	flow := usage.Tables[0]
	for _, table := range usage.Tables {
		if table.Table == "data_flow" {
			flow = table
		}
	}
	if flow.Table != "data_flow" || flow.Rows != 1500 || flow.BytesADay <= 0 || flow.BytesADay >= float64(flow.Bytes) ||
		flow.TTL.Interval != "30 DAY" || flow.WhenFull != uint64(flow.BytesADay*30) || usage.Free == 0 ||
		usage.Disk < usage.Free {
		t.Errorf("%+v of %+v", flow, usage)
	}
	var out bytes.Buffer
	if err := root().Run(t.Context(), []string{"collector", "store", "usage", "--help"}); err != nil {
		t.Error(err)
	}
	if err := printUsage(&out, usage, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"data_flow", "1500", "30 DAY", "free: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPrintUsage(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	day := schema.TTL{Interval: "30 DAY", Column: "start_time"}
	usage := &schema.Usage{Disk: 100e9, Free: 12e9, Tables: []schema.TableUsage{
		{Table: "data_flow", Rows: 1e9, Bytes: 20e9, BytesADay: 2e9, First: now.Add(-10 * 24 * time.Hour), TTL: day,
			KnownTTL: true, WhenFull: 60e9},
		{Table: "meta_ip", Rows: 10, Bytes: 1000, KnownTTL: true},
	}}
	for free, want := range map[uint64]string{12e9: "full in 6 days", 39e9: "full in 19 days",
		41e9: "the disk is enough"} {
		usage.Free = free
		var out bytes.Buffer
		if err := printUsage(&out, usage, now); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("with %d bytes free: no %q in\n%s", free, want, out.String())
		}
	}
}
