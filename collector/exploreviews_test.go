package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runCollector runs a command in a process of its own; arguments have no spaces.
func runCollector(t *testing.T, arguments ...string) (code int, out string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), runEnv+"="+strings.Join(arguments, " "))
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(text)
}

// Views are saved, asked for, exported and imported by commands.
func TestExploreViews(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "collector.yml")
	if err := os.WriteFile(config, []byte("metadata: {cache_dir: "+dir+"/caches}\nstore: {path: "+dir+"/data}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	views := func(want int, args ...string) string {
		t.Helper()
		code, out := runCollector(t, append([]string{"explore", "views"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit status %d, want %d\n%s", args, code, want, out)
		}
		return out
	}
	if out := views(0, "--config", config); !strings.Contains(out, "no view is saved") {
		t.Error(out)
	}
	views(0, "save", "--config", config, "Talkers", "http://localhost:8080/explore?last=24h&by=src.as")
	views(1, "save", "--config", config, "Bad", "view=nonsense")
	if out := views(0, "--config", config); !strings.Contains(out, "by=src.as&last=1d") {
		t.Error(out)
	}
	exported := filepath.Join(dir, "views.json")
	if err := os.WriteFile(exported, []byte(views(0, "export", "--config", config)), 0o600); err != nil {
		t.Fatal(err)
	}
	views(0, "delete", "--config", config, "Talkers")
	views(1, "delete", "--config", config, "Talkers")
	if out := views(0, "import", "--config", config, exported); !strings.Contains(out, "1") {
		t.Error(out)
	}
	if out := views(0, "--config", config); !strings.Contains(out, "Talkers") {
		t.Error(out)
	}
	if code, out := runCollector(t, "explore", "--config", config, "--saved", "Nobody"); code == 0 ||
		!strings.Contains(out, `no view is saved as "Nobody"`) {
		t.Errorf("exit status %d: %s", code, out)
	}
}
