package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Row holds the value of every column of a table, in the order of Table.Columns; Kind says the types.
type Row []any

// Subnet is a prefix as a source writes it: the address is text, for the hash is taken of that text.
type Subnet struct {
	Address string
	Bits    uint8 // of the address's own family
}

// errMissing is the reason for a record without a required value.
var errMissing = errors.New("missing")

// Coerce turns a record into a row, which it appends to row[:0]. References are left NULL. The error says which column
// does not fit and costs the record.
func (t *Table) Coerce(raw Raw, row Row) (Row, error) {
	row = row[:0]
	for i := range t.Columns {
		c := &t.Columns[i]
		v, err := c.coerce(raw[c.Name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		row = append(row, v)
	}
	return row, nil
}

// ID is what tells the record apart: its id as text, for applications with protocol and ports.
func (t *Table) ID(row Row) string {
	if len(t.key) == 1 {
		return text(row[t.key[0]])
	}
	parts := make([]string, len(t.key))
	for i, k := range t.key {
		parts[i] = text(row[k])
	}
	return strings.Join(parts, " ")
}

func (c *Column) coerce(v any) (any, error) {
	if v == nil && c.Required {
		return nil, errMissing
	}
	switch c.Kind {
	case Text:
		s, err := coerceText(v)
		if err == nil && s == "" && c.Required && c.Name == "id" {
			return nil, errMissing
		}
		return s, err
	case NullText:
		if v == nil {
			return nil, nil
		}
		return coerceText(v)
	case Float:
		return coerceFloat(v), nil
	case Uint16:
		return required(coerceUint(v, math.MaxUint16), v)
	case Uint32:
		return required(coerceUint(v, math.MaxUint32), v)
	case NullUint32:
		return coerceUint(v, math.MaxUint32), nil
	case NullUint64:
		return coerceUint(v, math.MaxUint64), nil
	case Bool:
		return coerceBool(v), nil
	case Texts, NullTexts:
		return coerceTexts(v)
	case Pair:
		return coercePair(v)
	case Addresses:
		return coerceAddresses(v)
	case NullIPv4, NullIPv6:
		return coerceAddress(v, c.Kind == NullIPv4)
	case Subnets:
		return coerceSubnets(v)
	case Date:
		return coerceDate(v), nil
	case JSON:
		return coerceJSON(v)
	default: // references are looked up
		return nil, nil
	}
}

func required(v, given any) (any, error) {
	if v == nil {
		return nil, fmt.Errorf("%v is not a number of that column's range", given)
	}
	return v, nil
}

// coerceText accepts what YAML makes of a text that looks like something else, such as 143 or true.
func coerceText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, int, int64, uint64, uint32, float64, json.Number:
		return text(v), nil
	case time.Time:
		return v.Format(time.DateOnly), nil
	default:
		return "", fmt.Errorf("%s instead of a text", typeName(v))
	}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return string(appendFloat(nil, v))
	default:
		return fmt.Sprint(v)
	}
}

func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "a mapping"
	case []any, []string:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "a truth value"
	default:
		return "a number"
	}
}

// coerceFloat is NULL for everything that is not a finite number.
func coerceFloat(v any) any {
	var f float64
	var err error
	switch v := v.(type) {
	case float64:
		f = v
	case int:
		f = float64(v)
	case int64:
		f = float64(v)
	case uint64:
		f = float64(v)
	case string:
		f, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	case json.Number:
		f, err = v.Float64()
	default:
		return nil
	}
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

// coerceUint is NULL for everything that is not a whole number up to largest.
func coerceUint(v any, largest uint64) any {
	var n uint64
	var err error
	switch v := v.(type) {
	case uint64:
		n = v
	case uint32:
		n = uint64(v)
	case int:
		n, err = nonNegative(int64(v))
	case int64:
		n, err = nonNegative(v)
	case float64:
		if v < 0 || v >= 1<<53 || math.IsNaN(v) {
			return nil
		}
		n = uint64(v)
	case string:
		n, err = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
	case json.Number:
		n, err = strconv.ParseUint(v.String(), 10, 64)
	default:
		return nil
	}
	if err != nil || n > largest {
		return nil
	}
	return n
}

func nonNegative(n int64) (uint64, error) {
	if n < 0 {
		return 0, strconv.ErrRange
	}
	return uint64(n), nil
}

// coerceBool is true for true, "true", "True", 1 and "1" and for nothing else.
func coerceBool(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "True" || v == "1"
	case json.Number:
		return v == "1"
	default:
		return coerceUint(v, 1) == uint64(1)
	}
}

