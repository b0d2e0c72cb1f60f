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
