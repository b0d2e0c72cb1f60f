// Package testkit has what tests of several packages of the collector need: configurations with a store of the
// test's own, captures, free ports, golden files and waiting.
//
// A package whose tests start a store must have
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
package testkit

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

var update = flag.Bool("update", false, "write what the golden files in testdata should hold")

// Golden compares with a file in testdata.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// KafkaCluster is franz-go's own fake of Kafka, with the topic flows. A real broker is in broker_test.go.
func KafkaCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "flows")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Main runs the tests of a package that starts collectors. In the process of a local store that such a collector
// starts, it is that store instead. It does not return.
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

// Repository is the directory of go.mod.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// OwnCapture is one of the captures that bench/testdata/make.sh made.
func OwnCapture(t testing.TB, name string) string {
	return filepath.Join(Repository(t), "bench", "testdata", name+".pcap")
}

// Reference is a folder beside the checkout that only its developers have; without it the test is skipped.
func Reference(t testing.TB, path ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{Repository(t), "..", "shared"}, path...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the reference is not beside this checkout (../shared/%s)", filepath.Join(path...))
	}
	return dir
}

// Config is a configuration from environment variables, with a store of the test's own as the server.
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
	// Tests run side by side.
	cfg, problems := config.Load(config.Source{Environ: append([]string{"HTTP_LISTEN=off"}, environ...)})
	for _, p := range problems {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return cfg
}

// ports are those that FreePort hands out: below those that the kernel gives to connections of other tests, and none
// twice in one process. Processes begin at random places.
var (
	begin = rand.Uint32()
	ports atomic.Uint32 // how many were tried
)

// FreePort is 127.0.0.1 and a port that nobody has, neither of UDP nor of TCP.
func FreePort(t testing.TB) string {
	t.Helper()
	const first, count, tries = 20000, 12000, 100
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", first+(begin+ports.Add(1))%count)
		socket, err := net.ListenPacket("udp4", address)
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp4", address)
		socket.Close()
		if err != nil {
			continue
		}
		listener.Close()
		return address
	}
	t.Fatalf("no free port in %d tries", tries)
	return ""
}

// Patience is how long tests wait for what comes at once on a quiet machine.
const Patience = 2 * time.Minute

func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
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

// Payloads are the datagrams of some of our captures.
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

// Ask runs a query and returns the result as tab-separated lines.
func Ask(t testing.TB, cfg *config.Config, sql string) string {
	t.Helper()
	var out bytes.Buffer
	if err := setup.Query(t.Context(), cfg, sql, "TSV", &out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}
