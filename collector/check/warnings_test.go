package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/testkit"
)

func TestWarnings(t *testing.T) {
	kafka := []string{"KAFKA_OUTPUT_TOPIC=flows", "KAFKA_BOOTSTRAP_SERVERS=kafka.example:9092", "KAFKA_SASL_USERNAME=u",
		"KAFKA_SASL_PASSWORD=p", "KAFKA_SASL_MECHANISM=PLAIN"}
	for _, test := range []struct {
		name    string
		environ []string
		want    string // key: part of the text; "": no warning
	}{
		{"defaults on loopback", nil, ""},
		{"an open store", []string{"STORE_LISTEN=0.0.0.0:8123"}, "store.listen: STORE_PASSWORD"},
		{"a store with a password", []string{"STORE_LISTEN=0.0.0.0:8123", "STORE_PASSWORD=x"}, ""},
		{"a public address", []string{"LISTEN=8.8.8.8:2055"}, "listen.allowed_exporters: may send"},
		{"a public address of IPv6", []string{"LISTEN=[2001:4860::1]:2055"}, "listen.allowed_exporters: may send"},
		{"a public address and a list", []string{"LISTEN=8.8.8.8:2055", "LISTEN_ALLOWED_EXPORTERS=192.0.2.0/24"}, ""},
		{"the profiler for everyone", []string{"HTTP_LISTEN=:8080", "PPROF"},
			"http.pprof: whoever reaches :8080 can profile"},
		{"the profiler for this host", []string{"HTTP_LISTEN=127.0.0.1:8080", "PPROF"}, ""},
		{"a private address", []string{"LISTEN=10.0.0.1:2055"}, ""},
		{"a password in the clear", []string{"CLICKHOUSE_HOST=ch.example", "CLICKHOUSE_PASSWORD=x"},
			"clickhouse.secure: in the clear"},
		{"the second server's", []string{"CLICKHOUSE_HOST=localhost, ch.example:8123", "CLICKHOUSE_PASSWORD=x"},
			"clickhouse.secure: ch.example"},
		{"a password to this host", []string{"CLICKHOUSE_HOST=127.0.0.1", "CLICKHOUSE_PASSWORD=x"}, ""},
		{"a password over TLS", []string{"CLICKHOUSE_HOST=ch.example", "CLICKHOUSE_PASSWORD=x",
			"CLICKHOUSE_SECURE=true"}, ""},
		{"SASL without TLS", append([]string{"KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT"}, kafka...),
			"kafka.security_protocol: without TLS"},
		{"SASL over TLS", append([]string{"KAFKA_SECURITY_PROTOCOL=SASL_SSL"}, kafka...), ""},
		{"a feed in the clear", []string{"SCIREG_HTTP_CONSUMER_URLS=http://feed.example/x.json"},
			"metadata.scireg.sources: https"},
		{"a feed with a password", []string{"SCIREG_HTTP_CONSUMER_URLS=http://u:p@feed.example/x.json"},
			"metadata.scireg.sources: password"},
		{"a feed that is not verified", []string{"SCIREG_HTTP_CONSUMER_URLS=https://feed.example/x.json",
			"HTTP_SSL_VERIFY=false"}, "metadata.scireg.verify: ca_file"},
		{"a feed over TLS", []string{"SCIREG_HTTP_CONSUMER_URLS=https://feed.example/x.json"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			environ := slices.DeleteFunc(slices.Clone(test.environ), func(line string) bool { return line == "PPROF" })
			cfg := testkit.ConfigFor(t, append([]string{"LISTEN=127.0.0.1:2055"}, environ...)...)
			cfg.HTTP.PProf = len(environ) < len(test.environ) // it has no environment variable
			var got []string
			for _, w := range warnings(cfg) {
				if strings.Contains(w.text, ":p@") {
					t.Errorf("the warning has the password: %s", w.text)
				}
				got = append(got, w.key+": "+w.text)
			}
			key, part, _ := strings.Cut(test.want, ": ")
			if test.want == "" && len(got) > 0 || test.want != "" &&
				(len(got) != 1 || !strings.HasPrefix(got[0], key+": ") || !strings.Contains(got[0], part)) {
				t.Errorf("warned of %q, want %q", got, test.want)
			}
		})
	}
}

