package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
)

// toBroker has messages sent to a topic of the broker.
func toBroker(t *testing.T, address, topic string, more ...string) []string {
	return append([]string{
		"KAFKA_OUTPUT_TOPIC=" + topic, "KAFKA_BOOTSTRAP_SERVERS=" + address, "KAFKA_SPOOL_PATH=" + t.TempDir(),
		"CLICKHOUSE_FLOW_TTL=",
	}, more...)
}

// total is count, bits and packets of JSON messages as kcat printed them.
func total(t *testing.T, lines []string) string {
	t.Helper()
	var bits, packets uint64
	for _, line := range lines {
		_, message, _ := strings.Cut(line, "|")
		var row struct {
			Bits    uint64 `json:"bit_count"`
			Packets uint64 `json:"packet_count"`
		}
		if err := json.Unmarshal([]byte(message), &row); err != nil {
			t.Fatalf("%v: %s", err, message)
		}
		bits, packets = bits+row.Bits, packets+row.Packets
	}
	return fmt.Sprintf("%d\t%d\t%d", len(lines), bits, packets)
}

const tableTotal = "SELECT count(), sum(bit_count), sum(packet_count) FROM data_flow"

func TestBroker_readByKcat(t *testing.T) {
	broker := kafkatest.Start(t)
	ca := broker.Authority.File()
	cert, key := broker.Authority.Pair("collector", time.Now().Add(time.Hour), "key secret")
	login := func(mechanism string) ([]string, []string) {
		return []string{"KAFKA_SSL_CA_LOCATION=" + ca, "KAFKA_SASL_MECHANISM=" + mechanism,
				"KAFKA_SASL_USERNAME=" + kafkatest.User,
				"KAFKA_SASL_PASSWORD=" + kafkatest.Password},
			[]string{"security.protocol=SASL_SSL", "ssl.ca.location=" + ca, "sasl.mechanisms=" + mechanism,
				"sasl.username=" + kafkatest.User, "sasl.password=" + kafkatest.Password}
	}
	scram, scramReader := login("SCRAM-SHA-512")
	plain, plainReader := login("PLAIN")
	for _, test := range []struct {
		name, address string
		env, reader   []string
	}{
		{"plaintext", broker.Plaintext, nil, nil},
		{"gzip", broker.Plaintext, []string{"KAFKA_COMPRESSION=gzip"}, nil},
		{"zstd", broker.Plaintext, []string{"KAFKA_COMPRESSION=zstd", "KAFKA_OUTPUT_KEY=flow"}, nil},
		{"mutual-tls", broker.SSL,
			[]string{"KAFKA_SSL_CA_LOCATION=" + ca, "KAFKA_SSL_CERTIFICATE_LOCATION=" + cert,
				"KAFKA_SSL_KEY_LOCATION=" + key, "KAFKA_SSL_KEY_PASSWORD=key secret"},
			[]string{"security.protocol=SSL", "ssl.ca.location=" + ca, "ssl.certificate.location=" + cert,
				"ssl.key.location=" + key, "ssl.key.password=key secret"}},
		{"scram-sha-512", broker.SASL, scram, scramReader},
		{"sasl-plain", broker.SASL, plain, plainReader},
	} {
		t.Run(test.name, func(t *testing.T) {
			broker.CreateTopic(test.name)
			r := startServe(t, toBroker(t, test.address, test.name, test.env...)...)
			testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9", "softflowd-ipfix", "sfprobe")...)
			r.stop(t)
			got, want := total(t, broker.Consume(t, test.name, test.address, test.reader...)),
				testkit.Ask(t, r.cfg, tableTotal)
			if got != want || !strings.HasPrefix(want, "572\t") {
				t.Errorf("kcat reads %s, the table has %s", got, want)
			}
			if !strings.Contains(r.summary.String(), "nothing lost") {
				t.Errorf("said:\n%s", &r.summary)
			}
		})
	}
}

// The broker is killed, away, and started again while flows come: what the topic has in the end is what the table has.
func TestBroker_killedWhileCollecting(t *testing.T) {
	broker := kafkatest.Start(t)
	broker.CreateTopic("flows")
	r := startServe(t, toBroker(t, broker.Plaintext, "flows")...)
	all := testkit.Payloads(t, "softflowd-v9", "softflowd-ipfix", "sfprobe")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond): // some 28,000 flows a second
				testkit.Send(t, r.address, all...)
			}
		}
	}()
	time.Sleep(2 * time.Second)
	broker.Kill()
	time.Sleep(4 * time.Second)
	broker.Run()
	time.Sleep(2 * time.Second)
	close(stop)
	<-stopped
	testkit.WaitFor(t, "all messages", func() bool {
		return strconv.FormatInt(broker.Count("flows"), 10) == testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow")
	})
	r.stop(t)
	got, want := total(t, broker.Consume(t, "flows", broker.Plaintext)), testkit.Ask(t, r.cfg, tableTotal)
	t.Logf("the table has %s", want)
	if got != want || strings.Contains(r.summary.String(), "Kafka)") {
		t.Errorf("kcat reads %s, the table has %s; said:\n%s", got, want, &r.summary)
	}
}

