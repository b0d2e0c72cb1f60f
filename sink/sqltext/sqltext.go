// Package sqltext quotes names and texts for ClickHouse SQL and parses the texts of its types. It imports nothing of
// this project.
package sqltext

import "strings"

// Name quotes an identifier. A column of a JSON path (ext.bgp_as_path_id) is one identifier.
func Name(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`", "\x00", "\\0").Replace(name) + "`"
}

// Text quotes a string.
func Text(text string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'", "\x00", "\\0").Replace(text) + "'"
}

// Arguments splits the text between the parentheses of a type at its outer commas. Commas within parentheses and quotes
// do not count; a backslash escapes a quote.
func Arguments(text string) []string {
	var list []string
	depth, start := 0, 0
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
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
			list = append(list, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(text[start:]); last != "" {
		list = append(list, last)
	}
	return list
}
