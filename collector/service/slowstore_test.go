package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
)

// holdStore has the store's directory in use by another process: says is what that one writes into the lock's file.
func holdStore(t *testing.T, dir, says string) (release func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "store.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(says); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// TestServe_storeOpensSlowly collects while the store waits for an earlier one to end. A signal is heard meanwhile, and
// what was collected is in the spool for the next run.
func TestServe_storeOpensSlowly(t *testing.T) {
	cfg := localConfig(t)
	release := holdStore(t, cfg.Store.Path, "1 stopping\n")
	defer release() // again does no harm
	r := startConfigured(t, cfg, withoutServer)
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v5")...)
	r.stop(t)
	if r.log.FilterMessageSnippet("is open").Len() != 0 {
		t.Fatal("the store opened though another has its directory")
	}
	if !strings.Contains(r.summary.String(), ", 140 wait in the spool") {
		t.Errorf("the summary says nothing of rows on disk:\n%s", &r.summary)
	}
	release()

	again := startConfigured(t, cfg, testkit.Patience)
	testkit.WaitFor(t, "the rows of the first run", func() bool { return rowsIn(t, cfg) != "0" })
	again.stop(t)
	if n := rowsIn(t, cfg); n == "0" || n == "" {
		t.Errorf("%q rows, want those of the first run", n)
	}
}

// TestServe_storeCannotStart ends with the reason where it turns out only while datagrams are collected that the store
// cannot be started.
func TestServe_storeCannotStart(t *testing.T) {
	cfg := localConfig(t)
	defer holdStore(t, cfg.Store.Path, "1 stopping\n")()
	r := startConfigured(t, cfg, withoutServer)
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v5")...)
	// it does not stop after all
	if err := os.WriteFile(filepath.Join(cfg.Store.Path, "store.lock"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "is in use by another store (process 1)") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(testkit.Patience):
		t.Fatalf("the collector goes on: %v", r.log.All())
	}
	if !strings.Contains(r.summary.String(), ", 140 wait in the spool") {
		t.Errorf("the summary says nothing of rows on disk:\n%s", &r.summary)
	}
}

func rowsIn(t *testing.T, cfg *config.Config) string {
	t.Helper()
	var out strings.Builder
	if err := setup.Query(t.Context(), cfg, "SELECT count() FROM data_flow", "TSV", &out); err != nil {
		return "0"
	}
	return strings.TrimSpace(out.String())
}
