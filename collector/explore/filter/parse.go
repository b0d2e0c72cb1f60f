package filter

import (
	"fmt"
	"strings"
)

// parser reads tokens by recursive descent.
type parser struct {
	tokens []token
	tests  int
	before kind  // of the token that was taken last
	last   *Expr // the test before, if it is not negated
}

func (p *parser) next() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	p.before = t.kind
	return t
}

// unexpected returns the error for a next token that the grammar does not allow here.
func (p *parser) unexpected(wanted string) error {
	t := p.next()
	if t.kind == end {
		return &Error{At: t.at, Text: "here the filter ends; expected " + wanted}
	}
	return &Error{At: t.at, Len: t.len, Text: "expected " + wanted}
}

func (p *parser) or(depth int) (*Expr, error) {
	return p.list(Or, depth, p.and, func() bool {
		if p.next().kind != or {
			return false
		}
		p.take()
		return true
	})
}

func (p *parser) and(depth int) (*Expr, error) {
	return p.list(And, depth, p.term, func() bool {
		switch p.next().kind {
		case and:
			p.take()
			return true
		case word, not, open:
			return true // and need not be written
		}
		return false
	})
}

// list reads one or more parts; more says whether another one follows, and takes the word between.
func (p *parser) list(op Op, depth int, part func(int) (*Expr, error), more func() bool) (*Expr, error) {
	x, err := part(depth)
	if err != nil {
		return nil, err
	}
	args := []*Expr{x}
	for more() {
		if x, err = part(depth); err != nil {
			return nil, err
		}
		args = append(args, x)
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return &Expr{Op: op, Args: args}, nil
}

func (p *parser) term(depth int) (*Expr, error) {
	t := p.next()
	if depth > maxDepth {
		return nil, &Error{At: t.at, Len: t.len, Text: fmt.Sprintf("more than %d levels of parentheses", maxDepth)}
	}
	switch t.kind {
	case not:
		p.take()
		x, err := p.term(depth + 1)
		if err != nil {
			return nil, err
		}
		p.last = nil
		return negate(x), nil
	case open:
		p.take()
		x, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.next().kind != shut {
			return nil, p.unexpected("a closing parenthesis")
		}
		p.take()
		return x, nil
	case word:
		return p.test()
	case in: // in if core1::up
		if join("in", p.tokens[1].text) != "" {
			return p.test()
		}
	}
	return nil, p.unexpected("the name of a field")
}

func negate(x *Expr) *Expr { return &Expr{Op: Not, Args: []*Expr{x}} }

func (p *parser) test() (*Expr, error) {
	if p.tests++; p.tests > MaxTests {
		t := p.next()
		return nil, &Error{At: t.at, Len: t.len, Text: fmt.Sprintf("more than %d comparisons", MaxTests)}
	}
	if x := p.alone(); x != nil {
		p.last = x
		return x, nil
	}
	p.last = nil
	x := p.field()
	negated := false
	if p.next().kind == not {
		p.take()
		negated = true
	}
	t := p.next()
	o, written := operatorOf(t)
	switch {
	case o.refused != "":
		return nil, &Error{At: t.at, Len: t.len, Text: o.refused}
	case written:
		p.take()
	case negated:
		return nil, p.unexpected("in, like, contains or between")
	case t.kind == quoted, t.kind == word && !p.atField(): // port 443
	default:
		return nil, p.noOperator(x)
	}
	x.Compare = o.how
	if o.is && p.next().kind == not {
		p.take()
		negated = !negated
	}
	if err := p.values(x); err != nil {
		return nil, err
	}
	x.adapt(o, written)
	if negated != o.negated {
		return negate(x), nil
	}
	p.last = x
	return x, nil
}

// field reads the name of a field: src.port, or src port.
func (p *parser) field() *Expr {
	name := p.take()
	x := &Expr{Op: Test, Field: name.text, FieldAt: name.at, FieldLen: name.len}
	next := p.next()
	if next.kind != word {
		return x
	}
	switch p.tokens[1].kind { // there is one: the last token is end
	case word, quoted, operator, in, not:
		if joined := join(name.text, next.text); joined != "" {
			p.take()
			x.Field, x.FieldLen = joined, next.at+next.len-name.at
		}
	}
	return x
}

// join returns the field that two words name together, such as src port; "" if there is none.
func join(side, name string) string {
	if Canonical(side) == "device" && Canonical(name) == "ip" {
		return "device" // its name or one of its addresses
	}
	side, ok := sides[strings.ToLower(side)]
	if !ok {
		return ""
	}
	if f, ok := Lookup(Canonical(side + "." + name)); ok {
		return f.Name
	}
	return ""
}

// atField reports whether the next word names a field, with something to compare it with.
func (p *parser) atField() bool {
	_, found := Lookup(Canonical(p.tokens[0].text))
	switch p.tokens[1].kind {
	case word, quoted, operator, in:
		return found
	}
	return false
}

// noOperator is the error of a field that nothing follows.
func (p *parser) noOperator(x *Expr) error {
	bad := &Error{At: x.FieldAt, Len: x.FieldLen}
	switch {
	case units[strings.ToUpper(x.Field)]:
		bad.Text = "write the unit without a space before it: 10M"
	case isDigits(x.Field):
		bad.Text = "a number stands alone: write what it is, such as port = 443; several values of a field stand in " +
			"parentheses: src.as in (64500, 64501)"
	case !isField(x.Field) && (p.next().kind == end || p.next().kind == and || p.next().kind == or ||
		p.next().kind == shut):
		bad.Text = fmt.Sprintf("%[1]s stands alone: write what it is, such as app = %[1]s or org = %[1]s", x.Field)
	default:
		return p.unexpected("=, !=, <, >, ~ or in after " + x.Field)
	}
	return bad
}

func isField(name string) bool {
	_, found := Lookup(Canonical(name))
	return found
}

func isDigits(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// value reads one value. A keyword is a word here: the country of India is IN.
func (p *parser) value() (Value, error) {
	switch t := p.next(); t.kind {
	case word, quoted:
		p.take()
		return Value{t.text, t.at, t.len, t.literal}, nil
	case and, or, not, in:
		if t.text != "!" && t.text != "&&" && t.text != "||" {
			p.take()
			return Value{t.text, t.at, t.len, t.literal}, nil
		}
	}
	return Value{}, p.unexpected("a value")
}

// values reads what a field is compared with: one value, or several with commas between, in parentheses or not.
func (p *parser) values(x *Expr) error {
	if x.Compare == Between {
		return p.bounds(x)
	}
	several := !x.Compare.Ordered()
	enclosed := several && p.next().kind == open
	if enclosed {
		p.take()
	}
	for {
		value, err := p.value()
		if err != nil {
			return err
		}
		x.Values = append(x.Values, value)
		switch t := p.next(); {
		case several && t.kind == comma:
			p.take()
			continue
		case enclosed && t.kind == shut:
			p.take()
		case enclosed:
			return p.unexpected("a comma or a closing parenthesis")
		}
		if len(x.Values) > 1 && x.Compare == Equal {
			x.Compare = In
		}
		return nil
	}
}

// bounds reads the two values of between, which become one: 1-5.
func (p *parser) bounds(x *Expr) error {
	low, err := p.value()
	if err != nil {
		return err
	}
	if p.next().kind != and {
		return p.unexpected("and, and the highest value")
	}
	p.take()
	high, err := p.value()
	if err != nil {
		return err
	}
	x.Values = []Value{{Text: low.Text + "-" + high.Text, At: low.At, Len: high.At + high.Len - low.At}}
	return nil
}
