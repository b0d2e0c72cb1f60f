package store

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// statement is what the store must know of one SQL statement before the engine sees it.
type statement struct {
	text string // what goes to the engine; for an insert with data, the part before FORMAT or VALUES
	verb string // the first word in upper case: SELECT, INSERT, CREATE …
	// format is the name in the FORMAT clause, "" without one. For an insert it is the format of the data.
	format string
	// insert says that rows of the given format follow (at data), which is so for every INSERT without SELECT.
	insert bool
	data   int // offset of the inline data of an insert
	// complete says, for an insert, that FORMAT or VALUES was found: what follows is data, not more SQL.
	complete bool
	totals   bool // WITH TOTALS, or a setting that adds rows behind the result
	outfile  bool // INTO OUTFILE or FROM INFILE, which name files of this machine
	multi    bool // another statement follows the first ";"
	early    bool // a ";" stands right behind FORMAT and its name, where the data of an insert begins
}

// parseStatement reads sql as far as the store needs. It leaves syntax errors to the engine.
func parseStatement(sql string) statement {
	s := statement{text: sql}
	l := lexer{src: sql}
	depth := 0
	var prev, word string
	for {
		tok := l.next()
		if tok == "" {
			break
		}
		prev, word = word, strings.ToUpper(tok)
		if s.verb == "" && word != "(" {
			s.verb = word
			if word == "INSERT" {
				parseInsert(&s, &l)
				return s
			}
			continue
		}
		switch word {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case ";":
			s.text = sql[:l.start]
			s.multi = l.next() != ""
			return s
		case "FORMAT":
			if depth <= 0 {
				if name := l.peek(); isName(name) {
					s.format = name
				}
			}
		case "TOTALS":
			s.totals = s.totals || prev == "WITH"
		case "OUTFILE":
			s.outfile = s.outfile || prev == "INTO"
		case "INSERT":
			// WITH … INSERT INTO … SELECT
			if depth <= 0 && s.verb == "WITH" {
				s.verb = "INSERT"
			}
		}
	}
	return s
}

// skipTable reads the table of an INSERT, with what stands before it.
func skipTable(l *lexer) {
	if strings.EqualFold(l.peek(), "INTO") {
		l.next()
	}
	// A table may be called "table" or "function": only what is followed by a name is a keyword.
	for _, keyword := range []string{"TABLE", "FUNCTION"} {
		ahead := *l
		if strings.EqualFold(ahead.next(), keyword) && isName(ahead.peek()) &&
			!strings.EqualFold(ahead.peek(), "FORMAT") && !strings.EqualFold(ahead.peek(), "VALUES") {
			l.next()
		}
	}
	l.next() // the table, which may be called like a keyword
	for l.peek() == "." {
		l.next()
		l.next()
	}
}

// parseInsert reads an INSERT from behind its first word to its data.
func parseInsert(s *statement, l *lexer) {
	s.insert = true
	skipTable(l)
	depth := 0
	for {
		tok := l.next()
		if tok == "" {
			return
		}
		word := strings.ToUpper(tok)
		if depth == 0 && word == "(" && l.peekIs("SELECT", "WITH") { // INSERT INTO t (SELECT …)
			word = "SELECT"
		}
		switch word {
		case "(", "[", "{":
			depth++
			continue
		case ")", "]", "}":
			depth--
			continue
		}
		if depth > 0 {
			continue
		}
		switch word {
		case "VALUES":
			s.text, s.format, s.complete = l.src[:l.start], "Values", true
			s.data = l.pos
			return
		case "FORMAT":
			before := l.start
			name := l.next()
			if !isName(name) { // it may follow, in the body of the request
				return
			}
			s.format = name
			s.text, s.complete = l.src[:before], true
			s.data = l.pos
			s.early = strings.HasPrefix(l.src[s.data:], ";")
			moveSettings(s, l)
			return
		case "SELECT", "WITH", "WATCH":
			rest := parseStatement(l.src[l.start:])
			s.insert, s.multi, s.outfile = false, rest.multi, rest.outfile
			s.text = l.src[:l.start] + rest.text
			return
		case "INFILE":
			s.outfile = true
		case ";":
			s.text = l.src[:l.start]
			s.multi = l.next() != ""
			return
		}
	}
}

