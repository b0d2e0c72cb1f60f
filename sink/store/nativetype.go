package store

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// columnType is a parsed type name, as far as the layout of its values depends on it.
type columnType struct {
	name string // without arguments, such as "Array"; "fixed" for all types of fixed size
	size uint64 // bytes of a value, for types of fixed size
	args []*columnType

	// What a column's own prefix says of it. JSON: its dynamic paths, or that it comes as text; Dynamic: its variants.
	paths    []*columnType
	asText   bool
	variants []*columnType
}

// geoTypes are names for nested types.
var geoTypes = map[string]string{
	"Point": "Tuple(Float64, Float64)", "Ring": "Array(Point)", "LineString": "Array(Point)", "Polygon": "Array(Ring)",
	"MultiLineString": "Array(LineString)", "MultiPolygon": "Array(Polygon)",
}

// maxTypeDepth bounds types within types.
const maxTypeDepth = 100

// parseType reads a type's text of a Native block, which stands depth types deep within another.
func parseType(s string, depth int) (*columnType, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("a type has more than %d types within each other", maxTypeDepth)
	}
	parsed, err := sqltext.ParseType(s)
	if err != nil {
		return nil, err
	}
	name, args := parsed.Name, parsed.Args
	t := &columnType{name: name}
	if size, ok := sqltext.FixedSize(name); ok {
		t.name, t.size = "fixed", uint64(size)
		return t, nil
	}
	if full, ok := geoTypes[name]; ok {
		return parseType(full, depth+1)
	}
	if strings.HasPrefix(name, "Interval") {
		t.name, t.size = "fixed", 8
		return t, nil
	}
	switch name {
	case "String", "Dynamic":
		return t, nil
	case "FixedString":
		n, err := strconv.ParseUint(strings.Join(args, ""), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("type %q: %w", s, err)
		}
		t.name, t.size = "fixed", n
		return t, nil
	case "Decimal":
		return decimalType(s, args)
	case "JSON":
		return t, t.parsePaths(parsed, depth)
	case "SimpleAggregateFunction":
		if len(args) < 2 {
			return nil, fmt.Errorf("type %q is not understood", s)
		}
		return parseType(args[len(args)-1], depth+1)
	case "Nested":
		inner, err := parseType("Tuple("+strings.Join(args, ", ")+")", depth+1)
		return &columnType{name: "Array", args: []*columnType{inner}}, err
	case "Nullable", "Array", "LowCardinality", "Map", "Tuple", "Variant":
	default:
		return nil,
			fmt.Errorf("type %q cannot be sent in this protocol revision: select it as text, or without "+
				"client_protocol_version", s)
	}
	for _, a := range args {
		if name == "Tuple" {
			a = sqltext.ParseElement(a).Type
		}
		arg, err := parseType(a, depth+1)
		if err != nil {
			return nil, err
		}
		t.args = append(t.args, arg)
	}
	if len(t.args) == 0 && name != "Tuple" || name == "Map" && len(t.args) != 2 {
		return nil, fmt.Errorf("type %q is not understood", s)
	}
	return t, nil
}

// decimalType is Decimal(P, S): P decides the width.
func decimalType(s string, args []string) (*columnType, error) {
	precision, _, _ := strings.Cut(strings.Join(args, ","), ",")
	p, err := strconv.Atoi(strings.TrimSpace(precision))
	if err != nil {
		return nil, fmt.Errorf("type %q: %w", s, err)
	}
	t := &columnType{name: "fixed", size: 4}
	for _, limit := range []int{9, 18, 38} {
		if p > limit {
			t.size *= 2
		}
	}
	return t, nil
}

// parsePaths reads the typed paths of JSON(a.b String, max_dynamic_paths=8, SKIP c). Their data is in the order of
// their names.
func (t *columnType) parsePaths(parsed sqltext.Type, depth int) error {
	paths := parsed.TypedPaths()
	slices.SortFunc(paths, func(a, b sqltext.Element) int { return strings.Compare(a.Name, b.Name) })
	for _, path := range paths {
		inner, err := parseType(path.Type, depth+1)
		if err != nil {
			return err
		}
		t.args = append(t.args, inner)
	}
	return nil
}

var errLayout = errors.New("a serialization that this store does not know")

