package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/config"
)

// Commands look at what the service uses, unless they are told otherwise or are the service.
func TestSource(t *testing.T) {
	root := t.TempDir()
	for _, file := range []string{installedFile, installedEnv} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		command, args, root, file string
		envFiles                  int
		ofService                 bool
	}{
		{"query", "", root, filepath.Join(root, installedFile), 1, true},
		{"query", "--config x.yml", root, "x.yml", 0, false},
		{"query", "--config=", root, "", 0, false},
		{"query", "--env-file base.env", root, "", 1, false},
		{"run", "", root, "", 0, false},
		{"query", "", t.TempDir(), "", 0, false},
	} {
		t.Run(test.command+" "+test.args, func(t *testing.T) {
			command := &cli.Command{Name: test.command, Flags: configFlags(), Writer: &bytes.Buffer{}}
			var got config.Source
			var ofService bool
			command.Action = func(_ context.Context, c *cli.Command) error {
				got, ofService = configSource(c, test.root)
				return nil
			}
			if err := command.Run(t.Context(), append([]string{test.command},
				strings.Fields(test.args)...)); err != nil {
				t.Fatal(err)
			}
			if got.File != test.file || len(got.EnvFiles) != test.envFiles || ofService != test.ofService {
				t.Errorf("%q and %q, of the service: %v", got.File, got.EnvFiles, ofService)
			}
		})
	}
}

func TestPrintSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yml")
	if err := os.WriteFile(file, []byte("batch: {rows: 7}\nclickhouse: {password: hunter2}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(config.Source{File: file, Environ: []string{"LISTEN=:9995"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var some, all, asJSON bytes.Buffer
	for _, err := range []error{printSettings(&some, cfg, false), printSettings(&all, cfg, true),
		printSettingsJSON(&asJSON, cfg)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := "listen.addresses     [\":9995\"]  # LISTEN (environment)\n" +
		"clickhouse.password  (hidden)   # " + file + ":2\n" +
		"batch.rows           7          # " + file + ":1\n"
	if some.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &some, want)
	}
	if !strings.Contains(all.String(), "\nspool.path ") || strings.Contains(some.String()+all.String()+asJSON.String(),
		"hunter2") {
		t.Errorf("all settings:\n%s", &all)
	}
	var settings []map[string]any
	if err := json.Unmarshal(asJSON.Bytes(), &settings); err != nil || len(settings) < 100 {
		t.Errorf("%d settings, %v", len(settings), err)
	}
}
