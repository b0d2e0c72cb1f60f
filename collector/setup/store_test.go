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
