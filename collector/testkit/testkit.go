// Package testkit has what tests of several packages of the collector need: configurations with a store of the test's
// own, captures, free ports and waiting.
//
// A package whose tests start a store must have
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
package testkit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// KafkaCluster starts franz-go's fake of Kafka with the topic flows. For a real broker see broker_test.go.
func KafkaCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "flows")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Main runs the tests of a package that starts collectors. In a process that such a collector starts as its local
// store, it is that store instead. It does not return.
func Main(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "store" {
		o, err := store.OptionsFromArguments(os.Args[2:], os.Getenv)
		if err == nil {
			err = setup.ServeStore(context.Background(), o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m)
}

// OwnCapture returns the path of a capture that bench/testdata/make.sh made.
func OwnCapture(t testing.TB, name string) string {
	return filepath.Join(golden.Repository(t), "bench", "testdata", name+".pcap")
}

// Config returns a configuration from environment variables, with a store of the test's own as the server.
func Config(t testing.TB, environ ...string) *config.Config {
	t.Helper()
	address, err := url.Parse(storetest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	return ConfigFor(t, append([]string{
		"CLICKHOUSE_HOST=" + address.Hostname(), "CLICKHOUSE_PORT=" + address.Port(),
		"CACHE_DIR=" + t.TempDir(), "METADATA_DIR=" + t.TempDir(), "SPOOL_PATH=" + t.TempDir(),
	}, environ...)...)
}

func ConfigFor(t testing.TB, environ ...string) *config.Config {
	t.Helper()
	// Tests run in parallel.
	cfg, problems := config.Load(config.Source{Environ: append([]string{"HTTP_LISTEN=off"}, environ...)})
	for _, p := range problems {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return cfg
}

// FreePort returns 127.0.0.1 and a port that is free for UDP and TCP.
func FreePort(t testing.TB) string {
	t.Helper()
	return storetest.FreePort(t)
}

// Patience is the deadline of tests for what takes no time on an idle machine.
const Patience = 2 * time.Minute

func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// Send sends datagrams from one socket.
func Send(t *testing.T, to string, payloads ...[]byte) {
	t.Helper()
	socket, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, p := range payloads {
		if _, err := socket.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

// Payloads returns the datagrams of some of our captures.
func Payloads(t *testing.T, names ...string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, name := range names {
		if _, err := capture.ReadAll([]string{OwnCapture(t, name)}, func(dg exporter.Datagram) {
			all = append(all, bytes.Clone(dg.Payload))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Connect connects to the store of a configuration until the end of the test.
func Connect(t testing.TB, cfg *config.Config) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(t.Context(), setup.ClickHouse(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// MakeTables makes the tables of a configuration.
func MakeTables(t testing.TB, cfg *config.Config, conn driver.Conn) {
	t.Helper()
	if err := setup.MakeTables(t.Context(), conn, setup.Tables(cfg, setup.ClickHouse(cfg)), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
}

// Ask runs a query and returns the result as tab-separated lines.
func Ask(t testing.TB, cfg *config.Config, sql string) string {
	t.Helper()
	var out bytes.Buffer
	if err := setup.Query(t.Context(), cfg, sql, "TSV", &out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}