// A spool that is small for its queue drops blocks with rows of all sources.
func TestWarnings_smallSpool(t *testing.T) {
	for name, test := range map[string]struct {
		path         string
		spool, queue int
		topic        string
		want         []string
	}{
		"eight queues":    {"spool", 512 << 20, 64 << 20, "", nil},
		"less":            {"spool", 511 << 20, 64 << 20, "", []string{"spool.max_bytes"}},
		"a larger queue":  {"spool", 512 << 20, 65 << 20, "", []string{"spool.max_bytes"}},
		"no spool":        {"", 1 << 20, 64 << 20, "", nil},
		"two sinks, less": {"spool", 1 << 20, 64 << 20, "flows", []string{"spool.max_bytes", "kafka.spool_max_bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testkit.ConfigFor(t, "LISTEN=127.0.0.1:2055")
			cfg.Spool.Path, cfg.Spool.MaxBytes, cfg.Batch.QueueBytes = test.path, test.spool, test.queue
			cfg.Kafka.Topic, cfg.Kafka.SpoolPath = test.topic, test.path
			cfg.Kafka.SpoolMaxBytes, cfg.Kafka.QueueBytes = test.spool, test.queue
			var got []string
			for _, w := range warnings(cfg) {
				got = append(got, w.key)
				if !strings.Contains(w.text, "8 times") {
					t.Errorf("warned of %s: %s", w.key, w.text)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("warned of %q, want %q", got, test.want)
			}
		})
	}
}

func TestWarnings_secretsInReadableFiles(t *testing.T) {
	for _, test := range []struct {
		text string
		mode os.FileMode
		want bool
	}{
		{"clickhouse: {host: localhost}\nstore:\n  password: hunter2\n", 0o644, true},
		{"store:\n  password: hunter2\n", 0o640, false},
		{"store:\n  password: ${STORE_PASSWORD}\n", 0o644, false},
		{"store:\n  password: \"\" # none\n", 0o644, false},
		{"store:\n  # password: x\n  path: data\n", 0o644, false},
	} {
		file := filepath.Join(t.TempDir(), "collector.yml")
		if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
			t.Fatal(err)
		}
		cfg,
			problems := config.Load(config.Source{File: file,
			Environ: []string{"LISTEN=127.0.0.1:2055", "STORE_PASSWORD=x"}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got := false
		for _, w := range warnings(cfg) {
			got = got || strings.Contains(w.text, "chmod o-r "+file)
		}
		if got != test.want {
			t.Errorf("%q with mode %o: warned %v, want %v", test.text, test.mode, got, test.want)
		}
	}
}

func TestCheckDirectories(t *testing.T) {
	for name, test := range map[string]struct {
		mode os.FileMode
		want string
	}{
		"ours alone":             {0o700, ""},
		"read by others":         {0o755, ""},
		"written to by a group":  {0o775, "chmod go-w"},
		"written to by everyone": {0o777, "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, test.mode); err != nil {
				t.Fatal(err)
			}
			for _, setting := range []string{"SPOOL_PATH", "CACHE_DIR", "QUARANTINE_PATH", "STORE_PATH"} {
				err := Directories(testkit.ConfigFor(t, setting+"="+dir))
				if (err != nil) != (test.want != "") || err != nil &&
					(!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir)) {
					t.Errorf("%s: %v, want %q", setting, err, test.want)
				}
			}
		})
	}
	t.Run("of another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give a directory away")
		}
		dir := t.TempDir()
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := Directories(testkit.ConfigFor(t, "SPOOL_PATH="+dir)); err == nil ||
			!strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not there yet", func(t *testing.T) {
		if err := Directories(testkit.ConfigFor(t, "SPOOL_PATH="+filepath.Join(t.TempDir(), "spool"))); err != nil {
			t.Error(err)
		}
	})
}

func TestWarn(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	Warn(testkit.ConfigFor(t, "STORE_LISTEN=0.0.0.0:8123", "LISTEN=127.0.0.1:2055"), zap.New(core))
	if logs.FilterMessageSnippet("without a password").Len() != 1 {
		t.Errorf("the log has %v", logs.All())
	}
}
