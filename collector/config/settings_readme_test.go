package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/golden"
)

// settingsTables are a table for each section of the configuration, with every setting.
func settingsTables(t *testing.T) string {
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
			if k.help == "" {
				t.Errorf("%s has no help", k.path)
			}
			var env []string
			for _, name := range k.env {
				env = append(env, "`"+name+"`")
			}
			help := k.help
			if k.example != "" {
				help += " Example: `" + k.example + "`."
			}
			effect := "restart"
			if k.live {
				effect = "live"
			}
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n",
				k.path, strings.Join(env, ", "), cell(k.get().yaml()), effect, cell(help))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// conf.example/README.md has every setting, as its key has it.
func TestReadmeHasEverySetting(t *testing.T) {
	golden.Section(t, "../../conf.example/README.md", "settings", settingsTables(t))
}
