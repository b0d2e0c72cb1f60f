package tap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

// value is how the value of a field is found in a row. The function that fits the field's kind is set; texts is for
// fields that may have several, of which one must pass.
type value struct {
	number  func(*enrich.Row) uint64
	text    func(*enrich.Row) string
	texts   func(*enrich.Row) []string
	address func(*enrich.Row) flow.Addr
}

// exporter is the field that only records have: the exporter's address. Elsewhere it is another name for device.
const exporter = "exporter"

// values are those of package filter's fields that a record has.
func values(l *message.Layout) map[string]value {
	constant := func(text string) value { return value{text: func(*enrich.Row) string { return text }} }
	return map[string]value{
		exporter:      {address: func(r *enrich.Row) flow.Addr { return r.Flow.Exporter }},
		"device":      {text: func(r *enrich.Row) string { return r.DeviceID }},
		"src.ip":      {address: func(r *enrich.Row) flow.Addr { return r.Flow.SrcAddr }},
		"dst.ip":      {address: func(r *enrich.Row) flow.Addr { return r.Flow.DstAddr }},
		"src.prefix":  {address: func(r *enrich.Row) flow.Addr { return network(r.Flow.SrcAddr, r.IPVersion) }},
		"dst.prefix":  {address: func(r *enrich.Row) flow.Addr { return network(r.Flow.DstAddr, r.IPVersion) }},
		"src.port":    {number: func(r *enrich.Row) uint64 { return uint64(r.SrcPort) }},
		"dst.port":    {number: func(r *enrich.Row) uint64 { return uint64(r.DstPort) }},
		"src.as":      {number: func(r *enrich.Row) uint64 { return uint64(r.SrcASID) }},
		"dst.as":      {number: func(r *enrich.Row) uint64 { return uint64(r.DstASID) }},
		"in.if":       {text: func(r *enrich.Row) string { return r.In.ID }},
		"out.if":      {text: func(r *enrich.Row) string { return r.Out.ID }},
		"in.ifindex":  {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.InIfKind.Number(r.Flow.InIf)) }},
		"out.ifindex": {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.OutIfKind.Number(r.Flow.OutIf)) }},
		"next.as":     {number: func(r *enrich.Row) uint64 { return uint64(r.PeerASID) }},
		"next.hop":    {address: func(r *enrich.Row) flow.Addr { return r.PeerIP }},
		"vrf":         {text: func(r *enrich.Row) string { return r.VRFName }},
		"as.path":     {text: func(r *enrich.Row) string { return strings.Trim(fmt.Sprint(r.ASPathID), "[]") }},
		"community":   {texts: communities},
		"vlan":        {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.VLAN) }},
		"app": {text: func(r *enrich.Row) string {
			return r.Protocol + "/" + strconv.Itoa(int(r.ApplicationPort))
		}, number: func(r *enrich.Row) uint64 { return uint64(r.ApplicationPort) }},
		"proto":      {text: func(r *enrich.Row) string { return r.Protocol }},
		"version":    {number: func(r *enrich.Row) uint64 { return uint64(r.IPVersion) }},
		"scope":      {texts: func(r *enrich.Row) []string { return r.PolicyScope.Append(nil) }},
		"level":      constant(l.PolicyLevel),
		"originator": constant(l.PolicyOriginator),
		"collector":  constant(l.CollectorID),
		"type": {texts: func(r *enrich.Row) []string {
			return []string{r.Flow.Protocol.Family(), r.Flow.Protocol.String()}
		}},
		"bytes":    {number: func(r *enrich.Row) uint64 { return r.Bits / 8 }},
		"packets":  {number: func(r *enrich.Row) uint64 { return r.Packets }},
		"sampling": {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.SamplingRate) }},
		"flags":    {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.TCPFlags) }},
		"dscp":     {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.ToS >> 2) }},
	}
}

// network is the first address of the prefix that package explore groups addresses by: a /24 or a /48.
func network(a flow.Addr, version uint8) flow.Addr {
	keep := 6
	if version == 4 {
		keep = 15
	}
	clear(a[keep:])
	return a
}

// communities are a row's communities as AS:value.
func communities(r *enrich.Row) []string {
	all := make([]string, len(r.Flow.Communities))
	for i, c := range r.Flow.Communities {
		all[i] = fmt.Sprintf("%d:%d", c>>16, c&0xffff)
	}
	return all
}

// match decides about a row. It is safe for concurrent use.
type match func(*enrich.Row) bool

// compile makes a function of a filter. Its error is a *filter.Error.
func compile(text string, l *message.Layout) (match, error) {
	x, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	c := compiler{values(l)}
	return c.compile(x)
}

// compiler makes functions of filters, as package explore makes SQL of them: a filter means the same in both.
type compiler struct{ values map[string]value }

func (c *compiler) compile(x *filter.Expr) (match, error) {
	var args []match
	for _, arg := range x.Args {
		f, err := c.compile(arg)
		if err != nil {
			return nil, err
		}
		args = append(args, f)
	}
	switch x.Op {
	case filter.And:
		return func(r *enrich.Row) bool {
			return !slices.ContainsFunc(args, func(f match) bool { return !f(r) })
		}, nil
	case filter.Or:
		return anyOf(args), nil
	case filter.Not:
		return func(r *enrich.Row) bool { return !args[0](r) }, nil
	case filter.Test:
		return c.test(x)
	}
	return func(*enrich.Row) bool { return true }, nil
}

