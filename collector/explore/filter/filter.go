// Package filter parses the language that selects flows:
//
//	src.as = 64500 and dst in 192.0.2.0/24 and not proto = icmp
//
// It has the grammar, the names of fields and the syntax of their values. Its users evaluate a filter: package explore
// translates it to SQL, package tap applies it to records.
//
// The grammar, in EBNF; keywords may be written in capitals, and two tests without a word between them are joined by
// and:
//
//	filter   = [ or ] .
//	or       = and { ( "or" | "||" ) and } .
//	and      = term { [ "and" | "&&" ] term } .
//	term     = ( "not" | "!" ) term | "(" or ")" | test .
//	test     = field [ [ "not" ] operator ] values | field [ "not" ] "between" value "and" value | alone .
//	operator = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | "~" | "!~" | "in" | "like" | "contains" | "is" .
//	values   = value { "," value } | "(" value { "," value } ")" .
//	field    = word | ( "src" | "dst" | "in" | "out" ) word .
//	alone    = word .
//	value    = word | "'" text "'" | '"' text '"' .
//
// A word is anything without spaces, quotes, parentheses, braces, commas, semicolons and the signs of operators. Within
// quotes a backslash takes the next character as it stands: "\*" is a star, and "*" any characters. A word alone is an
// address, a prefix, an AS number with AS before it, a protocol, ipv4 or ipv6. File guess.go has other ways to write
// the operators.
package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Op is the kind of an Expr.
type Op int

// All is the empty filter, which every flow passes. And and Or have at least two Args, Not has one. Test compares a
// field.
const (
	All Op = iota
	And
	Or
	Not
	Test
)

// Comparison is the operator of a Test.
type Comparison int

// In is true where any of the values is equal, or holds the field. Like is true where the field holds the text. The
// value of Between has both bounds, which are in it: 1-5.
const (
	Equal Comparison = iota
	Less
	LessEqual
	Greater
	GreaterEqual
	In
	Like
	Between
)

// String is the operator as it is written.
func (c Comparison) String() string {
	return [...]string{"=", "<", "<=", ">", ">=", "in", "~", "between"}[c]
}

// Ordered reports whether the comparison is of things that have an order.
func (c Comparison) Ordered() bool { return c >= Less && c <= GreaterEqual || c == Between }

// Expr is a filter or a part of one. The zero value is the empty filter. "!=" and "not in" are a Not around a test.
type Expr struct {
	Op   Op
	Args []*Expr // of And, Or and Not

	Field    string // of a Test: as it is written, or a field's name
	FieldAt  int    // its offset in the text, in bytes
	FieldLen int    // bytes in the text
	Compare  Comparison
	Values   []Value // one for comparisons by order and Between; else any of them makes the test true
}

// Value is what a field is compared with.
type Value struct {
	Text string // what is written, or what it means: tcp for 6
	At   int    // offset in the text, in bytes
	Len  int    // bytes in the text, quotes included
	// Literal says that stars in Text are stars: each has a backslash before it. Else they stand for any characters.
	Literal bool
}

// Bounds of a filter, which comes from whoever can open a page.
const (
	MaxLength = 4096 // bytes
	MaxTests  = 64
	maxDepth  = 32
)

// Error says what is wrong with a filter, and where.
type Error struct {
	At, Len int // the place in the text, in bytes
	Text    string
}

func (e *Error) Error() string { return "filter: " + e.Text }

// Show returns the text of the filter with the place marked below it, in three lines. It is for a terminal: the text
// has no control characters.
func (e *Error) Show(filter string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, filter)
	at := min(e.At, len(plain))
	end := min(max(e.At+e.Len, at), len(plain))
	marks := max(utf8.RuneCountInString(plain[at:end]), 1)
	return plain + "\n" + strings.Repeat(" ", utf8.RuneCountInString(plain[:at])) + strings.Repeat("^", marks) + "\n" +
		e.Text
}

// Parse reads a filter. Its error is an *Error.
func Parse(text string) (*Expr, error) {
	if len(text) > MaxLength {
		return nil, &Error{At: MaxLength, Text: fmt.Sprintf("a filter has at most %d characters", MaxLength)}
	}
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	if p.next().kind == end {
		return &Expr{}, nil
	}
	x, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if t := p.next(); t.kind != end {
		return nil, p.unexpected("and, or, or the end")
	}
	return x, nil
}

// Tests calls f for each Test of the filter.
func (x *Expr) Tests(f func(*Expr)) {
	if x.Op == Test {
		f(x)
	}
	for _, arg := range x.Args {
		arg.Tests(f)
	}
}

// Quote writes a value so that Parse reads it back, with a star as a star.
func Quote(value string) string {
	plain := value != "" && !strings.Contains(value, "*")
	for _, r := range value {
		if !isWord(r) {
			plain = false
		}
	}
	if plain && keyword(value) == word {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "*", `\*`).Replace(value) + `"`
}
