package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindEngine looks for the engine where the collector may write: it is not taken from there.
func TestFindEngine(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".engine"), 0o755); err != nil {
		t.Fatal(err)
	}
	planted := filepath.Join(dir, ".engine", "libchdb.so")
	for _, name := range []string{planted, filepath.Join(dir, "libchdb.so")} {
		if err := os.WriteFile(name, []byte("not ours"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if path, err := Engine(""); err == nil && !filepath.IsAbs(path) || strings.HasPrefix(path, dir) {
		t.Errorf("found %s", path)
	}
	if path, err := Engine(planted); path != planted {
		t.Errorf("told %s: %s, error %v", planted, path, err)
	}
}

// Nobody publishes the engine for arm64, so `make engine` would be the wrong advice there.
func TestEngineFor_arm64(t *testing.T) {
	path, err := engineFor("arm64", "")
	if err == nil {
		t.Skipf("an engine is installed at %s", path)
	}
	want := "the local store has no engine for arm64: set CLICKHOUSE_HOST to use a ClickHouse server"
	if err.Error() != want {
		t.Errorf("%v", err)
	}
	// A file that is named is looked for.
	if _, err := engineFor("arm64", "/nonexistent/libchdb.so"); err == nil ||
		!strings.Contains(err.Error(), "/nonexistent/libchdb.so") {
		t.Errorf("%v", err)
	}
}
