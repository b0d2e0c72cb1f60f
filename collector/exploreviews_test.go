package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/explore/views"
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
	run := func(want int, args ...string) string {
		t.Helper()
		code, out := runCollector(t, append([]string{"explore", "views"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit status %d, want %d\n%s", args, code, want, out)
		}
		return out
	}
	if out := run(0, "--config", config); !strings.Contains(out, "no view is saved") {
		t.Error(out)
	}
	run(0, "save", "--config", config, "Talkers", "http://localhost:8080/explore?last=24h&by=src.as")
	run(1, "save", "--config", config, "Bad", "view=nonsense")
	if out := run(0, "--config", config); !strings.Contains(out, "by=src.as&last=1d") {
		t.Error(out)
	}
	exported := filepath.Join(dir, "views.json")
	if err := os.WriteFile(exported, []byte(run(0, "export", "--config", config)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "delete", "--config", config, "Talkers")
	run(1, "delete", "--config", config, "Talkers")
	if out := run(0, "import", "--config", config, exported); !strings.Contains(out, "1") {
		t.Error(out)
	}
	if out := run(0, "--config", config); !strings.Contains(out, "Talkers") {
		t.Error(out)
	}
	if code, out := runCollector(t, "explore", "--config", config, "--saved", "Nobody"); code == 0 ||
		!strings.Contains(out, `no view is saved as "Nobody"`) {
		t.Errorf("exit status %d: %s", code, out)
	}
}

// A time that flags give holds instead of the usual one and of that of a saved view, and a view that has no use for the
// usual dimensions has none.
func TestExploreValues(t *testing.T) {
	dir := t.TempDir()
	saved := []views.View{{Name: "Saved", Query: "by=dst.as&from=2026-03-05&to=2026-03-06"}}
	if err := views.In(dir).Save(saved, "", true); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"":                              "by=src.as last=1h top=10 view=lines",
		"--last yesterday":              "by=src.as last=yesterday top=10 view=lines",
		"--from 14:05":                  "by=src.as from=14:05 top=10 view=lines",
		"--from 14:05 --last 6h":        "by=src.as from=14:05 last=6h top=10 view=lines",
		"--to 14:05":                    "by=src.as to=14:05 top=10 view=lines",
		"--at 14:05":                    "at=14:05 by=src.as top=10 view=lines",
		"--view hours":                  "last=1h view=hours",
		"--view losses --top 5":         "last=1h top=5 view=losses",
		"--view flows":                  "last=1h top=10 view=flows",
		"--saved Saved":                 "by=dst.as from=2026-03-05T00:00 to=2026-03-06T00:00",
		"--saved Saved --last 6h":       "by=dst.as last=6h",
		"--saved Saved --view table as": "by=dst.as filter=as from=2026-03-05T00:00 to=2026-03-06T00:00 view=table",
	} {
		command := exploreCommand()
		var got []string
		command.Action = func(_ context.Context, c *cli.Command) error {
			values, err := exploreValues(c, dir)
			for _, name := range []string{"at", "by", "filter", "from", "last", "to", "top", "view"} {
				if values.Get(name) != "" {
					got = append(got, name+"="+values.Get(name))
				}
			}
			return err
		}
		if err := command.Run(t.Context(), append([]string{"explore"}, strings.Fields(flags)...)); err != nil {
			t.Errorf("%s: %v", flags, err)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", flags, text, want)
		}
	}
}
