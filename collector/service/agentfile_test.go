package service

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/decoder/sflow"
)

// The sources of sFlow agents are read back as they were written, but for those that were silent for too long.
func TestAgentFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caches", "agents.json")
	now := time.Now()
	known := []sflow.Binding{
		{Agent: netip.MustParseAddr("192.0.2.1"), Sources: []netip.Addr{netip.MustParseAddr("2001:db8::1"),
			netip.MustParseAddr("192.0.2.1")}, Latest: now.UnixNano()},
		{Agent: netip.MustParseAddr("2001:db8::7"), Sources: []netip.Addr{netip.MustParseAddr("192.0.2.9")},
			Latest: now.Add(-time.Hour).UnixNano()},
	}
	old := sflow.Binding{Agent: netip.MustParseAddr("192.0.2.3"), Sources: known[0].Sources,
		Latest: now.Add(-25 * time.Hour).UnixNano()}
	core, logs := observer.New(zap.WarnLevel)
	first := &sflow.Agents{}
	f := openAgentFile(path, 24*time.Hour, first, zap.New(core))
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file without an agent")
	}
	first.Restore(append(known, old))
	if err := f.write(now); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v: %v", info.Mode(), err)
	}
	second := &sflow.Agents{}
	f = openAgentFile(path, 24*time.Hour, second, zap.New(core))
	if got := f.current(second.Bindings(now.UnixNano()), now); !reflect.DeepEqual(got, known) {
		t.Errorf("read %+v, want %+v", got, known)
	}
	if logs.Len() > 0 {
		t.Errorf("said %v", logs.All())
	}
	for _, text := range []string{`{"version":1,"agents":[{"agent":"192.0.2.1",`, `{"version":2,"agents":[]}`, "[]"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		none := &sflow.Agents{}
		openAgentFile(path, 24*time.Hour, none, zap.New(core))
		if n := len(none.Bindings(now.UnixNano())); n != 0 || len(logs.TakeAll()) != 1 {
			t.Errorf("%q: %d agents, or not one line", text, n)
		}
	}
}
