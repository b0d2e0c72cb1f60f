// Package storetest gives tests a real ClickHouse engine behind HTTP: a store of their own, on a fresh directory and a
// free port.
//
// The engine needs a process of its own, so a package that uses Start must have
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/sink/freeport"
	"github.com/metranova/flow-collector/sink/store"
)

// childEnv marks the test binary that is to be a store.
const childEnv = "STORETEST_CHILD"

// Main runs the tests; in a process that Start began, it is the store instead. It does not return.
func Main(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	os.Exit(child(os.Args[1:]))
}

func child(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o, err := store.OptionsFromArguments(args, os.Getenv)
	if err == nil {
		err = store.RunChild(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Engine is the path of the engine's library: CHDB_LIB_PATH, STORE_ENGINE, or .engine/libchdb.so beside the nearest
// go.mod above the working directory; "" when there is none.
func Engine() string {
	for _, name := range []string{"CHDB_LIB_PATH", "STORE_ENGINE"} {
		if path := os.Getenv(name); path != "" {
			return path
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, ".engine", "libchdb.so")
			if _, err := os.Stat(path); err != nil {
				return ""
			}
			return path
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// Start gives a running store and returns its URL, such as "http://127.0.0.1:40123". It stops with the test. Without an
// engine the test is skipped.
func Start(t testing.TB) string {
	t.Helper()
	return StartWith(t, store.Options{})
}

// StartWith is Start with options; Engine, and where empty Path and Listen, are set here.
func StartWith(t testing.TB, o store.Options) string {
	t.Helper()
	s := Supervise(t, o)
	return s.URL()
}

// Supervise is StartWith for tests that watch the store's supervisor.
func Supervise(t testing.TB, o store.Options) *store.Supervisor {
	t.Helper()
	if o.Engine = Engine(); o.Engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	if o.Path == "" {
		o.Path = t.TempDir()
	}
	if o.Listen == "" {
		o.Listen = FreePort(t)
	}
	s, err := store.Start(context.Background(), store.SupervisorOptions{Options: o, Command: Command})
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// FreePort returns 127.0.0.1 and a port that is free for UDP and TCP, and no other process's.
func FreePort(t testing.TB) string {
	t.Helper()
	address, err := freeport.Next()
	if err != nil {
		t.Fatal(err)
	}
	return address.String()
}

// Command runs this test binary as a store with the given arguments.
func Command(args []string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), childEnv+"=1")
	return c
}
