package filter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/commandline"
)

// Kind is the type of a field's values. It decides what the field can be compared with.
type Kind int

// The kinds of values.
const (
	Text        Kind = iota
	Number           // a whole number
	Size             // a whole number that may have k, M, G or T behind it
	AS               // an AS number, or the name of an AS
	Address          // an address or, in filters, a prefix
	Application      // protocol and port, or the name of an application
)

// Field is a name that a filter may use. The user of the filter finds its value: package explore in SQL, package tap in
// a record.
type Field struct {
	Name string
	Kind Kind
	// Both names the fields of both sides that this field stands for: as stands for src.as and dst.as.
	Both []string
	// Stored is set if the values are in tables of metadata, and not in the record.
	Stored bool
}

// Ordered reports whether the field can be compared by < and >.
func (f *Field) Ordered() bool { return f.Kind == Number || f.Kind == Size }

// Fields returns all fields, in the order of lists.
func Fields() []Field {
	ofSide := []Field{
		{Name: "as", Kind: AS}, {Name: "org", Stored: true}, {Name: "net", Stored: true},
		{Name: "ip", Kind: Address}, {Name: "prefix", Kind: Address}, {Name: "port", Kind: Number},
		{Name: "country", Stored: true}, {Name: "city", Stored: true}, {Name: "continent", Stored: true},
		{Name: "sci.org", Stored: true}, {Name: "sci.project", Stored: true}, {Name: "sci.discipline", Stored: true},
	}
	ofWay := []Field{{Name: "if"}, {Name: "circuit", Stored: true}}
	var all []Field
	sides := func(fields []Field, one, other string) {
		for _, side := range []string{one, other} {
			for _, f := range fields {
				f.Name = side + f.Name
				all = append(all, f)
			}
		}
		for _, f := range fields {
			f.Both = []string{one + f.Name, other + f.Name}
			all = append(all, f)
		}
	}
	sides(ofSide, "src.", "dst.")
	sides(ofWay, "in.", "out.")
	return append(all,
		Field{Name: "in.ifindex", Kind: Number}, Field{Name: "out.ifindex", Kind: Number},
		Field{Name: "device"}, Field{Name: "site", Stored: true}, Field{Name: "network", Stored: true},
		Field{Name: "next.as", Kind: AS}, Field{Name: "next.hop", Kind: Address}, Field{Name: "vrf"},
		Field{Name: "as.path"}, Field{Name: "community"}, Field{Name: "vlan", Kind: Number},
		Field{Name: "app", Kind: Application}, Field{Name: "proto"}, Field{Name: "version", Kind: Number},
		Field{Name: "scope"}, Field{Name: "level"}, Field{Name: "originator"}, Field{Name: "collector"},
		Field{Name: "type"}, Field{Name: "bytes", Kind: Size}, Field{Name: "packets", Kind: Size},
		Field{Name: "sampling", Kind: Number}, Field{Name: "flags", Kind: Number}, Field{Name: "dscp", Kind: Number})
}

// Lookup returns the field with a canonical name; false if there is none.
func Lookup(name string) (Field, bool) {
	all := Fields()
	if i := slices.IndexFunc(all, func(f Field) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Field{}, false
}

// aliases are other names of fields.
var aliases = map[string]string{
	"address": "ip", "host": "ip", "src": "src.ip", "dst": "dst.ip", "source": "src.ip", "destination": "dst.ip",
	"src.address": "src.ip", "dst.address": "dst.ip", "src.asn": "src.as", "dst.asn": "dst.as", "asn": "as",
	"organization": "org", "src.organization": "src.org", "dst.organization": "dst.org",
	"interface": "if", "in.interface": "in.if", "out.interface": "out.if", "protocol": "proto", "application": "app",
	"exporter": "device", "router": "device", "peer.as": "next.as", "scopes": "scope", "discipline": "sci.discipline",
	"project": "sci.project", "registry": "sci.org", "path": "as.path", "family": "version", "ip.version": "version",
}

// Canonical returns the name of the field that a user means: src_as, SRC.AS and src.asn are src.as. An unknown name is
// returned in lower case.
func Canonical(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", ".")
	if other, ok := aliases[name]; ok {
		return other
	}
	return name
}

// Unknown is the error of a test whose field is none of those names.
func (x *Expr) Unknown(names []string) *Error {
	bad := &Error{At: x.FieldAt, Len: len(x.Field), Text: x.Field + " is no field"}
	if nearest := commandline.Nearest(Canonical(x.Field), names); nearest != "" {
		bad.Text += ": did you mean " + nearest + "?"
	}
	return bad
}

// IsUnknown reports whether a value is the word unknown, which matches empty and unset keys.
func IsUnknown(value string) bool { return strings.EqualFold(value, "unknown") }

// AddressRange is the first and the last address of a prefix, IPv4 as ::ffff:a.b.c.d. An address is a range of one.
func AddressRange(text string) (from, to netip.Addr, err error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = netip.AddrFrom16(a.As16())
		return a, a, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return from, to, err
	}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	first, last := p.Masked().Addr().As16(), p.Addr().As16()
	for i := bits; i < 128; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom16(first), netip.AddrFrom16(last), nil
}

// HoldsIPv4 reports whether a range of IPv6 contains ::ffff:0:0/96, the form of IPv4 addresses. A filter with an IPv6
// prefix must not match IPv4.
func HoldsIPv4(from, to netip.Addr) bool {
	mapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	return from.Less(mapped) && mapped.Less(to)
}

// ASNumber reads 64500, AS64500 and 1.10 (RFC 5396).
func ASNumber(text string) (uint32, bool) {
	if len(text) > 2 && strings.EqualFold(text[:2], "as") {
		text = text[2:]
	}
	if high, low, ok := strings.Cut(text, "."); ok {
		h, err := strconv.ParseUint(high, 10, 16)
		l, err2 := strconv.ParseUint(low, 10, 16)
		return uint32(h)<<16 | uint32(l), err == nil && err2 == nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}

// WholeNumber parses a number. For a Size it also takes 10k, 1.5G and 2TB, in powers of 1000.
func WholeNumber(text string, k Kind) (uint64, error) {
	n, err := strconv.ParseUint(text, 0, 63)
	if err == nil || k != Size {
		return n, err
	}
	text = strings.TrimSuffix(strings.ToUpper(text), "B")
	if text == "" {
		return 0, strconv.ErrSyntax
	}
	power := strings.IndexByte("KMGTP", text[len(text)-1])
	if power < 0 {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(text[:len(text)-1], 64)
	if err != nil || !(f >= 0) {
		return 0, strconv.ErrSyntax
	}
	for range power + 1 {
		f *= 1000
	}
	if f >= 1<<63 {
		return 0, strconv.ErrRange
	}
	return uint64(f), nil
}