// prefix walks over what precedes a column's data: versions, and the structure of Dynamic and JSON columns.
func (t *columnType) prefix(c *cursor) {
	switch t.name {
	case "LowCardinality":
		c.uint64() // version of the keys
	case "Variant":
		if c.uint64() != 0 {
			c.fail(errLayout)
		}
		for _, a := range t.args {
			a.prefix(c)
		}
	case "Dynamic":
		t.dynamicPrefix(c)
	case "JSON":
		t.jsonPrefix(c)
	default:
		for _, a := range t.args {
			a.prefix(c)
		}
	}
}

// dynamicPrefix reads the variants of a Dynamic column: the types it names and the shared one, in the order of their
// names.
func (t *columnType) dynamicPrefix(c *cursor) {
	switch c.uint64() {
	case 1:
		c.varint() // max_dynamic_types
	case 2:
	default:
		c.fail(errLayout)
		return
	}
	n := c.varint()
	names := []string{"SharedVariant"}
	for ; n > 0 && c.err == nil; n-- {
		names = append(names, c.text())
	}
	sort.Strings(names)
	for _, name := range names {
		if name == "SharedVariant" {
			name = "String"
		}
		v, err := parseType(name, 0)
		if err != nil {
			c.fail(err)
			return
		}
		t.variants = append(t.variants, v)
	}
	if c.uint64() != 0 { // the mode of the discriminators
		c.fail(errLayout)
	}
	for _, v := range t.variants {
		v.prefix(c)
	}
}

func (t *columnType) jsonPrefix(c *cursor) {
	switch c.uint64() {
	case 0:
		c.varint() // max_dynamic_paths
	case 1:
		t.asText = true
		return
	case 2:
	default:
		c.fail(errLayout)
		return
	}
	for n := c.varint(); n > 0 && c.err == nil; n-- {
		c.text()
		t.paths = append(t.paths, &columnType{name: "Dynamic"})
	}
	for _, a := range t.args {
		a.prefix(c)
	}
	for _, p := range t.paths {
		p.prefix(c)
	}
}

// data walks over the values of a column of so many rows.
func (t *columnType) data(c *cursor, rows uint64) {
	if c.err != nil || rows == 0 {
		return
	}
	switch t.name {
	case "fixed":
		c.skipTimes(rows, t.size)
	case "String":
		for range rows {
			if c.err != nil {
				return
			}
			c.skip(c.varint())
		}
	case "Nullable":
		c.skip(rows)
		t.args[0].data(c, rows)
	case "Array":
		t.args[0].data(c, c.offsets(rows))
	case "Map":
		n := c.offsets(rows)
		t.args[0].data(c, n)
		t.args[1].data(c, n)
	case "Tuple":
		if len(t.args) == 0 {
			c.skip(rows)
		}
		for _, a := range t.args {
			a.data(c, rows)
		}
	case "LowCardinality":
		t.lowCardinalityData(c)
	case "Variant":
		variantData(c, t.args, rows)
	case "Dynamic":
		variantData(c, t.variants, rows)
	case "JSON":
		t.jsonData(c, rows)
	}
}

// lowCardinalityData is a dictionary and the indexes of the rows into it.
func (t *columnType) lowCardinalityData(c *cursor) {
	kind := c.uint64()
	if kind&0xff > 3 || kind&0x100 != 0 {
		c.fail(errLayout)
		return
	}
	key := t.args[0]
	if key.name == "Nullable" {
		key = key.args[0]
	}
	key.data(c, c.uint64())
	c.skipTimes(c.uint64(), 1<<(kind&0xff))
}

// variantData is one discriminator byte a row (255 is NULL) and then the values of each variant.
func variantData(c *cursor, variants []*columnType, rows uint64) {
	start := c.i
	c.skip(rows)
	if c.err != nil {
		return
	}
	var n [256]uint64
	for _, d := range c.since(start) {
		n[d]++
	}
	for i, v := range variants {
		v.data(c, n[i])
	}
}

// jsonData is the typed paths, the dynamic paths, and what did not fit into those as an array of pairs.
func (t *columnType) jsonData(c *cursor, rows uint64) {
	text := &columnType{name: "String"}
	if t.asText {
		text.data(c, rows)
		return
	}
	for _, a := range t.args {
		a.data(c, rows)
	}
	for _, p := range t.paths {
		p.data(c, rows)
	}
	n := c.offsets(rows)
	text.data(c, n)
	text.data(c, n)
}
