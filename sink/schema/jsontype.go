package schema

import (
	"strings"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// isJSON reports whether the text is a JSON column's type.
func isJSON(typ string) bool { return typ == "JSON" || strings.HasPrefix(typ, "JSON(") }

// parseJSON cuts a JSON column's type into its arguments, which are typed paths, limits and SKIPs, and its typed
// paths.
func parseJSON(typ string) (arguments []string, typed paths) {
	parsed, err := sqltext.ParseType(typ)
	if err != nil {
		return nil, nil
	}
	typed = paths{}
	for _, path := range parsed.TypedPaths() {
		typed[path.Name] = path.Type
	}
	return parsed.Args, typed
}
