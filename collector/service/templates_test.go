package service

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder/netflow"
)

// A restart between the templates and the data costs no record.
func TestServe_templatesOutliveARestart(t *testing.T) {
	caches := t.TempDir()
	all := testkit.Payloads(t, "softflowd-v9") // templates are in the first datagram only
	first := startServe(t, "CLICKHOUSE_FLOW_TTL=", "CACHE_DIR="+caches)
	testkit.Send(t, first.address, all[0])
	first.stop(t)
	second := startServe(t, "CLICKHOUSE_FLOW_TTL=", "CACHE_DIR="+caches)
	testkit.Send(t, second.address, all[1:]...)
	second.stop(t)
	got := testkit.Ask(t, first.cfg, "SELECT count() FROM data_flow") + "+" +
		testkit.Ask(t, second.cfg, "SELECT count() FROM data_flow")
	if got != "16+214" {
		t.Errorf("%s rows before and after the restart, want 16+214", got)
	}
	if !strings.Contains(second.summary.String(), "nothing lost") {
		t.Errorf("said:\n%s", &second.summary)
	}
}

func TestTemplateFile_thatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "templates.json")
	if err := os.WriteFile(path, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	f := openTemplateFile(path, time.Hour, zap.New(core))
	if logs.Len() != 1 || !strings.Contains(logs.All()[0].ContextMap()["error"].(string), path) {
		t.Errorf("said %v, want one line that names the file", logs.All())
	}
	if len(f.loaded) != 0 {
		t.Error("something of it is used")
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != "nonsense" {
		t.Errorf("kept %q: %v", kept, err)
	}
}

// A file of a later release stays as it is, for that release.
func TestTemplateFile_ofALaterVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "templates.json")
	const later = `{"version":9}`
	if err := os.WriteFile(path, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openTemplateFile(path, time.Hour, zap.NewNop())
	f.put(0, netflow.State{Sources: []netflow.SourceState{{Address: netip.MustParseAddr("192.0.2.3")}}})
	if err := f.write(time.Now()); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(path + ".version9"); err != nil || string(kept) != later {
		t.Errorf("kept %q: %v", kept, err)
	}
}

func TestTemplateFile_keepsExportersThatWereNotHeard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caches", "templates.json")
	now := time.Now()
	source := func(address string, seen time.Time) netflow.SourceState {
		return netflow.SourceState{Address: netip.MustParseAddr(address), Domains: []netflow.DomainState{{
			Protocol: "ipfix", Templates: []netflow.TemplateState{{ID: 300, Seen: seen.UnixNano()}},
		}}}
	}
	f := openTemplateFile(path, time.Hour, zap.NewNop())
	f.earlier.Sources = []netflow.SourceState{
		source("192.0.2.1", now.Add(-2*time.Hour)), source("192.0.2.2", now.Add(-time.Minute)),
		source("192.0.2.3", now.Add(-time.Minute)),
	}
	f.put(0, netflow.State{Sources: []netflow.SourceState{source("192.0.2.3", now)}})
	f.put(1, netflow.State{Sources: []netflow.SourceState{source("192.0.2.4", now)}})
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	state, err := readTemplates(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range state.Sources {
		got = append(got, s.Address.String())
	}
	if len(got) != 3 || strings.Contains(strings.Join(got, " "), "192.0.2.1") {
		t.Errorf("saved %v; 192.0.2.1 has expired, the others have not", got)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
