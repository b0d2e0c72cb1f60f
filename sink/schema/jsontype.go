package schema

import (
	"strings"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// isJSON reports whether the text is a JSON column's type.
func isJSON(typ string) bool { return typ == "JSON" || strings.HasPrefix(typ, "JSON(") }

// jsonArguments splits what stands in JSON(…) at its outer commas: typed paths, limits, SKIPs.
func jsonArguments(typ string) []string {
	inner, ok := strings.CutPrefix(typ, "JSON(")
	if !ok {
		return nil
	}
	return sqltext.Arguments(strings.TrimSuffix(inner, ")"))
}

// typedPaths picks the typed paths out of a JSON type's arguments.
func typedPaths(arguments []string) paths {
	typed := paths{}
	for _, a := range arguments {
		if strings.HasPrefix(a, "SKIP ") || strings.HasPrefix(a, "max_dynamic_") {
			continue
		}
		name, typ, ok := strings.Cut(a, " ")
		if !ok {
			continue
		}
		typed[strings.Trim(name, "`")] = typ
	}
	return typed
}
