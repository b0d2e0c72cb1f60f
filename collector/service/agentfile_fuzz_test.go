package service

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/sflow"
)

// FuzzAgentFile reads anything as the file of sFlow agents. What is used of it is written again, and read as it is.
func FuzzAgentFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"agents":[{"agent":"192.0.2.1","sources":["192.0.2.1","2001:db8::1"],"latest":` +
		`1700000000000000000},{"agent":"2001:db8::7","sources":["192.0.2.9"],"latest":1700000000000000001}]}`))
	f.Add([]byte(`{"version":1,"agents":[{"agent":"fe80::1%eth0","sources":["::ffff:192.0.2.1"],"latest":` +
		`9223372036854775807},{"agent":"","sources":[],"latest":-9223372036854775808},{},null]}`))
	f.Add([]byte(`{"agents":[{}],"version":2}`))
	f.Add([]byte(`{"version":1,"agents":`))
	path := filepath.Join(f.TempDir(), "agents.json")
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		read := func() (*agentFile, []sflow.Binding) {
			file := &agentFile{path: path, expiry: 24 * time.Hour, agents: &sflow.Agents{}}
			all, err := file.read()
			if err != nil && all != nil {
				t.Errorf("%d agents with the error %v", len(all), err)
			}
			file.agents.Restore(file.current(all, now))
			return file, file.current(file.agents.Bindings(now.UnixNano()), now)
		}
		file, used := read()
		for _, b := range used {
			if b.Latest > now.UnixNano() {
				t.Errorf("%+v was heard in the future, and would stay until then", b)
			}
		}
		if err := file.write(now); err != nil {
			t.Fatal(err)
		}
		if _, again := read(); !reflect.DeepEqual(again, used) {
			t.Errorf("read %+v again, want %+v", again, used)
		}
	})
}
