package schema

import (
	"strings"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// ident quotes an identifier.
func ident(name string) string { return sqltext.Name(name) }

// literal quotes a string.
func literal(text string) string { return sqltext.Text(text) }

// identList quotes a list of columns. A column of a JSON path (ext.bgp_as_path_id) is one identifier.
func identList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ident(n)
	}
	return strings.Join(quoted, ", ")
}

// literalArray renders an Array(String), which may be empty.
func literalArray(values []string) string {
	if len(values) == 0 {
		return "emptyArrayString()"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
