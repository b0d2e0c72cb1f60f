package setup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metranova/flow-collector/collector/config"
)

// The command can be copied from the log into a shell, and asks the same store.
func TestQueryCommand(t *testing.T) {
	dir := t.TempDir()
	file, env := filepath.Join(dir, "my file.yml"), filepath.Join(dir, "base.env")
	for _, path := range []string{file, env} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, program string
		source        config.Source
		want          string
	}{
		{"the defaults", "bin/collector", config.Source{}, "bin/collector query 'SELECT 1'"},
		{"an installed program", "/usr/bin/collector", config.Source{}, "collector query 'SELECT 1'"},
		{"another port and a password", "collector",
			config.Source{Environ: []string{"STORE_LISTEN=127.0.0.1:18123", "STORE_PASSWORD=hunter2", "LISTEN=:99"}},
			"STORE_LISTEN=127.0.0.1:18123 collector query 'SELECT 1'"},
		{"files", "collector", config.Source{File: file, EnvFiles: []string{env}},
			"collector query --config '" + file + "' --env-file " + env + " 'SELECT 1'"},
		{"the service", "/usr/bin/collector",
			config.Source{File: ServiceFile, Environ: []string{"CLICKHOUSE_HOST=ch"}}, "collector query 'SELECT 1'"},
	} {
		cfg, _ := config.Load(test.source) // the service's file need not be here
		if got := QueryCommand(cfg, test.program, "SELECT 1"); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
