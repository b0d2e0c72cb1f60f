package config

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of settings into conf.example/README.md")

// documented is what conf.example/collector.yml says of one setting.
type documented struct{ value, comment, help string }

var (
	yamlKey      = regexp.MustCompile(`^( *)([a-z0-9_]+):(?: +(.*))?$`)
	environments = regexp.MustCompile(`\s*\[(?:[A-Z_0-9{},…]|, | or )+\]`)
)

// documentedSettings reads the values and comments of the example by the paths of the keys. A comment belongs to the
// setting or the section that follows it.
func documentedSettings(t *testing.T) map[string]documented {
	t.Helper()
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]documented{}
	var section []string
	var comment []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		text := strings.TrimSpace(line)
		if text == "" {
			comment = nil
			continue
		}
		if rest, found := strings.CutPrefix(text, "#"); found {
			if strings.HasPrefix(rest, "   ") {
				setting, _, _ := strings.Cut(strings.TrimSpace(rest), "  ")
				rest = "Example: `" + setting + "`."
			}
			comment = append(comment, strings.TrimSpace(rest))
			continue
		}
		m := yamlKey.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s: %q is neither a comment nor a setting", example, line)
		}
		section = append(section[:len(m[1])/2], m[2])
		path := strings.Join(section, ".")
		value, trailing, _ := strings.Cut(m[3], " #")
		whole := strings.Join(append(comment, strings.TrimSpace(trailing)), " ")
		help := strings.TrimSpace(environments.ReplaceAllString(whole, ""))
		all[path], comment = documented{strings.TrimSpace(value), whole, help}, nil
	}
	return all
}

// settingsTables are a table for each section of the configuration, with every setting of keys.go.
func settingsTables(t *testing.T) string {
	all := documentedSettings(t)
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	var b strings.Builder
	bySection := map[string][]key{}
	var sections []string
	for _, k := range keys(Default()) {
		name, _, found := strings.Cut(k.path, ".")
		if !found {
			name = "general"
		}
		if bySection[name] == nil {
			sections = append(sections, name)
		}
		bySection[name] = append(bySection[name], k)
	}
	for _, section := range sections {
		fmt.Fprintf(&b,
			"\n### %s\n\n| setting | environment | default | takes effect | what it does |\n|---|---|---|---|---|\n",
			section)
		for _, k := range bySection[section] {
			d, found := all[k.path]
			if !found {
				t.Errorf("%s does not have %s", example, k.path)
			}
			if d.help == "" {
				t.Errorf("%s does not explain %s", example, k.path)
			}
			var env []string
			for _, name := range k.env {
				if !strings.Contains(d.comment, name) {
					t.Errorf("%s does not name %s at %s", example, name, k.path)
				}
				env = append(env, "`"+name+"`")
			}
			effect := "restart"
			if IsLive(k.path) {
				effect = "live"
			}
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n",
				k.path, strings.Join(env, ", "), cell(d.value), effect, cell(d.help))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// conf.example/README.md has every setting, as keys.go and conf.example/collector.yml have it.
func TestReadmeHasEverySetting(t *testing.T) {
	const (
		file  = "../../conf.example/README.md"
		begin = "<!-- settings: go test ./collector/config -run ReadmeHasEverySetting -update -->\n"
		end   = "<!-- end of settings -->"
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	tables, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings", file)
	}
	want := settingsTables(t)
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tables != want {
		t.Errorf("%s is stale: go test ./collector/config -run ReadmeHasEverySetting -update", file)
	}
}
