package filter

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// Ordered reports whether values can be compared by < and >.
func (k Kind) Ordered() bool { return k == Number || k == Size || k == AS || k == Address }

// Field is a name that a filter may use. The user of the filter finds its value: package explore in SQL, package tap in
// a record.
type Field struct {
	Name string
	Kind Kind
	// Both names the fields of both sides that this field stands for: as stands for src.as and dst.as.
	Both []string
	// Stored is set if the values are in tables of metadata, and not in the record.
	Stored bool
	// Max is the largest value of a Number that a flow can have.
	Max uint64
}

// The largest numbers of their fields. A VLAN has 12 bits (IEEE 802.1Q), DSCP six (RFC 2474).
const (
	maxPort      = math.MaxUint16
	maxProtocol  = math.MaxUint8
	maxVLAN      = 1<<12 - 1
	maxDSCP      = 1<<6 - 1
	maxFlags     = math.MaxUint16
	maxVersion   = 6
	maxCommunity = math.MaxUint16 // of each half (RFC 1997)
)

// Fields returns all fields, in the order of lists.
func Fields() []Field {
	ofSide := []Field{
		{Name: "as", Kind: AS}, {Name: "org", Stored: true}, {Name: "net", Stored: true},
		{Name: "ip", Kind: Address}, {Name: "prefix", Kind: Address},
		{Name: "port", Kind: Number, Max: maxPort},
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
		Field{Name: "in.ifindex", Kind: Number, Max: math.MaxUint32},
		Field{Name: "out.ifindex", Kind: Number, Max: math.MaxUint32},
		Field{Name: "device"}, Field{Name: "site", Stored: true}, Field{Name: "network", Stored: true},
		Field{Name: "next.as", Kind: AS}, Field{Name: "next.hop", Kind: Address}, Field{Name: "vrf"},
		Field{Name: "as.path"}, Field{Name: "community"}, Field{Name: "vlan", Kind: Number, Max: maxVLAN},
		Field{Name: "app", Kind: Application}, Field{Name: "proto"},
		Field{Name: "version", Kind: Number, Max: maxVersion},
		Field{Name: "scope"}, Field{Name: "level"}, Field{Name: "originator"}, Field{Name: "collector"},
		Field{Name: "type"}, Field{Name: "bytes", Kind: Size}, Field{Name: "packets", Kind: Size},
		Field{Name: "sampling", Kind: Number, Max: math.MaxUint32},
		Field{Name: "flags", Kind: Number, Max: maxFlags}, Field{Name: "dscp", Kind: Number, Max: maxDSCP})
}

// Lookup returns the field with a canonical name; false if there is none.
func Lookup(name string) (Field, bool) {
	all := Fields()
	if i := slices.IndexFunc(all, func(f Field) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Field{}, false
}

// aliases are other names of fields, without the side of those that have one.
var aliases = map[string]string{
	"address": "ip", "addr": "ip", "host": "ip", "asn": "as", "as.id": "as", "as.number": "as", "organization": "org",
	"net.name": "net", "service": "app", "services": "app", "portrange": "port",
	"interface": "if", "interface.id": "if", "if.name": "if", "iface": "if", "if.index": "ifindex",
	"protocol": "proto", "application": "app", "ip.proto": "proto", "ip.protocol": "proto",
	"exporter": "device", "router": "device", "device.id": "device", "exporter.name": "device",
	"peer.as": "next.as", "peer.as.id": "next.as", "peer.ip": "next.hop", "nexthop": "next.hop",
	"scopes": "scope", "policy.scope": "scope", "policy.level": "level", "policy.originator": "originator",
	"discipline": "sci.discipline", "project": "sci.project", "registry": "sci.org",
	"path": "as.path", "communities": "community", "vlan.id": "vlan", "collector.id": "collector", "flow.type": "type",
	"family": "version", "ip.version": "version", "etype": "version", "af": "version",
	"octets": "bytes", "pkts": "packets", "packet.count": "packets", "sampling.rate": "sampling", "tcp.flags": "flags",
	"ip.addr": "ip", "ip.src": "src.ip", "ip.dst": "dst.ip", "application.port": "app",
}

// Canonical returns the name of the field that a user means: src_as, SrcAS, SRC.AS and src.asn are src.as. An unknown
// name is returned in lower case.
func Canonical(name string) string {
	name = strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(name))
	if side, ok := sides[name]; ok && side != "in" && side != "out" {
		return side + ".ip"
	}
	if field, ok := names()[name]; ok {
		return field
	}
	if field, ok := names()[strings.ReplaceAll(name, ".", "")]; ok {
		return field
	}
	return name
}

