package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/golden"
)

// columnTables are the columns of data_flow and the paths of its column ext.
func columnTables() string {
	var b strings.Builder
	b.WriteString("\n| column | type | what it is |\n|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, c := range FlowColumns() {
		if c.MessageOnly {
			continue
		}
		optional := ""
		if c.Optional {
			optional = " (optional)"
		}
		fmt.Fprintf(&b, "| `%s`%s | `%s` | %s |\n", c.Name, optional, cell(c.Type), cell(c.Comment))
	}
	b.WriteString("\n| path of `ext` | extension | type | what it is |\n|---|---|---|---|\n")
	for _, p := range ExtPaths() {
		name, extension, typ := p.Name, p.Extension, p.Type
		if p.IPRef != "" {
			name, extension, typ = p.IPRef+"_ip_<name>_ref", "`flow.ip_ref_extensions`", typeRef
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", name, extension, cell(typ), cell(p.Comment))
	}
	b.WriteString("\n")
	return b.String()
}

// sink/README.md has every column.
func TestReadmeHasEveryColumn(t *testing.T) {
	golden.Section(t, "../README.md", "columns", columnTables())
}

// rollupTable are the rollups that can be turned on.
func rollupTable() string {
	var b strings.Builder
	b.WriteString("\n| name | dimensions | steps | flows in a row of the finest | what it answers |\n" +
		"|---|---|---|---|---|\n")
	for _, r := range RollupSets() {
		finest := r.Steps[0]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d in %s | %s |\n", r.Name, strings.Join(r.Dimensions, ", "),
			strings.Join(r.Steps, ", "), r.Shrink, finest, r.For)
	}
	b.WriteString("\n")
	return b.String()
}

// sink/README.md has every rollup.
func TestReadmeHasEveryRollup(t *testing.T) {
	golden.Section(t, "../README.md", "rollups", rollupTable())
}
