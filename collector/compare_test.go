package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/compare"
	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
)

// asMessages is a query that writes our rows as pmacct would have said them.
const asMessages = `SELECT device_id AS peer_ip_src, IPv6NumToString(src_ip) AS ip_src, IPv6NumToString(dst_ip) AS ` +
	`ip_dst, src_port AS port_src,
	dst_port AS port_dst, protocol AS ip_proto, 0 AS iface_in, 0 AS iface_out, ` +
	`concat(toString(toUnixTimestamp(start_time)), '.000000') AS timestamp_start,
	packet_count AS packets, bit_count DIV 8 AS bytes, 'nfacctd' AS writer_id FROM data_flow`

func TestCompare_command(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "COLLECTOR_ID=new")
	captures := []string{testkit.OwnCapture(t, "softflowd-v9"), testkit.OwnCapture(t, "softflowd-ipfix")}
	options := service.ReplayOptions{Once: true}
	if err := service.Replay(cfg, zap.NewNop(), nil, captures, options, io.Discard); err != nil {
		t.Fatal(err)
	}
	var messages bytes.Buffer
	if err := setup.Query(t.Context(), cfg, asMessages, "JSONEachRow", &messages); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "flows.json")
	if err := os.WriteFile(path, messages.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(messages.Bytes(), []byte("\n"))
	renamed, fewer := path+".renamed", path+".fewer"
	for name, data := range map[string][]byte{
		renamed: bytes.ReplaceAll(messages.Bytes(), []byte(`"peer_ip_src":"`), []byte(`"peer_ip_src":"2001:db8::`)),
		fewer: bytes.Join(slices.DeleteFunc(lines, func(line []byte) bool {
			return bytes.Contains(line, []byte(`"ip_src":"::ffff:198.18.0.`))
		}), nil),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	everything := comparison{from: time.Unix(0, 0), to: time.Now(), table: "data_flow"}
	for _, test := range []struct {
		name string
		comparison
		unexplained bool
		want        string
	}{
		{"messages", comparison{files: []string{path}}, false, "no difference"},
		{"the same table", everything, false, "no difference"},
		{"messages, by source", comparison{files: []string{path}, by: compare.BySource}, false, "no difference"},
		{"messages of another exporter, by source", comparison{files: []string{renamed}, by: compare.BySource}, false,
			"no difference"},
		{"messages of a source less, by source", comparison{files: []string{fewer}, by: compare.BySource}, true,
			"only this collector has it"},
		{"rows of another collector", comparison{from: everything.from, to: everything.to, table: "default.data_flow",
			tableCollector: "old"}, true, "only this collector has it"},
		{"our rows of another collector", comparison{files: []string{path}, collector: "old"}, true,
			"only pmacct has it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := test.run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := test.print(report, &out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), test.want) || (report.Unexplained() > 0) != test.unexplained {
				t.Errorf("without %q, or not explained: %d\n%s", test.want, report.Unexplained(), out.String())
			}
		})
	}
	topic := comparison{topic: "flows", from: time.Unix(0, 0)}
	kafka := *cfg
	kafka.Kafka.Brokers = topicOf(t, "flows", messages.Bytes())
	report, err := topic.run(t.Context(), &kafka)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Differences) > 0 || len(report.Theirs.Cells) == 0 {
		t.Errorf("from Kafka: %d cells, %+v", len(report.Theirs.Cells), report.Differences)
	}
	bad := comparison{files: []string{filepath.Join(t.TempDir(), "missing.json")}}
	if _, err := bad.run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "missing.json") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// topicOf starts a fake Kafka cluster with a topic of these lines, and returns its addresses.
func topicOf(t *testing.T, topic string, lines []byte) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for line := range bytes.Lines(lines) {
		if err := client.ProduceSync(t.Context(), kgo.SliceRecord(line)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return c.ListenAddrs()
}

func TestCompare_flags(t *testing.T) {
	for _, test := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"nothing to compare with", nil, "give either files"},
		{"topic without a period", []string{"--topic", "x"}, "needs a period"},
		{"both", []string{"--table", "x", "f.json"}, "give either files"},
		{"table without a period", []string{"--table", "x"}, "needs a period"},
		{"no time", []string{"--from", "noon", "f.json"}, `--from: "noon" is no time such as`},
		{"backwards", []string{"--from", "2026-01-02", "--to", "2026-01-01", "f.json"}, "is not before"},
		{"no format", []string{"--format", "xml", "f.json"}, "table or json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := root().Run(t.Context(), append([]string{"collector", "compare"}, test.arguments...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