// moveSettings puts a SETTINGS clause that stands behind FORMAT before it, where the engine's streamed insert wants it.
// The clause ends with its line: data follows on the next one.
func moveSettings(s *statement, l *lexer) {
	if !strings.EqualFold(l.peek(), "SETTINGS") {
		return
	}
	for strings.EqualFold(l.peek(), "SETTINGS") || l.peek() == "," {
		l.next()
		for _, want := range []func(string) bool{isName, func(t string) bool { return t == "=" },
			func(t string) bool { return t != "" }} {
			if !want(l.next()) {
				return
			}
		}
		clause := l.src[s.data:l.pos]
		if l.peek() != "," {
			s.text += clause
			s.data = l.pos
		}
	}
}

func isName(tok string) bool {
	return tok != "" && (isWordByte(tok[0]) || tok[0] == '`' || tok[0] == '"')
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// lexer cuts SQL into words, quoted strings and single characters, and drops spaces and comments. It follows
// ClickHouse's Lexer.cpp byte by byte: where the two differ, a statement could hide from the checks here what the
// engine then runs.
type lexer struct {
	src        string
	start, pos int // of the last token
}

// peek is the next token, which stays unread.
func (l *lexer) peek() string {
	ahead := *l
	return ahead.next()
}

// peekIs is true where the next token is one of the words.
func (l *lexer) peekIs(words ...string) bool {
	return slices.Contains(words, strings.ToUpper(l.peek()))
}

// next is the next token, "" at the end.
func (l *lexer) next() string {
	l.skipSpace()
	l.start = l.pos
	if l.pos >= len(l.src) {
		return ""
	}
	switch c := l.src[l.pos]; {
	case c == '\'' || c == '"' || c == '`':
		l.skipQuoted(c)
	case c == '$' && l.skipHeredoc():
	case isWordByte(c) || c == '$' && l.pos+1 < len(l.src) && (isWordByte(l.src[l.pos+1]) || l.src[l.pos+1] == '$'):
		for l.pos < len(l.src) && (isWordByte(l.src[l.pos]) || l.src[l.pos] == '$' || l.src[l.pos] == '.' &&
			isNumber(l.src[l.start:l.pos])) {
			l.pos++
		}
	default:
		l.skipCharacter()
	}
	return l.src[l.start:l.pos]
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		if strings.IndexByte(" \t\r\n\f\v\x00", rest[0]) >= 0 {
			l.pos++
			continue
		}
		if n := sqltext.Comment(rest); n > 0 {
			l.pos += n
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		if !isWideSpace(r) {
			return
		}
		l.pos += size
	}
}

// isWideSpace is true for the spaces outside ASCII that ClickHouse skips (skipWhitespacesUTF8).
func isWideSpace(r rune) bool {
	switch r {
	case 0x85, 0xa0, 0x180e, 0x2028, 0x2029, 0x202f, 0x205f, 0x2060, 0x3000, 0xfeff:
		return true
	}
	return r >= 0x2000 && r <= 0x200d
}

func (l *lexer) skipTo(end string) {
	if i := strings.Index(l.src[l.pos:], end); i >= 0 {
		l.pos += i + len(end)
	} else {
		l.pos = len(l.src)
	}
}

// skipCharacter skips one character, or what stands in typographic quotes: ClickHouse takes these for quotes too.
func (l *lexer) skipCharacter() {
	r, size := utf8.DecodeRuneInString(l.src[l.pos:])
	l.pos += size
	switch r {
	case '‘':
		l.skipTo("’")
	case '“':
		l.skipTo("”")
	}
}

func (l *lexer) skipQuoted(quote byte) {
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch l.src[l.pos] {
		case '\\':
			l.pos++
		case quote:
			if l.pos+1 < len(l.src) && l.src[l.pos+1] == quote {
				l.pos++
				continue
			}
			l.pos++
			return
		}
	}
	l.pos = len(l.src)
}

// skipHeredoc skips $tag$ … $tag$, where the tag is whatever precedes the next dollar sign.
func (l *lexer) skipHeredoc() bool {
	rest := l.src[l.pos:]
	n := strings.IndexByte(rest[1:], '$')
	if n < 0 {
		return false
	}
	tag := rest[:n+2]
	end := strings.Index(rest[len(tag):], tag)
	if end < 0 {
		return false
	}
	l.pos += len(tag) + end + len(tag)
	return true
}
