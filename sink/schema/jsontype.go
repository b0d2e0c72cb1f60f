package schema

import "strings"

// isJSON reports whether the text is a JSON column's type.
func isJSON(typ string) bool { return typ == "JSON" || strings.HasPrefix(typ, "JSON(") }

// jsonArguments splits what stands in JSON(…) at its outer commas: typed paths, limits, SKIPs.
func jsonArguments(typ string) []string {
	inner, ok := strings.CutPrefix(typ, "JSON(")
	if !ok {
		return nil
	}
	inner = strings.TrimSuffix(inner, ")")
	var arguments []string
	depth, start := 0, 0
	var quote byte
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			arguments = append(arguments, strings.TrimSpace(inner[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(inner[start:]); last != "" {
		arguments = append(arguments, last)
	}
	return arguments
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
