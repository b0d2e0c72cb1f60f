package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is.
type kind int

const (
	end kind = iota
	word
	quoted
	operator
	open
	shut
	comma
	and
	or
	not
	in
)

// token is a piece of the text: text[at:at+len].
type token struct {
	kind    kind
	text    string // what it says: a quoted text without its quotes
	at, len int
	literal bool // all stars in it have a backslash before them
}

// isWord reports whether a word may hold the character.
func isWord(r rune) bool {
	return !unicode.IsSpace(r) && unicode.IsPrint(r) && r != utf8.RuneError &&
		!strings.ContainsRune("\"'(){},;`=!<>~&|“”„‘≠≤≥", r)
}

// keyword is the kind of a word.
func keyword(text string) kind {
	switch strings.ToLower(text) {
	case "and":
		return and
	case "or":
		return or
	case "not":
		return not
	case "in":
		return in
	}
	return word
}

// signs are the operators and other signs, the longer ones first.
var signs = []struct {
	text string
	kind kind
}{
	{"!<<", operator}, {"&&", and}, {"||", or}, {"==", operator}, {"!=", operator}, {"<>", operator},
	{"<=", operator}, {">=", operator}, {"<<", operator}, {"!~", operator}, {"=~", operator}, {"=", operator},
	{"<", operator}, {">", operator}, {"~", operator}, {"!", not},
	{"≠", operator}, {"≤", operator}, {"≥", operator},
	{"(", open}, {")", shut}, {"{", open}, {"}", shut}, {",", comma},
}

// scan cuts the text into tokens. The last one is end.
func scan(text string) ([]token, error) {
	var tokens []token
	for at := 0; ; {
		r, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case size == 0:
			return append(tokens, token{kind: end, at: len(text)}), nil
		case unicode.IsSpace(r):
			at += size
		case closing(r) != "":
			t, err := scanQuoted(text, at)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, t)
			at += t.len
		case isWord(r):
			n := strings.IndexFunc(text[at:], func(r rune) bool { return !isWord(r) })
			if n < 0 {
				n = len(text) - at
			}
			tokens = append(tokens, token{kind: keyword(text[at : at+n]), text: text[at : at+n], at: at, len: n})
			at += n
		default:
			t, ok := scanSign(text, at)
			if !ok {
				return nil, &Error{At: at, Len: size, Text: misplaced(r)}
			}
			tokens = append(tokens, t)
			at += t.len
		}
	}
}

// misplaced is the error of a character that stands in no word.
func misplaced(r rune) string {
	switch r {
	case '`':
		return `write quotes as " or '`
	case ';':
		return "a filter has no semicolon: write and, or, or a comma between values"
	}
	return "this character can stand within quotes only"
}

func scanSign(text string, at int) (token, bool) {
	for _, sign := range signs {
		if strings.HasPrefix(text[at:], sign.text) {
			return token{kind: sign.kind, text: sign.text, at: at, len: len(sign.text)}, true
		}
	}
	return token{}, false
}

// closing returns the quotes that may end a text which begins with r; "" if r is no quote. Phones and word processors
// write “ and ” by themselves.
func closing(r rune) string {
	switch r {
	case '"', '\'':
		return string(r)
	case '“', '”', '„':
		return "“”"
	case '‘':
		return "’"
	}
	return ""
}

// scanQuoted reads a quoted text that starts at at.
func scanQuoted(text string, at int) (token, error) {
	var b strings.Builder
	quote, size := utf8.DecodeRuneInString(text[at:])
	ends := closing(quote)
	stars, escaped := 0, 0
	for i := at + size; i < len(text); i++ {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r != utf8.RuneError && strings.ContainsRune(ends, r):
			if !utf8.ValidString(b.String()) {
				return token{}, &Error{At: at, Len: i + size - at, Text: "this is not UTF-8"}
			}
			return token{quoted, b.String(), at, i + size - at, escaped > 0 && stars == 0}, nil
		case text[i] == '\\' && i+1 < len(text):
			if i++; text[i] == '*' {
				escaped++
			}
		case text[i] == '*':
			stars++
		}
		b.WriteByte(text[i])
	}
	return token{}, &Error{At: at, Len: len(text) - at, Text: "the quote is not closed"}
}