// names are the fields by all their names: by those with dots, and by those without.
var names = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	add := func(name, field string) {
		all[name] = field
		if short := strings.ReplaceAll(name, ".", ""); all[short] == "" {
			all[short] = field
		}
	}
	fields := Fields()
	for _, f := range fields {
		add(f.Name, f.Name)
	}
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		name := aliases[alias]
		if all[alias] == "" {
			add(alias, name)
		}
		for _, side := range slices.Sorted(maps.Keys(sides)) {
			short := sides[side]
			if all[side+"."+alias] == "" && all[short+"."+name] == short+"."+name {
				add(side+"."+alias, short+"."+name)
			}
		}
	}
	for _, side := range slices.Sorted(maps.Keys(sides)) {
		short := sides[side]
		for _, f := range fields {
			if rest, ok := strings.CutPrefix(f.Name, short+"."); ok && all[side+"."+rest] == "" {
				add(side+"."+rest, f.Name)
			}
		}
	}
	return all
})

// elsewhere says what to do instead of a field that people look for.
var elsewhere = map[string]string{
	"time": "the time is chosen beside the filter", "date": "the time is chosen beside the filter",
	"start.time": "the time is chosen beside the filter", "end.time": "the time is chosen beside the filter",
	"start": "the time is chosen beside the filter", "timestamp": "the time is chosen beside the filter",
	"bits": "write bytes, those of the flow", "bit.count": "write bytes, those of the flow",
	"bps": "a filter takes flows by their bytes and packets, not by rates", "duration": "flows have no such field",
	"pps":      "a filter takes flows by their bytes and packets, not by rates",
	"tcp.port": "write proto = tcp and port = …", "tcp.srcport": "write proto = tcp and src.port = …",
	"tcp.dstport": "write proto = tcp and dst.port = …", "udp.port": "write proto = udp and port = …",
	"udp.srcport": "write proto = udp and src.port = …", "udp.dstport": "write proto = udp and dst.port = …",
	"→": "write src = … and dst = …", "-": "write src = … and dst = …",
	"any": "leave the filter empty to take all flows", "*": "leave the filter empty to take all flows",
}

// IsUnknown reports whether a value is the word unknown or nothing, which match empty and unset keys.
func IsUnknown(value string) bool { return value == "" || strings.EqualFold(value, "unknown") }

// AddressRange is the first and the last address of a prefix or of a range, IPv4 as ::ffff:a.b.c.d. An address is a
// range of one. It reads 192.0.2.7, 192.0.2.0/24, 10/8, 192.0.2.1-192.0.2.9, 2001:db8::1 and [2001:db8::1].
func AddressRange(text string) (from, to netip.Addr, err error) {
	text = withoutStars(text)
	if low, high, ok := strings.Cut(text, "-"); ok {
		return betweenAddresses(low, high)
	}
	if a, err := parseAddress(text); err == nil {
		return a, a, nil
	}
	p, err := parsePrefix(text)
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

// withoutStars returns the prefix that stars for the last bytes of an IPv4 address mean: 192.0.2.* is 192.0.2/24.
func withoutStars(text string) string {
	begin := text
	for strings.HasSuffix(begin, ".*") {
		begin = strings.TrimSuffix(begin, ".*")
	}
	bytes := strings.Count(begin, ".") + 1
	if begin == text || bytes > 3 {
		return text
	}
	return begin + "/" + strconv.Itoa(8*bytes)
}

// errOrder is the error of a range whose end is before its beginning.
var errOrder = errors.New("the range ends before it begins")

func betweenAddresses(low, high string) (from, to netip.Addr, err error) {
	if from, err = parseAddress(low); err == nil {
		to, err = parseAddress(high)
	}
	if err == nil && to.Less(from) {
		err = errOrder
	}
	return from, to, err
}

// parseAddress reads an address, IPv4 as ::ffff:a.b.c.d. IPv6 may stand in brackets.
func parseAddress(text string) (netip.Addr, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, cmp.Or(err, errZone)
	}
	return netip.AddrFrom16(a.As16()), nil
}

