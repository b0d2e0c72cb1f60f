package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/config"
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
	device := "table: meta_device\ndata:\n  - {id: r1, type: router, loopback_ip: [192.0.2.1]}\n  - {id: r2, " +
		"loopback_ip: [192.0.2.2]}\n"
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
		{"an address that is not here", "LISTEN=192.0.2.1:2055",
			`problem +listen +.*LISTEN: UDP 192.0.2.1:2055: .*cannot assign`,
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
		{"a home directory", "SPOOL_PATH=~/spool", `problem +spool +.*SPOOL_PATH: ~/spool: ~ is part of the name`,
			true},
		{"metadata that is a file", "METADATA_DIR=" + file, `warning +metadata +.*/file is not a directory`, false},
		{"a record without a type", "METADATA_DIR=" + bad,
			`warning +metadata +left out: .*meta_device.yml:4: r2: type: missing`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testkit.ConfigFor(t, append(good[:len(good):len(good)], strings.Fields(test.environ)...)...)
			var out bytes.Buffer
			err := Run(t.Context(), cfg, nil, Options{User: Self()}, &out)
			if !regexp.MustCompile(`(?m)^` + test.want).MatchString(out.String()) {
				t.Errorf("no line %q in:\n%s", test.want, &out)
			}
			if errors.Is(err, ErrProblems) != test.fails {
				t.Errorf("got %v:\n%s", err, &out)
			}
		})
	}
}

// One pass names all that is wrong: in the configuration, in SQL, in directories and in metadata.
func TestCheckInOnePass(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("meta_device.yml", `table: meta_device
data:
  - {id: r1, type: router, loopback_ip: [192.0.2.1]}
  - {id: r1, type: router}
  - {id: r2, type: router, loopback_ip: [192.0.2.1]}
  - {id: r3, type: router, loopback_ips: [192.0.2.3]}
`)
	write("meta_interface.yml", `table: meta_interface
data:
  - {id: r1::a, type: port, device_id: r1, name: a, flow_index: 5, circuit_id: [c9]}
  - {id: r1::b, type: port, device_id: r1, name: b, flow_index: 5}
  - {id: r9::c, type: port, device_id: r9, name: c, flow_index: 6}
`)
	write("meta_ip.yml", "table: meta_ip\ndata:\n  - {id: x}\n")
	write("meta_circuit.yml", "data: []\n")
	write("meta_application.yml", "table: meta_applications\ndata: []\n")
	write("meta_organization.yml",
		"table: meta_organization\ndata:\n  - {id: o, name: O, latitude: 91, longitude: -181}\n")
	file := write("collector.yml", `listen: {workers: many, addresses: ["127.0.0.1:99999", nonsense]}
flow: {partition_by: toYYYYMD(start_time), ttl_column: begin}
policy: {level: tlp:purple}
spool: {path: /proc/foo}
metadata: {dir: `+dir+`, cache_dir: `+dir+`}
clickhouse: {host: `+strings.TrimPrefix(storetest.Start(t), "http://")+`}
http: {listen: "off"}
colector_id: x
`)
	cfg, problems := config.Load(config.Source{File: file})
	var out bytes.Buffer
	err := Run(t.Context(), cfg, problems, Options{User: Self()}, &out)
	if !errors.Is(err, ErrProblems) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		`problem +configuration +.*collector.yml:1: listen.workers: "many"`,
		`problem +configuration +.*collector.yml:1: listen.addresses: .*"127.0.0.1:99999" has no port`,
		`problem +configuration +.*collector.yml:1: listen.addresses: .*"nonsense" is not host:port`,
		`problem +configuration +.*collector.yml:2: flow.ttl_column: .*"begin" is not a column`,
		`problem +configuration +.*collector.yml:8: colector_id: there is no such key \(did you mean collector_id\?\)`,
		`warning +configuration +.*collector.yml:3: policy.level: tlp:purple: is no level`,
		`problem +spool +.*collector.yml:4: spool.path: /proc/foo: no permission`,
		`problem +metadata +.*meta_circuit.yml: the key table is missing`,
		`warning +metadata +left out: .*meta_device.yml:4: r1: another record with this id comes before it`,
		`warning +metadata +.*meta_device.yml:5: r2: loopback_ip .*192.0.2.1 is that of r1 too`,
		`warning +metadata +.*meta_device.yml:6: r3: the key loopback_ips is unknown and ignored: did you mean ` +
			`loopback_ip\?`,
		`warning +metadata +.*meta_interface.yml:4: r1::b: flow_index 5 is that of r1::a too`,
		`warning +metadata +.*meta_interface.yml:3: r1::a: circuit_id c9 is unknown`,
		`warning +metadata +.*meta_interface.yml:5: r9::c: device_id r9 is unknown`,
		`warning +metadata +.*meta_organization.yml:3: o: latitude 91 is not from -90 to 90`,
		`warning +metadata +.*meta_organization.yml:3: o: longitude -181 is not from -180 to 180`,
		`problem +metadata +.*meta_application.yml: there is no metadata table "meta_applications": did you mean ` +
			`meta_application\?`,
		`problem +metadata +.*meta_ip.yml: not one correct record`,
		`\d+ problems, \d+ warnings`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(out.String()) {
			t.Errorf("no line %q in:\n%s", want, &out)
		}
	}
}

