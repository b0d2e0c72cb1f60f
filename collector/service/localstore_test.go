package service

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// localConfig is a configuration without a server: rows go to a local store, in a process of its own.
func localConfig(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	metadata := t.TempDir()
	for _, name := range []string{"meta_application.yml", "meta_device.yml"} {
		text, err := os.ReadFile(filepath.Join(golden.Repository(t), "conf.example", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(metadata, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return testkit.ConfigFor(t, append([]string{
		"STORE_ENGINE=" + engine, "STORE_PATH=" + t.TempDir(), "STORE_LISTEN=" + testkit.FreePort(t),
		"LISTEN=" + testkit.FreePort(t),
		"CACHE_DIR=" + t.TempDir(), "METADATA_DIR=" + metadata, "SPOOL_PATH=" + t.TempDir(),
		"QUARANTINE_PATH=" + t.TempDir(),
	}, environ...)...)
}

// TestServe_localStore collects into a local store, without and with a password, and asks it with `collector query`,
// while the collector runs and after.
func TestServe_localStore(t *testing.T) {
	for name, environ := range map[string][]string{"no password": nil, "password": {"STORE_PASSWORD=hun'ter\\2"}} {
		t.Run(name, func(t *testing.T) {
			cfg := localConfig(t, environ...)
			r := startConfigured(t, cfg, testkit.Patience)
			testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v5")...)
			query := func(sql string) string {
				var out bytes.Buffer
				if err := setup.Query(t.Context(), cfg, sql, "TSV", &out); err != nil {
					t.Log(err)
				}
				return strings.TrimSpace(out.String())
			}
			testkit.WaitFor(t, "rows", func() bool {
				n := query("SELECT count() FROM data_flow")
				return n != "" && n != "0"
			})
			testkit.WaitFor(t, "a dictionary", func() bool {
				return query("SELECT dictGet('meta_application_dict', 'id', 'tcp', toUInt16(443))") == "https"
			})
			n := query("SELECT count() FROM data_flow")
			if views := query("SELECT count() FROM system.tables WHERE engine = 'MaterializedView'"); views == "0" {
				t.Error("there are no views")
			}
			if sources := query("SELECT count() FROM system.tables WHERE create_table_query LIKE " +
				"'%hun%'"); sources != "0" {
				t.Error("a table's definition holds the password")
			}
			r.stop(t)
			if again := query("SELECT count() FROM data_flow"); again != n {
				t.Errorf("%s rows after the end, %s before", again, n)
			}
		})
	}
}
