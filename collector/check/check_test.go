package check

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestCheck(t *testing.T) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	used := socket.LocalAddr().String()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.Mkdir(bad, 0o755); err != nil {
		t.Fatal(err)
	}
	device := "table: meta_device\ndata:\n  - {id: r1, type: router, loopback_ip: [192.0.2.1]}\n  - {id: r2, loopback_ip: [192.0.2.2]}\n"
	if err := os.WriteFile(filepath.Join(bad, "meta_device.yml"), []byte(device), 0o644); err != nil {
		t.Fatal(err)
	}
	brokers := testkit.KafkaCluster(t).ListenAddrs()[0]
	server := strings.TrimPrefix(storetest.Start(t), "http://")
	good := []string{
		"LISTEN=" + testkit.FreePort(t), "STORE_PATH=" + filepath.Join(dir, "data"),
		"STORE_LISTEN=" + testkit.FreePort(t),
		"STORE_ENGINE=" + storetest.Engine(), "CACHE_DIR=" + dir, "METADATA_DIR=" + dir,
	}
	for _, test := range []struct {
		name, environ, want string
		fails               bool
	}{
		{"all is well", "", `ok +local store +engine .*libchdb.so`, false},
		{"a port in use", "LISTEN=" + used, `warning +listen +UDP ` + used + ` is in use`, false},
		{"an address that is not here", "LISTEN=192.0.2.1:2055", `problem +listen +UDP 192.0.2.1:2055: .*cannot assign`,
			true},
		{"an engine that is not there", "STORE_ENGINE=/nonexistent.so",
			`problem +local store +.*/nonexistent.so.*make engine`, true},
		{"a store that is a file", "STORE_PATH=" + file, `problem +local store +.*/file is not a directory`, true},
		{"a server that does not answer", "CLICKHOUSE_HOST=127.0.0.1:1", `problem +ClickHouse +.*127.0.0.1:1.*refused`,
			true},
		{"one of two servers", "CLICKHOUSE_HOST=127.0.0.1:1," + server, `warning +ClickHouse +.*127.0.0.1:1.*refused`,
			false},
		{"an extension without a table", "CLICKHOUSE_FLOW_IP_REF_EXTENSIONS=scireg,cric CLICKHOUSE_HOST=" + server,
			`warning +tables +default.meta_ip_cric of the IP reference extensions is missing`, false},
		{"the other one", "CLICKHOUSE_HOST=127.0.0.1:1," + server, `ok +ClickHouse +` + server + ` answers, version`,
			false},
		{"TLS where there is none", "CLICKHOUSE_SECURE=true CLICKHOUSE_HOST=" + server,
			`problem +ClickHouse +.*` + server + `.*HTTPS`, true},
		{"no quarantine", "QUARANTINE_PATH=", `warning +quarantine +none: rows that the server refuses are lost`,
			false},
		{"brokers of another pipeline", "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1",
			`ok +Kafka +brokers are known, and nothing is sent`, false},
		{"brokers that do not answer", "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 KAFKA_OUTPUT_TOPIC=flows",
			`problem +Kafka +Kafka at 127.0.0.1:1: .*refused`, true},
		{"a topic", "KAFKA_OUTPUT_TOPIC=flows KAFKA_BOOTSTRAP_SERVERS=" + brokers,
			`ok +Kafka +Kafka at .* topic flows has 2 partitions`, false},
		{"a topic that is not there", "KAFKA_OUTPUT_TOPIC=other KAFKA_BOOTSTRAP_SERVERS=" + brokers,
			`problem +Kafka +.*there is no topic other`, true},
		{"no metadata", "METADATA_DIR=/nonexistent", `warning +metadata +.*/nonexistent`, false},
		{"a record without a type", "METADATA_DIR=" + bad,
			`warning +metadata +left out: .*meta_device.yml:4: type: missing`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testkit.ConfigFor(t, append(good[:len(good):len(good)], strings.Fields(test.environ)...)...)
			var out bytes.Buffer
			err := Run(t.Context(), cfg, &out)
			if !regexp.MustCompile(`(?m)^` + test.want).MatchString(out.String()) {
				t.Errorf("no line %q in:\n%s", test.want, &out)
			}
			if errors.Is(err, ErrProblems) != test.fails {
				t.Errorf("got %v:\n%s", err, &out)
			}
		})
	}
}
