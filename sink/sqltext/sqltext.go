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

// Statements splits a text at the semicolons between its statements: those in quotes and comments do not count.
// Comments before a statement are left out. The data of an INSERT may have semicolons, so one is the last statement.
func Statements(text string) []string {
	var all []string
	for text = begun(text); text != ""; text = begun(text) {
		if len(text) > 6 && strings.EqualFold(text[:6], "INSERT") {
			return append(all, strings.TrimRight(strings.TrimSpace(text), ";"))
		}
		end := 0
		for end < len(text) && text[end] != ';' {
			end += piece(text[end:])
		}
		all = append(all, strings.TrimSpace(text[:end]))
		text = text[end:]
	}
	return all
}

// begun returns the text from its first statement on; "" if there is none.
func begun(text string) string {
	for {
		text = strings.TrimLeft(text, "; \t\r\n\f\v")
		n := comment(text)
		if n == 0 {
			return text
		}
		text = text[n:]
	}
}

// comment is the length of the comment that a text begins with; 0 if it begins with none.
func comment(text string) int {
	end, from := "\n", 0
	switch {
	case strings.HasPrefix(text, "--"), strings.HasPrefix(text, "# "), strings.HasPrefix(text, "#!"):
	case strings.HasPrefix(text, "/*"):
		end, from = "*/", 2
	default:
		return 0
	}
	if n := strings.Index(text[from:], end); n >= 0 {
		return from + n + len(end)
	}
	return len(text)
}

// piece is the length of what a text begins with: a comment, something in quotes, or one byte.
func piece(text string) int {
	if n := comment(text); n > 0 {
		return n
	}
	if strings.IndexByte("'\"`", text[0]) < 0 {
		return 1
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return len(text)
}
