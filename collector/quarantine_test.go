package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/testkit"
)

// Rows that the table refuses are kept while all others go in; the commands list them, show them, and insert them once
// the table takes them.
func TestQuarantine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "quarantine")
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "QUARANTINE_PATH="+dir)
	run := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := service.Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{testkit.OwnCapture(t,
			"softflowd-v9")},
			service.ReplayOptions{Once: true}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	list := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := listQuarantine(dir, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if run(); !strings.HasPrefix(list(), "nothing is in quarantine") {
		t.Errorf("nothing was refused, but: %s", list())
	}
	bad := testkit.Ask(t, cfg, "SELECT count() FROM data_flow WHERE dst_port = 443")
	total := testkit.Ask(t, cfg, "SELECT count() FROM data_flow")
	views := testkit.Ask(t, cfg, "SELECT sum(flow_count) FROM data_flow_by_ip_version_5m")
	testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow")
	testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow_by_ip_version_5m")
	testkit.Ask(t, cfg, "ALTER TABLE data_flow ADD CONSTRAINT no_https CHECK dst_port != 443")

	if said := run(); !strings.Contains(said, "in quarantine: "+bad+" × rows that ClickHouse refuses (rejected)") ||
		strings.Contains(said, "not confirmed") {
		t.Errorf("no word of the %s rows in quarantine:\n%s", bad, said)
	}
	if left := testkit.Ask(t, cfg, "SELECT count() + "+bad+" FROM data_flow"); left != total {
		t.Errorf("%s rows and %s in quarantine, %s came", left, bad, total)
	}
	for _, want := range []string{"rejected", "no_https", "198.51.100.", " " + bad + " "} {
		if !strings.Contains(list(), want) {
			t.Errorf("the list does not say %q:\n%s", want, list())
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	var shown bytes.Buffer
	if err := showQuarantine(files, &shown); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(shown.String(), `"dst_port":443,`); fmt.Sprint(n) != bad ||
		strings.Count(shown.String(), "\n") != n {
		t.Errorf("of %s rows these are shown:\n%s", bad, &shown)
	}

	var out bytes.Buffer
	if err := insertQuarantine(t.Context(), cfg, files, false, &out); err == nil ||
		!strings.Contains(err.Error(), "no_https") || strings.Contains(err.Error(), "\n") {
		t.Errorf("while the constraint is there: %v", err)
	}
	testkit.Ask(t, cfg, "ALTER TABLE data_flow DROP CONSTRAINT no_https")
	if err := insertQuarantine(t.Context(), cfg, files, false, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), bad+" rows inserted") || !strings.HasPrefix(list(), "nothing is in quarantine") {
		t.Errorf("said %q, and then %q", &out, list())
	}
	for query, want := range map[string]string{
		"SELECT count() FROM data_flow": total, "SELECT sum(flow_count) FROM data_flow_by_ip_version_5m": views,
	} {
		if got := testkit.Ask(t, cfg, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if err := insertQuarantine(t.Context(), cfg, files, false, &out); err == nil {
		t.Error("no error for files that are gone")
	}
}
