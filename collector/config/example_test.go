package config

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/metranova/flow-collector/sink/golden"
)

const exampleHead = "Every setting with its default. Values may use ${NAME} and ${NAME:-default}. Environment " +
	"variables win " +
	"over this file; their names are in brackets. Durations: 500ms, 30s, 10m, 24h. Sizes: 64MiB, 1GB."

// exampleFile is conf.example/collector.yml: each key with its default below its help.
func exampleFile() string {
	var b strings.Builder
	comment(&b, "", exampleHead)
	var open []string // the sections that the last key is in
	for _, k := range keys(Default()) {
		parts := strings.Split(k.path, ".")
		sections, name := parts[:len(parts)-1], parts[len(parts)-1]
		same := 0
		for same < len(open) && same < len(sections) && open[same] == sections[same] {
			same++
		}
		if same == 0 {
			b.WriteString("\n")
		}
		for i := same; i < len(sections); i++ {
			indent := strings.Repeat("  ", i)
			if help := sectionHelp(strings.Join(sections[:i+1], ".")); help != "" {
				comment(&b, indent, help)
			}
			b.WriteString(indent + sections[i] + ":\n")
		}
		open = sections
		indent := strings.Repeat("  ", len(sections))
		help := k.help
		if len(k.env) > 0 {
			help += " [" + strings.Join(k.env, ", ") + "]"
		}
		comment(&b, indent, help)
		if k.example != "" {
			b.WriteString(indent + "#   " + k.example + "\n")
		}
		b.WriteString(indent + name + ": " + k.get().yaml() + "\n")
	}
	return b.String()
}

// comment writes a text in lines of at most 120 columns.
func comment(b *strings.Builder, indent, text string) {
	line := indent + "#"
	for _, word := range strings.Fields(text) {
		if utf8.RuneCountInString(line)+1+len(word) > 120 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// conf.example/collector.yml is written from the keys.
func TestExampleIsGenerated(t *testing.T) {
	golden.Compare(t, example, []byte(exampleFile()))
}
