// Package sqltext quotes names and texts for ClickHouse SQL and parses the texts of its types. It imports nothing of
// this project.
package sqltext

import (
	"regexp"
	"strings"
)

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
// Comments before a statement are left out. An INSERT with rows in a format, which may have semicolons, is the last
// statement, and stays as it is.
func Statements(text string) []string {
	var all []string
	for text = begun(text); text != ""; text = begun(text) {
		end, rows := statement(text)
		if rows {
			return append(all, text)
		}
		all = append(all, strings.TrimSpace(text[:end]))
		text = text[end:]
	}
	return all
}

// statement is the length of the statement that a text begins with, without the semicolon behind it. rows says that it
// is an INSERT with rows in a format, whose end is that of the text. Rows of VALUES are SQL.
func statement(text string) (end int, rows bool) {
	inserts := strings.EqualFold(word.FindString(text), "INSERT")
	for end < len(text) && text[end] != ';' {
		if clause := format.FindStringSubmatch(text[end:]); inserts && clause != nil &&
			!strings.EqualFold(clause[1], "VALUES") {
			return len(text), true
		}
		end += piece(text[end:])
	}
	return end, false
}

// begun returns the text from its first statement on; "" if there is none.
func begun(text string) string {
	for {
		text = strings.TrimLeft(text, "; \t\r\n\f\v")
		n := Comment(text)
		if n == 0 {
			return text
		}
		text = text[n:]
	}
}

// Comment returns the length in bytes of the comment that a text begins with, as ClickHouse's lexer reads it; 0 if it
// begins with none. One that does not end takes all of the text.
func Comment(text string) int {
	switch {
	case strings.HasPrefix(text, "--"), strings.HasPrefix(text, "//"), strings.HasPrefix(text, "# "),
		strings.HasPrefix(text, "#!"):
		return through(text, 0, "\n")
	case strings.HasPrefix(text, "/*"):
		return nested(text)
	}
	return 0
}

// nested is the length of the comment that a text begins with, in which there may be others; that of all where it does
// not end.
func nested(text string) int {
	depth := 0
	for i := 0; i < len(text); {
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			i += 2
		case strings.HasPrefix(rest, "*/"):
			i += 2
			if depth--; depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(text)
}

var (
	word    = regexp.MustCompile(`^\w[\w$]*`)
	heredoc = regexp.MustCompile(`^\$\w*\$`) // a quote that ends where it stands again
	format  = regexp.MustCompile(`(?i)^FORMAT\s+(\w+)`)
)

// piece is the length of what a text begins with: a comment, a word, something in quotes, or one byte.
func piece(text string) int {
	if n := Comment(text); n > 0 {
		return n
	}
	if n := len(word.FindString(text)); n > 0 {
		return n
	}
	if open := heredoc.FindString(text); open != "" {
		return through(text, len(open), open)
	}
	switch {
	case strings.IndexByte("'\"`", text[0]) >= 0:
		return quoted(text)
	case strings.HasPrefix(text, "‘"):
		return through(text, 1, "’")
	case strings.HasPrefix(text, "“"):
		return through(text, 1, "”")
	}
	return 1
}

// quoted is the length of what stands in quotes at the beginning of a text. A backslash escapes.
func quoted(text string) int {
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

// through is the length of a text up to the first end at or behind a place, with it; that of all where there is none.
func through(text string, from int, end string) int {
	if n := strings.Index(text[from:], end); n >= 0 {
		return from + n + len(end)
	}
	return len(text)
}
