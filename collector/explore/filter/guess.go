package filter

import (
	"slices"
	"strings"
)

// The language has one way to write each test, and takes what people are used to from tcpdump, nfdump, Wireshark,
// akvorado and SQL as well.

// comparison is what an operator means.
type comparison struct {
	how     Comparison
	negated bool
	like    bool   // the value is a pattern of SQL, with %
	is      bool   // the value may be null, and not may stand before it
	refused string // what to write instead of the operator
}

const noExpressions = "there are no regular expressions: write ~ for a part of a text, or = with * for any characters"

// operators are the operators by how they are written, in lower case.
var operators = map[string]comparison{
	"=": {}, "==": {}, "eq": {}, "is": {is: true}, "!=": {negated: true}, "<>": {negated: true}, "ne": {negated: true},
	"≠": {negated: true}, "≤": {how: LessEqual}, "≥": {how: GreaterEqual},
	"<": {how: Less}, "lt": {how: Less}, "<=": {how: LessEqual}, "le": {how: LessEqual},
	">": {how: Greater}, "gt": {how: Greater}, ">=": {how: GreaterEqual}, "ge": {how: GreaterEqual},
	"in": {how: In}, "notin": {how: In, negated: true}, "<<": {how: In}, "!<<": {how: In, negated: true},
	"between": {how: Between},
	"~":       {how: Like}, "contains": {how: Like}, "!~": {how: Like, negated: true},
	"like": {how: Like, like: true}, "ilike": {how: Like, like: true},
	"unlike": {how: Like, like: true, negated: true}, "iunlike": {how: Like, like: true, negated: true},
	"=~": {refused: noExpressions}, "matches": {refused: noExpressions}, "regexp": {refused: noExpressions},
	"rlike": {refused: noExpressions},
}

// operatorOf returns what a token means as an operator; false if it is none.
func operatorOf(t token) (o comparison, found bool) {
	if t.kind == operator || t.kind == in || t.kind == word {
		o, found = operators[strings.ToLower(t.text)]
	}
	return o, found
}

// adapt changes a test with its values to what its author means by it. written says that it has an operator.
func (x *Expr) adapt(o comparison, written bool) {
	name := Canonical(x.Field)
	if x.Compare != Like || name == "flags" {
		for i := range x.Values {
			x.Values[i].Text = named(name, x.Values[i].Text)
		}
	}
	switch {
	case o.is && len(x.Values) == 1 && strings.EqualFold(x.Values[0].Text, "null"):
		x.Values[0].Text = "unknown"
	case o.like:
		x.pattern()
	case (name == "src.ip" || name == "dst.ip" || name == "ip") && x.all(isAS):
		x.Field = strings.TrimSuffix(name, "ip") + "as" // src AS64500
	case !written && (name == "src.net" || name == "dst.net" || name == "net") && x.all(isAddress):
		x.Field = strings.TrimSuffix(name, "net") + "ip" // net 10/8
	}
}

// all reports whether all values of a test are of a form.
func (x *Expr) all(is func(text string) bool) bool {
	return !slices.ContainsFunc(x.Values, func(v Value) bool { return !is(v.Text) })
}

// pattern translates patterns of SQL: % stands for any characters. A text without it is searched for, as with ~.
func (x *Expr) pattern() {
	if x.all(func(text string) bool { return !strings.ContainsAny(text, "%*") }) {
		return
	}
	x.Compare = In
	for i := range x.Values {
		v := &x.Values[i]
		if strings.Contains(v.Text, "%") {
			v.Text, v.Literal = strings.ReplaceAll(v.Text, "%", "*"), false
		}
	}
}

// sides are the words for the sides of flows, with the beginning of their fields' names.
var sides = map[string]string{"src": "src", "source": "src", "from": "src", "dst": "dst", "dest": "dst",
	"destination": "dst", "to": "dst", "in": "in", "input": "in", "ingress": "in", "out": "out", "output": "out",
	"egress": "out"}

// alone reads a value that names its field by itself: tcp, AS64500, 192.0.2.0/24. It returns nil if there is none.
func (p *parser) alone() *Expr {
	if x := p.again(); x != nil {
		return x
	}
	t := p.next()
	field := fieldOf(t.text)
	if field == "" || t.kind != word {
		return nil
	}
	next := p.tokens[1] // there is one: the last token is end
	if _, written := operatorOf(next); written || next.kind == quoted {
		return nil
	}
	p.take()
	x := &Expr{Op: Test, Field: field, FieldAt: t.at, FieldLen: t.len}
	if strings.EqualFold(t.text, multicast) {
		x.Compare, x.Values = In, []Value{{Text: "224.0.0.0/4", At: t.at, Len: t.len},
			{Text: "ff00::/8", At: t.at, Len: t.len}}
		return x
	}
	x.Values = []Value{{Text: t.text, At: t.at, Len: t.len}}
	x.adapt(comparison{}, true)
	return x
}

// again returns the test of one more value for the field of the test before, or nil: src.as = 64500 or 64501.
func (p *parser) again() *Expr {
	t := p.next()
	if p.before != or || p.last == nil || t.kind != word || p.last.Compare != Equal && p.last.Compare != In {
		return nil
	}
	if next := p.tokens[1].kind; next != end && next != or && next != and && next != shut {
		return nil
	}
	f, _ := Lookup(Canonical(p.last.Field))
	switch {
	case f.Kind == Address && isAddress(t.text):
	case f.Kind == AS && (isAS(t.text) || isDigits(t.text)):
	case f.Kind == Number && isDigits(t.text):
	default:
		return nil
	}
	p.take()
	x := *p.last
	x.Values = []Value{{Text: t.text, At: t.at, Len: t.len}}
	x.adapt(comparison{}, true)
	return &x
}

// multicast is the word for flows to groups (RFC 5771, RFC 4291 section 2.7).
const multicast = "multicast"

// fieldOf returns the field that a value belongs to without doubt; "" if there is none.
func fieldOf(text string) string {
	if _, found := Lookup(Canonical(text)); found {
		return ""
	}
	if _, found := families[strings.ToLower(text)]; found {
		return "version"
	}
	if strings.EqualFold(text, multicast) {
		return "dst.ip"
	}
	if _, found := protocolWords[strings.ToLower(text)]; found {
		return "proto"
	}
	if isAS(text) {
		return "as"
	}
	if isAddress(text) {
		return "ip"
	}
	if proto, port, ok := strings.Cut(text, "/"); ok && protocolWords[strings.ToLower(proto)] != "" && port != "" &&
		isDigits(port) {
		return "app"
	}
	return ""
}

// isAddress reports whether a text is an address, a prefix or a range of addresses.
func isAddress(text string) bool {
	_, _, err := AddressRange(text)
	return err == nil
}

// isAS reports whether a text is an AS number with AS before it.
func isAS(text string) bool {
	_, ok := ASNumber(text)
	return ok && len(text) > 2 && strings.EqualFold(text[:2], "as")
}
