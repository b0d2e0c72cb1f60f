package filter

import "fmt"

// parser reads tokens by recursive descent.
type parser struct {
	tokens []token
	tests  int
}

func (p *parser) next() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
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
	}
	return nil, p.unexpected("the name of a field")
}

func negate(x *Expr) *Expr { return &Expr{Op: Not, Args: []*Expr{x}} }

func (p *parser) test() (*Expr, error) {
	name := p.take()
	if p.tests++; p.tests > MaxTests {
		return nil, &Error{At: name.at, Len: name.len, Text: fmt.Sprintf("more than %d comparisons", MaxTests)}
	}
	x := &Expr{Op: Test, Field: name.text, FieldAt: name.at}
	negated := false
	switch t := p.next(); t.kind {
	case operator:
		p.take()
		x.Compare, negated = comparison(t.text)
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		x.Values = []Value{value}
	case in, not:
		p.take()
		if negated = t.kind == not; negated {
			if p.next().kind != in {
				return nil, p.unexpected("in")
			}
			p.take()
		}
		x.Compare = In
		var err error
		if x.Values, err = p.values(); err != nil {
			return nil, err
		}
	default:
		return nil, p.unexpected("=, !=, <, >, ~ or in after " + name.text)
	}
	if negated {
		return negate(x), nil
	}
	return x, nil
}

func comparison(sign string) (c Comparison, negated bool) {
	switch sign {
	case "!=", "<>":
		return Equal, true
	case "<":
		return Less, false
	case "<=":
		return LessEqual, false
	case ">":
		return Greater, false
	case ">=":
		return GreaterEqual, false
	case "~":
		return Like, false
	case "!~":
		return Like, true
	}
	return Equal, false
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

func (p *parser) values() ([]Value, error) {
	if p.next().kind != open {
		value, err := p.value()
		return []Value{value}, err
	}
	p.take()
	var all []Value
	for {
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		all = append(all, value)
		switch p.next().kind {
		case shut:
			p.take()
			return all, nil
		case comma:
			p.take()
		default:
			return nil, p.unexpected("a comma or a closing parenthesis")
		}
	}
}
