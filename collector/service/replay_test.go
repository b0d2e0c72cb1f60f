package service

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
)

// elapsed is how long something took, which is never the same.
var elapsed = regexp.MustCompile(` in [0-9.]+m?s\n`)

func TestReplay(t *testing.T) {
	metadataDir := "METADATA_DIR=" + filepath.Join(golden.Repository(t), "bench", "testdata", "metadata")
	cfg := testkit.Config(t, metadataDir, "CLICKHOUSE_FLOW_TTL=", "COLLECTOR_ID=test")
	var out bytes.Buffer
	captures := []string{testkit.OwnCapture(t, "softflowd-v9"), testkit.OwnCapture(t, "nfprobe-ipfix"),
		testkit.OwnCapture(t, "sfprobe")}
	if err := Replay(cfg, zap.NewNop(), make(chan os.Signal), captures, ReplayOptions{Once: true}, &out); err != nil {
		t.Fatal(err)
	}
	golden.File(t, "replay.txt", elapsed.ReplaceAll(out.Bytes(), []byte(" in …\n")))
	rows := testkit.Ask(t, cfg, `SELECT * EXCEPT (insert_time) FROM data_flow
		WHERE (src_port, dst_port) IN ((34864, 443), (443, 34864)) ORDER BY flow_type, device_id, src_port, `+
		`start_time, bit_count FORMAT JSONEachRow`)
	golden.File(t, "rows.jsonl", []byte(rows+"\n"))
}

func TestReplay_warnsOfRowsThatTheTTLDrops(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=1 SECOND")
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
				testkit.Ask(t, cfg, "DROP TABLE data_flow")
			}
			var out bytes.Buffer
			if err := Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{testkit.OwnCapture(t, "softflowd-v9")},
				ReplayOptions{Once: true, ShiftToNow: test.shift}, &out); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), "warning:"); got != (test.warning != "") ||
				!strings.Contains(out.String(), test.warning) {
				t.Errorf("said:\n%s", &out)
			}
			// The server drops them in the background.
			testkit.WaitFor(t, test.rows+" rows in the table",
				func() bool { return testkit.Ask(t, cfg, "SELECT count() FROM data_flow") == test.rows })
		})
	}
}

func TestReplay_captureThatIsNotThere(t *testing.T) {
	cfg := testkit.Config(t)
	var out bytes.Buffer
	err := Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{"/nonexistent.pcap"}, ReplayOptions{Once: true},
		&out)
	if err == nil || !strings.Contains(err.Error(), "/nonexistent.pcap") {
		t.Errorf("got %v", err)
	}
}