func anyOf(all []match) match {
	if len(all) == 1 {
		return all[0]
	}
	return func(r *enrich.Row) bool { return slices.ContainsFunc(all, func(f match) bool { return f(r) }) }
}

func (c *compiler) test(x *filter.Expr) (match, error) {
	field, found := filter.Lookup(filter.Canonical(x.Field))
	if filter.Canonical(x.Field) == "device" && isAddress(x.Values) {
		field, found = filter.Field{Name: exporter, Kind: filter.Address}, true
	}
	if !found {
		return nil, x.Unknown(Fields())
	}
	if field.Stored {
		return nil, &filter.Error{At: x.FieldAt, Len: x.FieldLen, Text: x.Field +
			" is not in a record but in the tables of metadata: use collector explore"}
	}
	sides := field.Both
	if len(sides) == 0 {
		sides = []string{field.Name}
	}
	var tests []match
	for _, side := range sides {
		for _, v := range x.Values {
			t, err := c.compare(x, &field, c.values[side], v)
			if err != nil {
				return nil, err
			}
			tests = append(tests, t)
		}
	}
	return anyOf(tests), nil
}

// Fields are the names of the fields that a record has.
func Fields() (all []string) {
	for _, f := range filter.Fields() {
		if !f.Stored {
			all = append(all, f.Name)
		}
	}
	return append([]string{exporter}, all...)
}

func isAddress(all []filter.Value) bool {
	return !slices.ContainsFunc(all, func(v filter.Value) bool {
		_, _, err := filter.AddressRange(v.Text)
		return err != nil
	})
}

// compare is the comparison of a field with one value.
func (c *compiler) compare(x *filter.Expr, f *filter.Field, get value, v filter.Value) (match, error) {
	if err := x.Check(v, f.Kind); err != nil {
		return nil, err
	}
	switch f.Kind {
	case filter.Number, filter.Size:
		from, to, err := x.Numbers(v, f.Kind)
		if err != nil {
			return nil, err
		}
		if x.OfBits() {
			return func(r *enrich.Row) bool { return get.number(r)&from == from }, nil
		}
		return numberTest(x.Compare, get.number, from, to), nil
	case filter.AS:
		from, to, ok := filter.ASRange(v.Text)
		if !ok && !filter.IsUnknown(v.Text) || x.Compare == filter.Like {
			return nil, v.Bad("names of AS are not in a record but in the tables of metadata: use collector explore")
		}
		return numberTest(x.Compare, get.number, uint64(from), uint64(to)), nil // 0 is unknown
	case filter.Address:
		from, to, err := x.Addresses(v)
		if err != nil {
			return nil, err
		}
		return addressTest(get.address, from, to, strings.Contains(v.Text, ":")), nil
	case filter.Application:
		if n, err := strconv.ParseUint(v.Text, 10, 16); err == nil && x.Compare != filter.Like {
			return numberTest(filter.Equal, get.number, n, n), nil
		}
		if !strings.Contains(v.Text, "/") {
			return nil, v.Bad("names of applications are not in a record but in the tables of metadata: " +
				"use collector explore")
		}
	}
	return textTest(x.Compare, get, v), nil
}

// numberTest compares a number with a range: < takes those below it, > those above.
func numberTest(how filter.Comparison, get func(*enrich.Row) uint64, from, to uint64) match {
	switch how {
	case filter.Less:
		return func(r *enrich.Row) bool { return get(r) < from }
	case filter.LessEqual:
		return func(r *enrich.Row) bool { return get(r) <= to }
	case filter.Greater:
		return func(r *enrich.Row) bool { return get(r) > to }
	case filter.GreaterEqual:
		return func(r *enrich.Row) bool { return get(r) >= from }
	}
	return func(r *enrich.Row) bool { n := get(r); return n >= from && n <= to }
}

// addressTest takes the addresses of a range; six says that it is written as IPv6.
func addressTest(get func(*enrich.Row) flow.Addr, from, to netip.Addr, six bool) match {
	without4 := six && from != to && filter.HoldsIPv4(from, to)
	return func(r *enrich.Row) bool {
		addr := get(r)
		a := netip.AddrFrom16(addr)
		return from.Compare(a) <= 0 && a.Compare(to) <= 0 && !(without4 && addr.Is4())
	}
}

// textTest compares texts, in which capitals do not matter and a star stands for any characters. Where a row has no
// text the text is empty.
func textTest(how filter.Comparison, get value, v filter.Value) match {
	text := strings.ToLower(v.Text)
	test := func(s string) bool { return s == text }
	switch {
	case how == filter.Like:
		test = func(s string) bool { return strings.Contains(s, text) }
	case filter.IsUnknown(text):
		test = func(s string) bool { return s == "" || s == text }
	case strings.Contains(text, "*") && !v.Literal:
		parts := strings.Split(text, "*")
		test = func(s string) bool { return matches(s, parts) }
	}
	if get.texts == nil {
		return func(r *enrich.Row) bool { return test(strings.ToLower(get.text(r))) }
	}
	return func(r *enrich.Row) bool {
		all := get.texts(r)
		return len(all) == 0 && test("") ||
			slices.ContainsFunc(all, func(s string) bool { return test(strings.ToLower(s)) })
	}
}

// matches reports whether a text is the parts with anything between them.
func matches(s string, parts []string) bool {
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(s, parts[last])
}