// errZone is the error of an address with a zone, which flows do not have.
var errZone = errors.New("the address has a zone")

// parsePrefix reads a prefix. The last bytes of an IPv4 prefix may be left out: 10/8.
func parsePrefix(text string) (netip.Prefix, error) {
	address, bits, _ := strings.Cut(text, "/")
	if !strings.Contains(address, ":") {
		address += strings.Repeat(".0", max(0, 3-strings.Count(address, ".")))
	}
	return netip.ParsePrefix(address + "/" + bits)
}

// HoldsIPv4 reports whether a range of IPv6 contains ::ffff:0:0/96, the form of IPv4 addresses. A filter with an IPv6
// prefix must not match IPv4.
func HoldsIPv4(from, to netip.Addr) bool {
	mapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	return from.Less(mapped) && mapped.Less(to)
}

// ASNumber reads 64500, AS64500 and 1.10 (RFC 5396), and a number with the name behind it as pages show it:
// AS64500 UNI-A.
func ASNumber(text string) (uint32, bool) {
	if len(text) > 2 && strings.EqualFold(text[:2], "as") {
		text, _, _ = strings.Cut(text[2:], " ")
	}
	if high, low, ok := strings.Cut(text, "."); ok {
		h, err := strconv.ParseUint(high, 10, 16)
		l, err2 := strconv.ParseUint(low, 10, 16)
		return uint32(h)<<16 | uint32(l), err == nil && err2 == nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}

// ASRange reads an AS number, or two with a dash between: 64512-65534.
func ASRange(text string) (from, to uint32, ok bool) {
	low, high, both := strings.Cut(text, "-")
	if from, ok = ASNumber(text); ok || !both {
		return from, from, ok
	}
	if from, ok = ASNumber(low); ok {
		to, ok = ASNumber(high)
	}
	return from, to, ok && from <= to
}

// NumberRange reads a number as WholeNumber does, or two with a dash between: 1000-2000.
func NumberRange(text string, k Kind) (from, to uint64, err error) {
	low, high, both := strings.Cut(text, "-")
	if from, err = WholeNumber(low, k); err != nil || !both {
		return from, from, err
	}
	if to, err = WholeNumber(high, k); err == nil && to < from {
		err = errOrder
	}
	return from, to, err
}

// WholeNumber parses a number. For a Size it also takes 10k, 1.5G and 2TB, in powers of 1000, and 4KiB.
func WholeNumber(text string, k Kind) (uint64, error) {
	base := 10
	if len(text) > 1 && (text[1] == 'x' || text[1] == 'X') {
		base = 0
	}
	n, err := strconv.ParseUint(text, base, 63)
	if err == nil || k != Size || errors.Is(err, strconv.ErrRange) {
		return n, err
	}
	text, unit := strings.TrimSuffix(strings.ToUpper(text), "B"), 1000.0
	if strings.HasSuffix(text, "I") {
		text, unit = strings.TrimSuffix(text, "I"), 1024
	}
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
		f *= unit
	}
	if f >= 1<<63 {
		return 0, strconv.ErrRange
	}
	return uint64(f), nil
}
