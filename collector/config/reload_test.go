package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	const before = `
listen: {addresses: ["127.0.0.1:1"], allowed_exporters: [192.0.2.0/24]}
batch: {age: 60s, rows: 50000}
decoder: {sampling_rates: {192.0.2.1: 100}}
flow: {view_settings: {edge_as_5m_ttl: 1 YEAR}}
`
	for _, test := range []struct {
		name, after string
		environ     []string
		want        []string
	}{
		{"nothing", before, nil, nil},
		{"the same, written otherwise", `
listen: {addresses: "127.0.0.1:1", allowed_exporters: 192.0.2.9/24}
batch: {age: 1m}
decoder: {sampling_rates: {"192.0.2.1": "100"}}
flow: {view_settings: {edge_as_5m_ttl: 1 YEAR}}
log: {level: INFO}
`, nil, nil},
		{"a file that says nothing any more", "", nil,
			[]string{"listen.addresses", "listen.allowed_exporters", "decoder.sampling_rates", "batch.age",
				"flow.view_settings"}},
		{"one value", `
listen: {addresses: ["127.0.0.1:1"], allowed_exporters: [192.0.2.0/24]}
batch: {age: 60s, rows: 50000}
decoder: {sampling_rates: {192.0.2.1: 200}}
flow: {view_settings: {edge_as_5m_ttl: 1 YEAR}}
`, nil, []string{"decoder.sampling_rates"}},
		{"views' settings by environment", before, []string{"CLICKHOUSE_FLOW_MV_BY_INTERFACE_5M_TTL=1 DAY"},
			[]string{"flow.view_settings"}},
		{"another file but the environment wins", before + "http: {listen: \":9\"}\n", nil, []string{"http.listen"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := load(t, Source{File: write(t, "a.yml", before)})
			b := load(t, Source{File: write(t, "b.yml", test.after), Environ: test.environ})
			if diff := cmp.Diff(test.want, Changes(a, b)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.want, Changes(b, a)); diff != "" {
				t.Errorf("the other way round: %s", diff)
			}
		})
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	file, env := filepath.Join(dir, "collector.yml"), filepath.Join(dir, "base.env")
	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "policy: {level: \"${LEVEL}\", scopes: [a]}\n")
	put(env, "LEVEL=tlp:red\nCLICKHOUSE_BATCH_SIZE=10\n")
	c := load(t, Source{File: file, EnvFiles: []string{env},
		Environ: []string{"CLICKHOUSE_POLICY_SCOPE=from-environment"}})
	if diff := cmp.Diff([]string{env, file}, c.Files()); diff != "" {
		t.Error(diff)
	}
	put(env, "LEVEL=tlp:green\nCLICKHOUSE_BATCH_SIZE=20\n")
	put(file, "policy: {level: \"${LEVEL}\", scopes: [b]}\n")
	again, problems := c.Reload()
	if len(problems) > 0 || again.Policy.Level != "tlp:green" || again.Batch.Rows != 20 ||
		again.Policy.Scopes[0] != "from-environment" {
		t.Errorf("got %+v, %v", again, problems)
	}
	if diff := cmp.Diff([]string{"policy.level", "batch.rows"}, Changes(c, again)); diff != "" {
		t.Error(diff)
	}
	put(file, "policy: {level: x, scope: [b]}\nbatch: {rows: many}\n")
	if _, problems := c.Reload(); len(problems) != 2 {
		t.Errorf("problems: %v", problems)
	}
}

func TestIsLive(t *testing.T) {
	if IsLive("batch.rows") || !IsLive("log.level") || IsLive("no.such.key") {
		t.Error("batch.rows needs a restart, log.level does not")
	}
}
