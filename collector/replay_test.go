package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// elapsed is how long something took, which is never the same.
var elapsed = regexp.MustCompile(` in [0-9.]+m?s\n`)

func TestReplay(t *testing.T) {
	metadataDir := "METADATA_DIR=" + filepath.Join(repository(t), "bench", "testdata", "metadata")
	cfg := testConfig(t, metadataDir, "CLICKHOUSE_FLOW_TTL=", "COLLECTOR_ID=test")
	var out bytes.Buffer
	captures := []string{ownCapture(t, "softflowd-v9"), ownCapture(t, "nfprobe-ipfix"), ownCapture(t, "sfprobe")}
	if err := replay(cfg, zap.NewNop(), make(chan os.Signal), captures, replayOptions{once: true}, &out); err != nil {
		t.Fatal(err)
	}
	golden(t, "replay.txt", elapsed.ReplaceAll(out.Bytes(), []byte(" in …\n")))
	rows := ask(t, cfg, `SELECT * EXCEPT (insert_time) FROM data_flow
		WHERE (src_port, dst_port) IN ((34864, 443), (443, 34864)) ORDER BY flow_type, device_id, src_port, start_time, bit_count FORMAT JSONEachRow`)
	golden(t, "rows.jsonl", []byte(rows+"\n"))
}

func TestReplay_warnsOfRowsThatTheTTLDrops(t *testing.T) {
	cfg := testConfig(t, "CLICKHOUSE_FLOW_TTL=1 SECOND")
	for _, test := range []struct {
		name    string
		shift   bool
		warning string
		rows    string
	}{
		{"as they are", false, "warning: 230 of 230 rows began before ", "0"},
		{"moved to now", true, "", "230"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.shift {
				cfg.Schema.FlowTTL.Interval = "1 HOUR"
				ask(t, cfg, "DROP TABLE data_flow")
			}
			var out bytes.Buffer
			if err := replay(cfg, zap.NewNop(), make(chan os.Signal), []string{ownCapture(t, "softflowd-v9")},
				replayOptions{once: true, shiftToNow: test.shift}, &out); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), "warning:"); got != (test.warning != "") ||
				!strings.Contains(out.String(), test.warning) {
				t.Errorf("said:\n%s", &out)
			}
			// The server drops them in the background.
			waitFor(t, test.rows+" rows in the table",
				func() bool { return ask(t, cfg, "SELECT count() FROM data_flow") == test.rows })
		})
	}
}

func TestReplay_captureThatIsNotThere(t *testing.T) {
	cfg := testConfig(t)
	var out bytes.Buffer
	err := replay(cfg, zap.NewNop(), make(chan os.Signal), []string{"/nonexistent.pcap"}, replayOptions{once: true},
		&out)
	if err == nil || !strings.Contains(err.Error(), "/nonexistent.pcap") {
		t.Errorf("got %v", err)
	}
}
