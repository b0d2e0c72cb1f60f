package explore

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// parameters are the values of a query. They are sent to the server separately from the SQL.
type parameters struct {
	values []parameter
}

type parameter struct{ name, value, typ string }

var escapes = strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\r", "\\r", "\x00", "\\0")

// add adds a value of a ClickHouse type and returns its placeholder for the query.
func (p *parameters) add(value, typ string) string {
	for _, x := range p.values {
		if x.value == value && x.typ == typ {
			return "{" + x.name + ":" + typ + "}"
		}
	}
	name := "p" + strconv.Itoa(len(p.values))
	p.values = append(p.values, parameter{name, value, typ})
	return "{" + name + ":" + typ + "}"
}

func (p *parameters) text(value string) string { return p.add(value, "String") }
func (p *parameters) number(n uint64) string   { return p.add(strconv.FormatUint(n, 10), "UInt64") }

// sent returns the value as the server expects it in a parameter: texts are escaped as in TSV.
func (p *parameter) sent() string {
	if p.typ != "String" {
		return p.value
	}
	return escapes.Replace(p.value)
}

// literal returns the SQL with the values inserted, to be run elsewhere.
func (p *parameters) literal(sql string) string {
	var pairs []string
	for _, x := range p.values {
		value := x.value
		if x.typ == "String" {
			value = sqltext.Text(value)
		}
		pairs = append(pairs, "{"+x.name+":"+x.typ+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

// compiler translates filters to SQL conditions.
type compiler struct {
	planner  *Planner
	params   *parameters
	reversed bool // the other direction: sources are destinations
}

// columns returns the columns that the condition of a filter reads. All fields of the filter must be known.
func (c *compiler) columns(x *filter.Expr) []string {
	var all []string
	x.Tests(func(test *filter.Expr) {
		name := filter.Canonical(test.Field)
		if c.reversed {
			name = reverse(name)
		}
		d := c.planner.dimension(name).tested(test)
		all = append(all, d.columns...)
		for _, side := range d.both {
			all = append(all, c.planner.dimension(side).columns...)
		}
	})
	return all
}

// where returns the SQL condition of a filter; "" for the empty filter. Its error is a *filter.Error.
func (c *compiler) where(x *filter.Expr) (string, error) {
	var parts []string
	for _, arg := range x.Args {
		part, err := c.where(arg)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	switch x.Op {
	case filter.And:
		return "(" + strings.Join(parts, " AND ") + ")", nil
	case filter.Or:
		return "(" + strings.Join(parts, " OR ") + ")", nil
	case filter.Not:
		return "NOT " + parts[0], nil
	case filter.Test:
		return c.test(x)
	}
	return "", nil
}

func (c *compiler) test(x *filter.Expr) (string, error) {
	name := filter.Canonical(x.Field)
	if c.reversed {
		name = reverse(name)
	}
	d := c.planner.dimension(name)
	if d == nil {
		return "", c.unknown(x)
	}
	if len(d.both) == 0 {
		return c.compare(d.tested(x), x)
	}
	var sides []string
	for _, side := range d.both {
		s, err := c.compare(c.planner.dimension(side), x)
		if err != nil {
			return "", err
		}
		sides = append(sides, s)
	}
	// The value is unknown for a flow only if it is unknown at both ends.
	if d.values && filter.IsUnknown(x.Values[0].Text) {
		return "(" + strings.Join(sides, " AND ") + ")", nil
	}
	return "(" + strings.Join(sides, " OR ") + ")", nil
}

func (c *compiler) unknown(x *filter.Expr) error {
	var names []string
	for name := range c.planner.dimensions {
		names = append(names, name)
	}
	return x.Unknown(names)
}

// compare returns the condition of a test for one dimension, which must not combine both ends.
func (c *compiler) compare(d *dimension, x *filter.Expr) (string, error) {
	var any []string
	for _, value := range x.Values {
		one, err := c.value(d, x, value)
		if err != nil {
			return "", err
		}
		any = append(any, one)
	}
	test := any[0]
	if len(any) > 1 {
		test = "(" + strings.Join(any, " OR ") + ")"
	}
	if d.many {
		return "arrayExists(x -> " + test + ", emptyArrayToSingle(" + d.expr + "))", nil
	}
	return test, nil
}

// value returns the condition of a test for one of its values.
func (c *compiler) value(d *dimension, x *filter.Expr, v filter.Value) (string, error) {
	key := d.expr
	if d.many {
		key = "x"
	}
	if err := x.Check(v, d.kind); err != nil {
		return "", err
	}
	unknown := filter.IsUnknown(v.Text) && x.Compare != filter.Like
	switch {
	case d.kind == filter.Number || d.kind == filter.Size:
		return c.number(key, x, v, d.kind)
	case d.kind == filter.Address:
		from, to, err := x.Addresses(v)
		if err != nil {
			return "", err
		}
		return c.between(key, from, to, strings.Contains(v.Text, ":")), nil
	case d.kind == filter.AS:
		if from, to, ok := filter.ASRange(v.Text); ok && x.Compare != filter.Like {
			return c.numbers(key, x.Compare, uint64(from), uint64(to)), nil
		}
		if unknown {
			return key + " = 0", nil
		}
	case d.kind == filter.Application:
		if n, err := strconv.ParseUint(v.Text, 10, 16); err == nil && x.Compare != filter.Like {
			return "application_port = " + c.params.number(n), nil
		}
	case unknown && d.fold != "":
		return key + " NOT IN (SELECT key FROM (" + d.fold + ") WHERE notEmpty(value))", nil
	case unknown:
		return key + " IN ('', " + c.params.text(v.Text) + ")", nil
	}
	switch {
	case d.fold != "":
		return key + " IN (SELECT key FROM (" + d.fold + ") WHERE arrayExists(n -> " +
			c.matches("n", x.Compare, v) + ", names))", nil
	case d.names != "":
		named := key + " IN (SELECT key FROM (" + d.names + ") WHERE arrayExists(n -> " +
			c.matches("n", x.Compare, v) + ", names))"
		if d.kind == filter.AS {
			return named, nil
		}
		return "(" + c.matches("lowerUTF8("+key+")", x.Compare, v) + " OR " + named + ")", nil
	}
	return c.matches("lowerUTF8("+key+")", x.Compare, v), nil
}

// number returns the condition of a test of a number.
func (c *compiler) number(key string, x *filter.Expr, v filter.Value, k filter.Kind) (string, error) {
	from, to, err := x.Numbers(v, k)
	if err != nil {
		return "", err
	}
	if x.OfBits() {
		bits := c.params.number(from)
		return "bitAnd(" + key + ", " + bits + ") = " + bits, nil
	}
	return c.numbers(key, x.Compare, from, to), nil
}

// numbers returns the condition for numbers of a range, or of one number in another comparison: > takes those above
// the range, < those below.
func (c *compiler) numbers(key string, how filter.Comparison, from, to uint64) string {
	switch how {
	case filter.Less, filter.GreaterEqual:
		return key + " " + how.String() + " " + c.params.number(from)
	case filter.Greater, filter.LessEqual:
		return key + " " + how.String() + " " + c.params.number(to)
	}
	if from == to {
		return key + " = " + c.params.number(from)
	}
	return key + " BETWEEN " + c.params.number(from) + " AND " + c.params.number(to)
}

// matches returns the comparison of a lower-case text with a value, in which a star stands for any characters.
func (c *compiler) matches(key string, how filter.Comparison, v filter.Value) string {
	value := v.Text
	if how == filter.Like {
		return "position(" + key + ", lowerUTF8(" + c.params.text(value) + ")) > 0"
	}
	if strings.Contains(value, "*") && !v.Literal {
		pattern := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%").Replace(value)
		return key + " LIKE lowerUTF8(" + c.params.text(pattern) + ")"
	}
	return key + " = lowerUTF8(" + c.params.text(value) + ")"
}

// between returns the condition for addresses within a prefix. The column has IPv4 as ::ffff:a.b.c.d, which an IPv6
// prefix must not match.
func (c *compiler) between(key string, from, to netip.Addr, six bool) string {
	first := "toIPv6(" + c.params.text(from.String()) + ")"
	if from == to {
		return key + " = " + first
	}
	in := key + " BETWEEN " + first + " AND toIPv6(" + c.params.text(to.String()) + ")"
	if six && filter.HoldsIPv4(from, to) {
		return "(" + in + " AND NOT " + key + " BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'))"
	}
	return in
}