// list accepts a list or its JSON text; everything else is the empty list.
func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case []string:
		l := make([]any, len(v))
		for i, s := range v {
			l[i] = s
		}
		return l
	case string:
		var l []any
		if json.Unmarshal([]byte(v), &l) == nil {
			return l
		}
	}
	return nil
}

func coerceTexts(v any) ([]string, error) {
	l := list(v)
	texts := make([]string, len(l))
	for i, e := range l {
		s, err := coerceText(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		texts[i] = s
	}
	return texts, nil
}

func coercePair(v any) (any, error) {
	pair, err := coerceTexts(v)
	if err != nil {
		return nil, err
	}
	if len(pair) != 2 {
		return nil, fmt.Errorf("%d entries instead of two", len(pair))
	}
	return pair, nil
}

func coerceAddresses(v any) (any, error) {
	addresses, err := coerceTexts(v)
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if _, err := parseAddress(a); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

func coerceAddress(v any, is4 bool) (any, error) {
	if v == nil {
		return nil, nil
	}
	s, err := coerceText(v)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, nil
	}
	a, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	if is4 && !a.Unmap().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return s, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	}
	return a, nil
}

// coerceSubnets accepts a list of [address, length] and, beyond the reference, of "address/length".
func coerceSubnets(v any) (any, error) {
	if s, ok := v.([]Subnet); ok {
		return s, nil
	}
	l := list(v)
	subnets := make([]Subnet, 0, len(l))
	for _, e := range l {
		s, err := coerceSubnet(e)
		if err != nil {
			return nil, err
		}
		subnets = append(subnets, s)
	}
	if len(subnets) == 0 {
		return nil, errors.New("no subnet")
	}
	return subnets, nil
}

func coerceSubnet(e any) (Subnet, error) {
	if s, ok := e.(string); ok {
		return ParseSubnet(s)
	}
	pair := list(e)
	if len(pair) != 2 {
		return Subnet{}, fmt.Errorf("%v is not a pair of address and prefix length", e)
	}
	address, err := coerceText(pair[0])
	if err != nil {
		return Subnet{}, err
	}
	bits, ok := coerceUint(pair[1], 128).(uint64)
	if !ok {
		return Subnet{}, fmt.Errorf("%v is not a prefix length", pair[1])
	}
	s := Subnet{Address: address, Bits: uint8(bits)}
	_, err = s.Prefix()
	return s, err
}

// ParseSubnet reads "address/length"; an address alone is a host.
func ParseSubnet(s string) (Subnet, error) {
	address, length, ok := strings.Cut(s, "/")
	a, err := parseAddress(address)
	if err != nil {
		return Subnet{}, err
	}
	bits := uint64(a.BitLen())
	if ok {
		if bits, err = strconv.ParseUint(length, 10, 8); err != nil || bits > uint64(a.BitLen()) {
			return Subnet{}, fmt.Errorf("%q is not a subnet: bad prefix length", s)
		}
	}
	return Subnet{Address: address, Bits: uint8(bits)}, nil
}

// Prefix is the subnet for look-ups: masked, and IPv4 where the address is an IPv4 one, also in its mapped form.
func (s Subnet) Prefix() (netip.Prefix, error) {
	a, err := parseAddress(s.Address)
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := int(s.Bits)
	if a.Is4In6() {
		a = a.Unmap()
		if bits > 32 { // a length that counts from the mapped address's start
			bits -= 96
		}
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s/%d is not a subnet: bad prefix length", s.Address, s.Bits)
	}
	return p, nil
}

// coerceDate is 1970-01-01 for what is not a date.
func coerceDate(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.DateOnly)
	case string:
		// ClickHouse's Date ends in 2149.
		if t, err := time.Parse(time.DateOnly, v); err == nil && t.Year() >= 1970 && t.Year() < 2149 {
			return v
		}
	}
	return "1970-01-01"
}

// coerceJSON makes the text of an object; a text must be one already and stays as it is.
func coerceJSON(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return "{}", nil
	case map[string]any:
		return string(appendJSON(nil, v)), nil
	case string:
		var object map[string]any
		if err := json.Unmarshal([]byte(v), &object); err != nil || object == nil {
			return nil, errors.New("not the text of a JSON object")
		}
		return v, nil
	default:
		return nil, fmt.Errorf("%s instead of a mapping", typeName(v))
	}
}
