package schema

import (
	"fmt"
	"os"
	"strings"
	"testing"
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
	const (
		file  = "../README.md"
		begin = "<!-- columns: go test ./sink/schema -run ReadmeHasEveryColumn -update -->\n"
		end   = "<!-- end of columns -->"
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	tables, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the columns", file)
	}
	want := columnTables()
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tables != want {
		t.Errorf("%s is stale: go test ./sink/schema -run ReadmeHasEveryColumn -update", file)
	}
}
