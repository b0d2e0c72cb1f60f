package main

import (
	"bytes"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestRun_filesAreNotForOthers starts a collector in an empty directory under umask 0, which takes no permission away.
// It writes its caches, spools and store there. Neither while it runs nor after its end may other users read or write
// any of it, and its group may only read.
func TestRun_filesAreNotForOthers(t *testing.T) {
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	dir := t.TempDir()
	udp, page, store := testkit.FreePort(t), testkit.FreePort(t), testkit.FreePort(t)
	var log bytes.Buffer
	cmd := exec.Command("sh", "-c", `umask 0; exec "$0"`, os.Args[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), runEnv+"=run", "STORE_ENGINE="+engine, "STORE_LISTEN="+store, "LISTEN="+udp,
		"HTTP_LISTEN="+page, "KAFKA_BOOTSTRAP_SERVERS="+testkit.FreePort(t), "KAFKA_OUTPUT_TOPIC=flows",
		"CLICKHOUSE_BATCH_TIMEOUT=1")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	p := process{t: t, cmd: cmd, udp: udp, http: page, ended: ended}
	testkit.WaitFor(t, "the collector to be ready", func() bool {
		status, _ := p.get("/readyz")
		return status == http.StatusOK
	})
	testkit.WaitFor(t, "rows in the store", func() bool {
		testkit.Send(t, udp, testkit.Payloads(t, "softflowd-v9")...)
		rows, err := exec.Command("curl", "-s", "http://"+store, "--data-binary", "SELECT count() > 0 FROM data_flow").
			Output()
		return err == nil && string(rows) == "1\n"
	})
	while := modes(t, dir)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	p.end()
	after := modes(t, dir)
	for when, all := range map[string]map[string]fs.FileMode{"while it runs": while, "after its end": after} {
		for path, mode := range all {
			if mode.Perm()&0o027 != 0 {
				t.Errorf("%s: %s has mode %s", when, path, mode)
			}
		}
	}
	for _, part := range []string{"data/store.password", "caches/", "spool/", "spool-kafka/", "caches/templates"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(after)), func(path string) bool {
			return strings.HasPrefix(path, part)
		}) {
			t.Errorf("nothing was written to %s", part)
		}
	}
	if t.Failed() {
		t.Logf("the log:\n%s", &log)
	}
}

// modes are the modes of everything in a directory.
func modes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return nil // the engine removes parts at any time
		}
		if info, err := entry.Info(); err == nil && info.Mode()&fs.ModeSymlink == 0 {
			all[strings.TrimPrefix(path, dir+"/")] = info.Mode()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