// What cannot be tried because of a problem with its settings is reported once, with those settings.
func TestCheckSaysOnce(t *testing.T) {
	dir := t.TempDir()
	base := []string{"LISTEN=" + testkit.FreePort(t), "HTTP_LISTEN=off", "METADATA_DIR=" + dir, "CACHE_DIR=" + dir,
		"SPOOL_PATH=" + filepath.Join(dir, "spool"), "QUARANTINE_PATH=" + filepath.Join(dir, "quarantine"),
		"STORE_PATH=" + filepath.Join(dir, "data"), "STORE_ENGINE=" + storetest.Engine(),
		"STORE_LISTEN=" + testkit.FreePort(t)}
	for _, test := range []struct{ environ, want string }{
		{"LISTEN=:99999", "LISTEN"},
		{"LISTEN_TCP=:99999", "LISTEN_TCP"},
		{"LISTEN_TLS=127.0.0.1:0", "listen.tls.addresses"},
		{"LISTEN_TLS=127.0.0.1:0 LISTEN_TLS_CERT_FILE=/x.pem LISTEN_TLS_KEY_FILE=" + dir, "listen.tls.cert_file"},
		{"HTTP_LISTEN=127.0.0.1:99999", "HTTP_LISTEN"},
		{"STORE_LISTEN=127.0.0.1:99999", "STORE_LISTEN"},
		{"FORWARD_TO=127.0.0.1:99999", "FORWARD_TO"},
		{"BGP_LISTEN=:99999", "BGP_LISTEN"},
		{"CLICKHOUSE_HOST=127.0.0.1 CLICKHOUSE_PORT=99999", "CLICKHOUSE_PORT"},
		{"CLICKHOUSE_HOST=127.0.0.1:99999", "CLICKHOUSE_HOST"},
		{"CLICKHOUSE_HOST=127.0.0.1:1 CLICKHOUSE_SECURE=true CLICKHOUSE_CA_FILE=/x.pem", "clickhouse.ca_file"},
		{"KAFKA_OUTPUT_TOPIC=t", "kafka.brokers"},
		{"KAFKA_OUTPUT_TOPIC=t KAFKA_BOOTSTRAP_SERVERS=k:0", "KAFKA_BOOTSTRAP_SERVERS"},
		{"KAFKA_OUTPUT_TOPIC=t KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 KAFKA_SECURITY_PROTOCOL=SSL " +
			"KAFKA_SSL_CA_LOCATION=/x.pem", "kafka.ca_file"},
	} {
		t.Run(test.environ, func(t *testing.T) {
			cfg, problems := config.Load(config.Source{Environ: append(base[:len(base):len(base)],
				strings.Fields(test.environ)...)})
			var out bytes.Buffer
			if err := Run(t.Context(), cfg, problems, Options{User: Self(), JSON: true}, &out); !errors.Is(err,
				ErrProblems) {
				t.Errorf("got %v", err)
			}
			var report struct{ Findings []Finding }
			if err := json.Unmarshal(out.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			said := slices.DeleteFunc(report.Findings, func(f Finding) bool { return f.Level != checkProblem })
			if len(said) != 1 || said[0].Key != test.want {
				t.Errorf("want one problem, with %s: %v", test.want, said)
			}
		})
	}
}

// SQL of the settings is judged where there is something that can, and what run would do to the tables is listed.
func TestCheckSQL(t *testing.T) {
	dir := t.TempDir()
	base := []string{"LISTEN=" + testkit.FreePort(t), "STORE_PATH=" + filepath.Join(dir, "data"), "METADATA_DIR=" + dir,
		"STORE_LISTEN=" + testkit.FreePort(t), "STORE_ENGINE=" + storetest.Engine(), "CACHE_DIR=" + dir,
		"SPOOL_PATH=" + filepath.Join(dir, "spool"), "QUARANTINE_PATH=" + filepath.Join(dir, "quarantine")}
	server := strings.TrimPrefix(storetest.Start(t), "http://")
	for _, test := range []struct{ name, environ, want string }{
		{"the local store", "CLICKHOUSE_FLOW_PARTITION_BY=toYYYYMD(start_time)",
			`problem +SQL +environment: flow.partition_by: .*toYYYYMD`},
		{"a server", "CLICKHOUSE_FLOW_PARTITION_BY=toYYYYMD(start_time) CLICKHOUSE_HOST=" + server,
			`problem +SQL +environment: flow.partition_by: .*toYYYYMD`},
		{"good SQL", "CLICKHOUSE_FLOW_PARTITION_BY=toYYYYMM(start_time)",
			`ok +SQL +partitions and TTLs are understood`},
		{"tables to make", "CLICKHOUSE_HOST=" + server, `note +tables +run will do: table data_flow: created`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := testkit.ConfigFor(t, append(base[:len(base):len(base)], strings.Fields(test.environ)...)...)
			var out bytes.Buffer
			err := Run(t.Context(), cfg, nil, Options{User: Self()}, &out)
			if !regexp.MustCompile(`(?m)^` + test.want).MatchString(out.String()) {
				t.Errorf("no line %q in:\n%s", test.want, &out)
			}
			if bad := strings.HasPrefix(test.want, "problem"); errors.Is(err, ErrProblems) != bad {
				t.Errorf("got %v:\n%s", err, &out)
			}
			if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
				t.Error("the check made the store")
			}
		})
	}
}

