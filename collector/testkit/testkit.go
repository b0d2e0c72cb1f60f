// Package testkit has what tests of several packages of the collector need: configurations with a store of the
// test's own, captures, free ports and waiting.
//
// A package whose tests start a store must have
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
package testkit

import (
	"bytes"
	"context"
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

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

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

// OwnCapture is one of the captures that bench/testdata/make.sh made.
func OwnCapture(t testing.TB, name string) string {
	return filepath.Join(golden.Repository(t), "bench", "testdata", name+".pcap")
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