// From the topic into the tables of another store, by ClickHouse's own engine and the statements of conf.example/kafka.
func TestBroker_readByClickHouse(t *testing.T) {
	broker := kafkatest.Start(t)
	for _, format := range []string{"json", "protobuf"} {
		t.Run(format, func(t *testing.T) {
			// where the store that reads looks for flow.proto
			t.Chdir(filepath.Join(golden.Repository(t), "sink", "message"))
			broker.CreateTopic(format)
			reader := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=")
			s := testService(t, reader)
			text, err := os.ReadFile(filepath.Join(golden.Repository(t), "conf.example", "kafka", format+".sql"))
			if err != nil {
				t.Fatal(err)
			}
			for statement := range strings.SplitSeq(string(text), ";\n") {
				statement = strings.NewReplacer("'localhost:9092'", "'"+broker.Plaintext+"'", "'flows'", "'"+format+"'",
					"'clickhouse-data-flow'", "'"+format+"'").Replace(statement)
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if err := s.database.conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			defer testkit.Ask(t, reader, "DROP TABLE data_flow_kafka") // ends reading before the broker is gone

			r := startServe(t, toBroker(t, broker.Plaintext, format, "KAFKA_OUTPUT_FORMAT="+format)...)
			testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9", "softflowd-ipfix", "sfprobe")...)
			r.stop(t)
			want := testkit.Ask(t, r.cfg, tableTotal)
			testkit.WaitFor(t, "ClickHouse to read the topic",
				func() bool { return testkit.Ask(t, reader, tableTotal) == want })
			const rows = `SELECT * EXCEPT (insert_time) FROM data_flow
				ORDER BY flow_type, start_time, end_time, src_ip, dst_ip, src_port, dst_port, bit_count, ` +
				`toString(ext) FORMAT JSONEachRow`
			if diff := cmp.Diff(strings.Split(testkit.Ask(t, r.cfg, rows), "\n"),
				strings.Split(testkit.Ask(t, reader, rows), "\n")); diff != "" {
				t.Errorf("-inserted +read from the topic:\n%s", diff)
			}
			const view = "SELECT ip_version, sum(flow_count), sum(bit_count) FROM data_flow_by_ip_version_5m GROUP " +
				"BY 1 ORDER BY 1"
			if got, want := testkit.Ask(t, reader, view), testkit.Ask(t, r.cfg, view); got != want {
				t.Errorf("the view has %q, want %q", got, want)
			}
			if errors := testkit.Ask(t, reader, "SELECT count() FROM data_flow_kafka_error"); errors != "0" {
				t.Errorf("%s messages could not be read", errors)
			}
		})
	}
}

// Each is one clear line, and rows go on to ClickHouse.
func TestBroker_badInput(t *testing.T) {
	broker := kafkatest.Start(t)
	broker.CreateTopic("flows")
	broker.CreateTopic("small", "max.message.bytes=200")
	ca := broker.Authority.File()
	oldCert, oldKey := broker.Authority.Pair("collector", time.Now().Add(-time.Hour), "")
	login := func(password string) []string {
		return []string{"KAFKA_SSL_CA_LOCATION=" + ca, "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
			"KAFKA_SASL_USERNAME=collector", "KAFKA_SASL_PASSWORD=" + password}
	}
	for _, test := range []struct {
		name, address, topic string
		env                  []string
		want                 string // of the line
	}{
		{"wrong password", broker.SASL, "flows", login("wrong"), "SASL_AUTHENTICATION_FAILED"},
		{"expired certificate", broker.SSL, "flows",
			[]string{"KAFKA_SSL_CA_LOCATION=" + ca, "KAFKA_SSL_CERTIFICATE_LOCATION=" + oldCert,
				"KAFKA_SSL_KEY_LOCATION=" + oldKey}, "has expired"},
		{"no TLS where there has to be some", broker.SSL, "flows", nil, "speaking to a tls endpoint"},
		{"unknown topic", broker.Plaintext, "nowhere", nil, "UNKNOWN_TOPIC_OR_PARTITION"},
		{"message too large", broker.Plaintext, "small", []string{"KAFKA_COMPRESSION=none"}, "MESSAGE_TOO_LARGE"},
		{"unreachable host", "127.0.0.1:1", "flows", nil, "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := append(test.env, "LISTEN="+testkit.FreePort(t))
			cfg := testkit.Config(t, toBroker(t, test.address, test.topic, env...)...)
			cfg.Batch.Grace = 2 * time.Second
			r := startConfigured(t, cfg, testkit.Patience)
			testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
			testkit.WaitFor(t, "the rows in ClickHouse",
				func() bool { return testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "230" })
			problem := func() []string { return kafkaLines(r) }
			testkit.WaitFor(t, "a line about Kafka",
				func() bool { return strings.Contains(strings.Join(problem(), "\n"), test.want) })
			time.Sleep(time.Second) // for more to be said, if more is
			testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
			r.stop(t)
			if rows := testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow"); rows != "460" {
				t.Errorf("%s rows in ClickHouse", rows)
			}
			named := 0
			for _, line := range problem() {
				if strings.Contains(line, test.want) {
					named++
				}
				if strings.Contains(line, "\n") {
					t.Errorf("more than one line: %q", line)
				}
			}
			// of "small" one that batches are halved and one that messages are lost
			if named == 0 || test.topic != "small" && named != 1 {
				t.Errorf("said %q", problem())
			}
			t.Logf("%s", problem()[0])
		})
	}
}

// kafkaLines are the warnings and errors about Kafka.
func kafkaLines(r *running) (lines []string) {
	for _, e := range r.log.All() {
		if e.LoggerName != "kafka" || e.Level < zap.WarnLevel {
			continue
		}
		text, err := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m",
			SkipLineEnding: true}).EncodeEntry(e.Entry, e.Context)
		if err == nil {
			lines = append(lines, text.String())
		}
	}
	return lines
}
