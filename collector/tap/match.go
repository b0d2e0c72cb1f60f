package tap

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// A field is what a filter may name. One of the functions is set.
type field struct {
	both    []string // it is true of either of these fields
	number  func(*enrich.Row) uint64
	text    func(*enrich.Row) string
	address func(*enrich.Row) flow.Addr
}

// fields have the names of package explore's dimensions, of those that need no table.
func fields() map[string]field {
	return map[string]field{
		"exporter":    {address: func(r *enrich.Row) flow.Addr { return r.Flow.Exporter }},
		"device":      {text: func(r *enrich.Row) string { return r.DeviceID }},
		"ip":          {both: []string{"src.ip", "dst.ip"}},
		"src.ip":      {address: func(r *enrich.Row) flow.Addr { return r.Flow.SrcAddr }},
		"dst.ip":      {address: func(r *enrich.Row) flow.Addr { return r.Flow.DstAddr }},
		"port":        {both: []string{"src.port", "dst.port"}},
		"src.port":    {number: func(r *enrich.Row) uint64 { return uint64(r.SrcPort) }},
		"dst.port":    {number: func(r *enrich.Row) uint64 { return uint64(r.DstPort) }},
		"as":          {both: []string{"src.as", "dst.as"}},
		"src.as":      {number: func(r *enrich.Row) uint64 { return uint64(r.SrcASID) }},
		"dst.as":      {number: func(r *enrich.Row) uint64 { return uint64(r.DstASID) }},
		"if":          {both: []string{"in.if", "out.if"}},
		"in.if":       {text: func(r *enrich.Row) string { return r.In.ID }},
		"out.if":      {text: func(r *enrich.Row) string { return r.Out.ID }},
		"in.ifindex":  {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.InIf) }},
		"out.ifindex": {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.OutIf) }},
		"next.hop":    {address: func(r *enrich.Row) flow.Addr { return r.Flow.NextHop }},
		"proto":       {text: func(r *enrich.Row) string { return r.Protocol }},
		"type":        {text: func(r *enrich.Row) string { return r.Flow.Protocol.String() }},
		"version":     {number: func(r *enrich.Row) uint64 { return uint64(r.IPVersion) }},
		"vrf":         {text: func(r *enrich.Row) string { return r.VRFName }},
		"vlan":        {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.VLAN) }},
		"bytes":       {number: func(r *enrich.Row) uint64 { return r.Bits / 8 }},
		"packets":     {number: func(r *enrich.Row) uint64 { return r.Packets }},
		"sampling":    {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.SamplingRate) }},
		"flags":       {number: func(r *enrich.Row) uint64 { return uint64(r.Flow.TCPFlags) }},
	}
}

// compile makes a function of a filter. Its error is a *filter.Error.
func compile(text string) (func(*enrich.Row) bool, error) {
	x, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	return compiled(x, fields())
}

func compiled(x *filter.Expr, known map[string]field) (func(*enrich.Row) bool, error) {
	var args []func(*enrich.Row) bool
	for _, arg := range x.Args {
		f, err := compiled(arg, known)
		if err != nil {
			return nil, err
		}
		args = append(args, f)
	}
	any := func(r *enrich.Row) bool {
		return slices.ContainsFunc(args, func(f func(*enrich.Row) bool) bool { return f(r) })
	}
	switch x.Op {
	case filter.And:
		return func(r *enrich.Row) bool {
			return !slices.ContainsFunc(args, func(f func(*enrich.Row) bool) bool { return !f(r) })
		}, nil
	case filter.Or:
		return any, nil
	case filter.Not:
		return func(r *enrich.Row) bool { return !args[0](r) }, nil
	case filter.Test:
		return test(x, known)
	}
	return func(*enrich.Row) bool { return true }, nil
}

func test(x *filter.Expr, known map[string]field) (func(*enrich.Row) bool, error) {
	name := strings.ToLower(x.Field)
	if sides := map[string]string{"src": "src.ip", "dst": "dst.ip"}; sides[name] != "" {
		name = sides[name]
	}
	f, found := known[name]
	if !found {
		var names []string
		for n := range known {
			names = append(names, n)
		}
		bad := &filter.Error{At: x.FieldAt, Len: len(x.Field), Text: x.Field + " is no field of a record"}
		if near := commandline.Nearest(name, names); near != "" {
			bad.Text += ": did you mean " + near + "?"
		}
		return nil, bad
	}
	var tests []func(*enrich.Row) bool
	for _, side := range f.both {
		one := *x
		one.Field = side
		t, err := test(&one, known)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	for _, v := range x.Values {
		if len(f.both) > 0 {
			break
		}
		t, err := f.compare(x, v)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(r *enrich.Row) bool {
		return slices.ContainsFunc(tests, func(t func(*enrich.Row) bool) bool { return t(r) })
	}, nil
}

// compare is the comparison with one value.
func (f *field) compare(x *filter.Expr, v filter.Value) (func(*enrich.Row) bool, error) {
	bad := func(what string) error {
		return &filter.Error{At: v.At, Len: v.Len, Text: fmt.Sprintf("%s: %q is %s", x.Field, v.Text, what)}
	}
	switch {
	case f.number != nil:
		digits := strings.TrimPrefix(strings.ToUpper(v.Text), "AS")
		n, err := strconv.ParseUint(digits, 0, 64)
		if err != nil {
			return nil, bad("no number")
		}
		get := f.number
		switch x.Compare {
		case filter.Less:
			return func(r *enrich.Row) bool { return get(r) < n }, nil
		case filter.LessEqual:
			return func(r *enrich.Row) bool { return get(r) <= n }, nil
		case filter.Greater:
			return func(r *enrich.Row) bool { return get(r) > n }, nil
		case filter.GreaterEqual:
			return func(r *enrich.Row) bool { return get(r) >= n }, nil
		case filter.Like:
			return nil, bad("a number: compare it with = or <")
		}
		return func(r *enrich.Row) bool { return get(r) == n }, nil
	case f.address != nil:
		prefix, err := netip.ParsePrefix(v.Text)
		if a, addrErr := netip.ParseAddr(v.Text); addrErr == nil {
			prefix, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || x.Compare != filter.Equal && x.Compare != filter.In {
			return nil, bad("neither an address nor a prefix to compare with = or in")
		}
		get := f.address
		return func(r *enrich.Row) bool { return prefix.Contains(get(r).Netip()) }, nil
	}
	get, want := f.text, strings.ToLower(v.Text)
	switch x.Compare {
	case filter.Like:
		return func(r *enrich.Row) bool { return strings.Contains(strings.ToLower(get(r)), want) }, nil
	case filter.Equal, filter.In:
		return func(r *enrich.Row) bool { return strings.EqualFold(get(r), want) }, nil
	}
	return nil, bad("a text: compare it with = or ~")
}
