package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// runEnv has the test binary be the collector, with these arguments.
const runEnv = "COLLECTOR_TEST_RUN"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(runEnv); arguments != "" {
		os.Args = append(os.Args[:1], strings.Fields(arguments)...)
		main()
		os.Exit(0)
	}
	runTests(m)
}

// runTests runs the tests of a package that starts collectors. In the process of a local store that such a collector starts, it
// is that store instead. It does not return.
func runTests(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "store" {
		o, err := store.OptionsFromArguments(os.Args[2:], os.Getenv)
		if err == nil {
			err = serveStore(context.Background(), o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	storetest.Main(m)
}

// repository is the directory of go.mod.
func repository(t testing.TB) string {
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

// ownCapture is one of the captures that bench/testdata/make.sh made.
func ownCapture(t testing.TB, name string) string {
	return filepath.Join(repository(t), "bench", "testdata", name+".pcap")
}

// reference is a folder beside the checkout that only its developers have; without it the test is skipped.
func reference(t testing.TB, path ...string) string {
	t.Helper()
	dir := filepath.Join(append([]string{repository(t), "..", "shared"}, path...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the reference is not beside this checkout (../shared/%s)", filepath.Join(path...))
	}
	return dir
}

// testConfig is a configuration from environment variables, with a store of the test's own as the server.
func testConfig(t testing.TB, environ ...string) *config.Config {
	t.Helper()
	address, err := url.Parse(storetest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	return configFor(t, append([]string{
		"CLICKHOUSE_HOST=" + address.Hostname(), "CLICKHOUSE_PORT=" + address.Port(),
		"CACHE_DIR=" + t.TempDir(), "METADATA_DIR=" + t.TempDir(), "SPOOL_PATH=" + t.TempDir(),
	}, environ...)...)
}

func configFor(t testing.TB, environ ...string) *config.Config {
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

// testService is a service whose tables are made and whose metadata is loaded.
func testService(t testing.TB, cfg *config.Config) *service {
	t.Helper()
	s, err := newService(cfg, "test", zap.NewNop(), nil, newBooks())
	if err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	<-s.refresh.Loaded()
	t.Cleanup(func() {
		if err := s.finish(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// freePort is a UDP port of 127.0.0.1 that nobody has.
func freePort(t testing.TB) string {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.LocalAddr().String()
}

// freeTCPPort is a TCP port of 127.0.0.1 that nobody has.
func freeTCPPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
