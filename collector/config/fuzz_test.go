package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzEnvFile reads any env file: nothing of a line that is not understood is shown, and what follows a statement is
// still read.
func FuzzEnvFile(f *testing.F) {
	for _, seed := range []string{
		"A=b\nexport C='d'\n", "A=${B:-${C}}\n", "\ufeffA=\"x\\ny\" # c\r\nB", "A='\nB=\"\\0777\"", "A: b\n#c\n=x\n",
		"A=$$$B${C+d}",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "a.env")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text+"\nFUZZ_LAST=end"), 0o600); err != nil {
			t.Fatal(err)
		}
		env, problems := readEnvFile(path, newEnviron(), newEnviron())
		if !strings.ContainsAny(text, "'\"") && env.text["FUZZ_LAST"] != "end" {
			t.Errorf("%q: what stands after it is not read: %q, %v", text, env.text, problems)
		}
		for name := range env.text {
			if !envName.MatchString(name) {
				t.Errorf("%q is no name", name)
			}
		}
	})
}

// FuzzConfigFile reads any configuration file.
func FuzzConfigFile(f *testing.F) {
	if example, err := os.ReadFile("../../conf.example/collector.yml"); err == nil {
		f.Add(string(example))
	}
	for _, seed := range []string{
		"listen: {addresses: [\":1\"], x: &a 1}\nkafka: *a\n", "batch: &a {<<: *a}\n",
		"x-a: &a {rows: 1}\nbatch: {<<: [*a, *a]}\n",
		"flow: {view_settings: {edge_as_5m_ttl: 1 YEAR}}", "a: !!binary x\n---\nb: |\n  c\n",
		"decoder: {sampling_rates: {192.0.2.1: 5}}",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "c.yml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, problems := Load(Source{File: path}); len(problems) == 0 && c.Schema.Validate() != nil {
			t.Errorf("%q is taken with settings that are not right", text)
		}
	})
}
