package store

import "io"

// valuesReader passes data of the format Values on. Rows end at a semicolon between them, and the engine, as a library,
// drops what follows without a word: the reader fails instead where that is a statement or more rows. Semicolons,
// spaces and comments may follow. Nothing is written of an insert that fails in its first piece (insertPiece); of a
// longer one the pieces before may be.
type valuesReader struct {
	r    io.Reader
	scan valuesScanner
}

func (v *valuesReader) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	if !v.scan.take(p[:n]) {
		return 0, newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed): "+
			"something stands behind the semicolon that ends the rows of VALUES")
	}
	return n, err
}

// valuesScanner looks for the semicolon between rows as the engine's lexer does, byte by byte. What it cannot follow, a
// text in dollar signs or in typographic quotes, it lets pass with all that follows: no insert fails for that.
type valuesScanner struct {
	quote   byte // that the text ends with in which it is; 0: in none
	escaped bool // a backslash stands before, in quotes
	comment byte // '-': up to the end of the line, '*': up to */; 0: in none
	nested  int  // comments of the latter kind that it is in
	before  byte // the byte before, where it may begin or end a comment
	depth   int  // of parentheses
	ended   bool // the semicolon was there
	lost    bool // it follows no longer
}

// take is false where the data has something behind its end.
func (s *valuesScanner) take(data []byte) bool {
	for _, c := range data {
		switch {
		case s.lost:
			return true
		case s.quote != 0:
			s.inQuotes(c)
		case s.comment != 0:
			s.inComment(c)
		case (c == '-' || c == '/') && s.before == c, (c == ' ' || c == '!') && s.before == '#':
			s.comment, s.before = '-', 0
		case c == '*' && s.before == '/':
			s.comment, s.nested, s.before = '*', 1, 0
		case s.ended && (beginsComment(s.before) || !mayFollow(c)):
			return false
		default:
			s.before = c
			s.inRows(c)
		}
	}
	return true
}

func (s *valuesScanner) inQuotes(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == s.quote:
		s.quote = 0 // two of them, one in the text, end and begin it
	}
}

func (s *valuesScanner) inComment(c byte) {
	switch {
	case s.comment == '-':
		if c == '\n' {
			s.comment = 0
		}
		return
	case c == '*' && s.before == '/':
		s.nested++
		c = 0
	case c == '/' && s.before == '*':
		if s.nested--; s.nested == 0 {
			s.comment = 0
		}
		c = 0
	}
	s.before = c
}

func (s *valuesScanner) inRows(c byte) {
	switch c {
	case '\'', '"', '`':
		s.quote = c
	case '(', '[', '{':
		s.depth++
	case ')', ']', '}':
		s.depth--
	case ';':
		s.ended = s.ended || s.depth == 0
	case '$', '\xe2': // the first byte of ‘ and “
		s.lost = !s.ended
	}
}

func beginsComment(c byte) bool { return c == '-' || c == '/' || c == '#' }

// mayFollow is true for what may stand behind the end of the rows, and for what may begin it: spaces beyond ASCII.
func mayFollow(c byte) bool {
	switch c {
	case ';', ' ', '\t', '\r', '\n', '\f', '\v', 0:
		return true
	}
	return beginsComment(c) || c >= 0x80
}