func TestCheckStrictAndJSON(t *testing.T) {
	dir := t.TempDir()
	cfg := testkit.ConfigFor(t, "LISTEN="+testkit.FreePort(t), "STORE_PATH="+filepath.Join(dir, "data"),
		"STORE_LISTEN="+testkit.FreePort(t), "STORE_ENGINE="+storetest.Engine(), "CACHE_DIR="+dir, "METADATA_DIR="+dir,
		"SPOOL_PATH="+filepath.Join(dir, "spool"), "QUARANTINE_PATH=")
	var out bytes.Buffer
	if err := Run(t.Context(), cfg, nil, Options{JSON: true, User: Self()}, &out); err != nil {
		t.Errorf("warnings alone give %v", err)
	}
	var report struct {
		Problems, Warnings int
		Findings           []Finding
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Problems != 0 || report.Warnings == 0 {
		t.Errorf("%v: %s", err, &out)
	}
	if !slices.ContainsFunc(report.Findings, func(f Finding) bool {
		return f.Level == checkWarning && f.Subject == "quarantine"
	}) {
		t.Errorf("findings %v", report.Findings)
	}
	if err := Run(t.Context(), cfg, nil, Options{Strict: true, User: Self()}, &out); !errors.Is(err, ErrProblems) {
		t.Errorf("strict: %v", err)
	}
}

// What root may read the service may not.
func TestUserMay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "collector.yml")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	other := User{UID: 54321, GID: 54321, Name: "other"}
	if other.may(file, unix.R_OK) || !Self().may(file, unix.R_OK) {
		t.Error("the file is for its owner alone")
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if !other.may(file, unix.R_OK) || other.may(dir, unix.W_OK) {
		t.Error("everybody may read the file, and nobody else write there")
	}
}
