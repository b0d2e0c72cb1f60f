package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/testkit"
)

// kafkaEnv has messages sent to the cluster.
func kafkaEnv(t *testing.T, c *kfake.Cluster) []string {
	return []string{
		"KAFKA_OUTPUT_TOPIC=flows", "KAFKA_BOOTSTRAP_SERVERS=" + strings.Join(c.ListenAddrs(), ","),
		"KAFKA_SPOOL_PATH=" + t.TempDir(),
		"CLICKHOUSE_FLOW_TTL=",
	}
}

// consumed returns the messages of the topic, of which there must be n.
func consumed(t *testing.T, c *kfake.Cluster, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("flows"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*kgo.Record
	for wait := testkit.Patience; ; {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		all = append(all, client.PollFetches(ctx).Records()...)
		ended := ctx.Err() != nil
		cancel()
		if len(all) >= n {
			wait = 100 * time.Millisecond
		}
		if ended {
			break
		}
	}
	if len(all) != n {
		t.Errorf("%d messages in the topic, want %d", len(all), n)
	}
	return all
}

func TestServe_kafkaBesideClickHouse(t *testing.T) {
	c := testkit.KafkaCluster(t)
	r := startServe(t, append(kafkaEnv(t, c), "KAFKA_OUTPUT_KEY=exporter")...)
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9", "sfprobe")...)
	r.stop(t)
	var bits, packets uint64
	devices := map[string]bool{}
	for _, m := range consumed(t, c, 342) {
		var row struct {
			DeviceID string `json:"device_id"`
			Bits     uint64 `json:"bit_count"`
			Packets  uint64 `json:"packet_count"`
		}
		if err := json.Unmarshal(m.Value, &row); err != nil {
			t.Fatalf("%v: %s", err, m.Value)
		}
		bits, packets = bits+row.Bits, packets+row.Packets
		devices[row.DeviceID+" "+string(m.Key)] = true
	}
	got := fmt.Sprintf("%d\t%d\t%d", 342, bits, packets)
	if want := testkit.Ask(t, r.cfg, "SELECT count(), sum(bit_count), sum(packet_count) FROM data_flow"); got != want {
		t.Errorf("the topic has %s, the table %s", got, want)
	}
	if len(devices) != 2 {
		t.Errorf("devices and keys: %v", devices)
	}
	for _, line := range []string{"342 rows written", "342 messages produced to Kafka's topic flows\n",
		"nothing lost"} {
		if !strings.Contains(r.summary.String(), line) {
			t.Errorf("the summary has no %q:\n%s", line, &r.summary)
		}
	}
}

// Without flows in ClickHouse its store has the metadata, with which messages are enriched, and no table of flows.
func TestServe_kafkaInsteadOfClickHouse(t *testing.T) {
	c := testkit.KafkaCluster(t)
	dir := t.TempDir()
	device := "table: meta_device\ndata:\n  - {id: lab, type: router, loopback_ip: [127.0.0.1]}\n"
	if err := os.WriteFile(filepath.Join(dir, "meta_device.yml"), []byte(device), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startServe(t, append(kafkaEnv(t, c), "CLICKHOUSE_FLOWS=false", "METADATA_DIR="+dir)...)
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
	testkit.WaitFor(t, "the messages", func() bool { return consumedSoFar(c) >= 230 })
	if tables := testkit.Ask(t, r.cfg,
		"SELECT groupArray(name) FROM system.tables WHERE name LIKE 'data_flow%' AND database = "+
			"currentDatabase()"); tables != "[]" {
		t.Errorf("there are tables of flows: %s", tables)
	}
	r.stop(t)
	for _, m := range consumed(t, c, 230) {
		if !strings.Contains(string(m.Value), `"device_id":"lab"`) ||
			!strings.Contains(string(m.Value), `"device_ref":"lab__v1"`) {
			t.Fatalf("not enriched: %s", m.Value)
		}
	}
	if said := r.summary.String(); !strings.Contains(said, "230 messages produced to Kafka's topic flows\n") ||
		!strings.Contains(said, "nothing lost") || strings.Contains(said, "rows") {
		t.Errorf("said:\n%s", &r.summary)
	}
}

// consumedSoFar is how many messages the topic has.
func consumedSoFar(c *kfake.Cluster) (n int64) {
	for _, p := range c.PartitionInfos("flows") {
		n += p.HighWatermark
	}
	return n
}

// The brokers of the reference's pipeline get nothing unless a topic of ours is named.
func TestServe_noTopicNoMessages(t *testing.T) {
	c := testkit.KafkaCluster(t)
	r := startServe(t, "KAFKA_BOOTSTRAP_SERVERS="+c.ListenAddrs()[0], "KAFKA_TOPIC=flows", "CLICKHOUSE_FLOW_TTL=")
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
	r.stop(t)
	if n := consumedSoFar(c); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// A Kafka that does not answer holds up nothing of what goes to ClickHouse, and what is meant for it waits on disk.
func TestServe_slowKafkaDoesNotSlowClickHouse(t *testing.T) {
	c := testkit.KafkaCluster(t)
	held := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-held })
		return nil, nil, false
	})
	t.Cleanup(func() { close(held) })
	r := startServe(t, kafkaEnv(t, c)...)
	r.cfg.Batch.Grace = time.Second
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
	testkit.WaitFor(t, "the rows in ClickHouse", func() bool {
		return testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "230"
	})
	r.stop(t)
	if !strings.Contains(r.summary.String(),
		"0 messages produced to Kafka's topic flows, 230 wait in the spool until it takes them") {
		t.Errorf("said:\n%s", &r.summary)
	}
}

// A ClickHouse that is away holds up nothing of what goes to Kafka.
func TestServe_clickHouseAwayDoesNotSlowKafka(t *testing.T) {
	c := testkit.KafkaCluster(t)
	cfg := testkit.ConfigFor(t, append(kafkaEnv(t, c), "CLICKHOUSE_HOST=127.0.0.1:1", "LISTEN="+testkit.FreePort(t),
		"CACHE_DIR="+t.TempDir(),
		"METADATA_DIR="+t.TempDir(), "SPOOL_PATH="+t.TempDir())...)
	cfg.Batch.Grace = time.Second
	r := startConfigured(t, cfg, withoutServer)
	testkit.Send(t, cfg.Listen.Addresses[0], testkit.Payloads(t, "softflowd-v9")...)
	testkit.WaitFor(t, "the messages in Kafka", func() bool { return consumedSoFar(c) == 230 })
	r.stop(t)
	for _, line := range []string{"230 messages produced to Kafka's topic flows\n", ", 230 wait in the spool"} {
		if !strings.Contains(r.summary.String(), line) {
			t.Errorf("the summary has no %q:\n%s", line, &r.summary)
		}
	}
}

func TestReplay_kafka(t *testing.T) {
	c := testkit.KafkaCluster(t)
	cfg := testkit.Config(t, append(kafkaEnv(t, c), "KAFKA_OUTPUT_FORMAT=pmacct-json")...)
	var out bytes.Buffer
	if err := Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{testkit.OwnCapture(t, "softflowd-v9")},
		ReplayOptions{Once: true}, &out); err != nil {
		t.Fatal(err)
	}
	for _, m := range consumed(t, c, 230) {
		if !strings.Contains(string(m.Value), `"writer_id":"nfacctd"`) &&
			!strings.Contains(string(m.Value), `"writer_id": "nfacctd"`) {
			t.Fatalf("not as pmacct writes it: %s", m.Value)
		}
	}
	if !strings.Contains(out.String(), "230 messages produced to Kafka's topic flows\n") {
		t.Errorf("said:\n%s", &out)
	}
}
