package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
)

// Rollups are turned on where rows are: the list says what is missing, fill counts it, and then all is there.
func TestRollups(t *testing.T) {
	cfg := testkit.Config(t)
	cfg.Schema.Rollups = nil
	ctx := t.Context()
	command := func(fill bool) string {
		t.Helper()
		conn, settings, done, err := openTables(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		var out bytes.Buffer
		if fill {
			err = fillRollups(ctx, conn, settings, &out)
		} else {
			err = listRollups(ctx, conn, settings, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := command(false); !strings.Contains(got, "peer         off  traffic by BGP next hop (5m, 1h, 1d)") {
		t.Errorf("without rollups the list is %q", got)
	}
	const sql = "INSERT INTO data_flow (start_time, device_id) SELECT now64() - 3600 * (number % 2), 'r1' FROM " +
		"numbers(1000)"
	if err := setup.Query(ctx, cfg, sql, "TSV", &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	cfg.Schema.Rollups = []string{"peer"}
	if got := command(false); !strings.Contains(got, "peer         on   has rows since ") {
		t.Errorf("before filling the list is %q", got)
	}
	if got := command(true); strings.Count(got, "peer: hour ") != 2 || !strings.Contains(got, "(2 of 2)") {
		t.Errorf("filling says %q", got)
	}
	if got := command(true); !strings.HasPrefix(got, "nothing to do") {
		t.Errorf("filling again says %q", got)
	}
	if got := command(false); !strings.Contains(got, "peer         on   has all rows: 5m 2 rows") {
		t.Errorf("after filling the list is %q", got)
	}
	if got := testkit.Ask(t, cfg, "SELECT sum(flow_count) FROM rollup_interface_peer_1d"); got != "1000" {
		t.Errorf("%s flows in the rollup", got)
	}
}
