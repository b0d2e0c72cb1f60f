package service

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/testkit"
)

// What a start opened is closed again where the start fails.
func TestServe_failedStartLeavesNothingOpen(t *testing.T) {
	for name, environ := range map[string][]string{
		"the page's port is in use":  {"HTTP_LISTEN=%IN_USE%"},
		"the spool cannot be opened": {"SPOOL_PATH=/dev/null/spool"},
		"Kafka's codec is none": {"KAFKA_OUTPUT_TOPIC=flows", "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1",
			"KAFKA_SPOOL_PATH=/dev/null/spool"},
		"the store has no engine":        {"STORE_ENGINE=/dev/null/none", "CLICKHOUSE_HOST="},
		"the forwarder's target is this": {"FORWARD_TO=%UDP%"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			udp, spool := testkit.FreePort(t), t.TempDir()
			environ := append([]string{"LISTEN=" + udp, "SPOOL_PATH=" + spool, "CLICKHOUSE_HOST=127.0.0.1:1",
				"CACHE_DIR=" + t.TempDir()}, environ...)
			for i, line := range environ {
				environ[i] = strings.NewReplacer("%IN_USE%", l.Addr().String(), "%UDP%", udp).Replace(line)
			}
			before := openFiles(t)
			err = Serve(testkit.ConfigFor(t, environ...), zap.NewNop(), nil, io.Discard, ServeOptions{})
			if err == nil {
				t.Fatal("it started")
			}
			testkit.WaitFor(t, fmt.Sprintf("no more than %d open files after %v", before, err),
				func() bool { return openFiles(t) <= before })
			socket, err := net.ListenPacket("udp4", udp)
			if err != nil {
				t.Fatalf("the port is not free again: %v", err)
			}
			socket.Close()
		})
	}
}

// A directory that others can write to is refused before anything in it is read. What is careless in the configuration
// is said at the start.
func TestServe_directoriesOfOthersAndWarnings(t *testing.T) {
	for _, setting := range []string{"SPOOL_PATH", "CACHE_DIR", "QUARANTINE_PATH"} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		cfg := testkit.ConfigFor(t, "LISTEN="+testkit.FreePort(t), "CLICKHOUSE_HOST=127.0.0.1:1", setting+"="+dir)
		for name, err := range map[string]error{
			"run": Serve(cfg, zap.NewNop(), nil, io.Discard, ServeOptions{}),
			"run --pcap": Replay(cfg, zap.NewNop(), nil, []string{testkit.OwnCapture(t, "softflowd-v9")},
				ReplayOptions{Once: true}, io.Discard),
		} {
			if err == nil || !strings.Contains(err.Error(), "chmod go-w "+dir) {
				t.Errorf("%s with %s=%s: %v", name, setting, dir, err)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%s: the directory has %v, %v", setting, entries, err)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	core, logs := observer.New(zap.DebugLevel)
	cfg := testkit.ConfigFor(t, "LISTEN="+testkit.FreePort(t), "CLICKHOUSE_HOST=clickhouse.invalid",
		"CLICKHOUSE_PASSWORD=hunter2", "HTTP_LISTEN="+l.Addr().String())
	if err := Serve(cfg, zap.New(core), nil, io.Discard, ServeOptions{}); err == nil {
		t.Error("it started with a port that is in use")
	}
	if logs.FilterField(zap.String("setting", "clickhouse.secure")).Len() != 1 ||
		strings.Contains(fmt.Sprint(logs.All()), "hunter2") {
		t.Errorf("the log has %v", logs.All())
	}
}

// openFiles is how many files and sockets this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(entries)
}
