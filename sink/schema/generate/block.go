package main

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// blockData are the parts of sink/block/flow_gen.go.
type blockData struct {
	Want      string // the constants of optional columns
	Wanted    string // and their names
	Fields    string // of struct flowColumns
	Prepare   string // what the zero value of a column does not say
	List      string // of columns
	Append    string // of a row
	Optional  string // of a row: columns that may be left out
	ExtFields string // of struct ext
	ExtPaths  string // by their names
	ExtAppend string // of a row
}

func newBlockData(columns []schema.Column, paths []schema.Path) blockData {
	var d blockData
	for i := range columns {
		d.addColumn(&columns[i])
	}
	d.Append = render(blockStatements(columns))
	for i := range paths {
		d.addPath(&paths[i])
	}
	d.ExtAppend = renderPaths(paths, blockPath)
	return d
}

func (d *blockData) addColumn(c *schema.Column) {
	if !c.IsColumn() {
		return
	}
	name, typ := fieldName(c.Name), fmt.Sprintf("%q", c.Type)
	if c.Wire != "" {
		typ = fmt.Sprintf("%q", c.Wire)
	}
	value := "&c." + name
	switch {
	case c.Constant:
		if d.Prepare == "" {
			d.Prepare = "c.origins.usual(l)\n"
		}
		value = "&c.origins." + name
	case c.Name == "ext":
		typ, value = "c.ext.typ", "c.ext"
		d.Fields += "ext *ext\n"
		d.Prepare += "c.ext = newExt(l)\n"
	default:
		kind, prepare := storage(c)
		d.Fields += name + " " + kind + "\n"
		if prepare != "" {
			d.Prepare += "c." + name + "." + prepare + "\n"
		}
	}
	if !c.Optional {
		d.List += fmt.Sprintf("{%q, %s, %s, 0},\n", c.Name, typ, value)
		return
	}
	d.List += fmt.Sprintf("{%q, %s, %s, %s},\n", c.Name, typ, value, wantName(c))
	if d.Want == "" {
		d.Want = wantName(c) + " = 1 << iota\n"
	} else {
		d.Want += wantName(c) + "\n"
	}
}

// storage returns the type that keeps a column's values, and what has to be set in it.
func storage(c *schema.Column) (kind, prepare string) {
	if c.Name == "ext" {
		return "ext", ""
	}
	typ := c.Type
	if c.Wire != "" {
		typ = c.Wire
	}
	switch typ {
	case "LowCardinality(String)":
		return "lowCardinality", ""
	case "LowCardinality(Nullable(String))":
		return "lowCardinality", "nullable = true"
	case "Array(LowCardinality(String))":
		return "scopeArray", ""
	case "Nullable(String)":
		return "nullableString", ""
	}
	if of, ok := inner(typ, "Nullable"); ok {
		return "nullable[" + numberType(of) + "]", ""
	}
	return "fixed[" + numberType(typ) + "]", ""
}

// numberType is the Go type of a type's values.
func numberType(typ string) string {
	types := map[string]string{
		"UInt8": "uint8", "Bool": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64",
		"Int64": "uint64", "DateTime64(3, 'UTC')": "uint64", "IPv6": "flow.Addr",
	}
	of, ok := types[typ]
	if !ok {
		panic("sink/block has no columns of type " + typ)
	}
	return of
}

// blockStatements append a row to each column.
func blockStatements(columns []schema.Column) []statement {
	var all []statement
	changed := false
	for i := range columns {
		c := &columns[i]
		if c.Constant && !changed {
			changed = true
			all = append(all, statement{"r.Origin != c.origins.last", "c.origins.change(row, r.Origin)"})
		}
		if !c.IsColumn() || c.Constant {
			continue
		}
		var when []string
		if c.Optional {
			when = append(when, "c.want&"+wantName(c)+" != 0")
		}
		if c.When != "" {
			when = append(when, c.When)
		}
		all = append(all, statement{strings.Join(when, " && "), blockAppend(c)})
	}
	return all
}

func blockAppend(c *schema.Column) string {
	field := "c." + fieldName(c.Name)
	kind, prepare := storage(c)
	switch kind {
	case "ext":
		return "c.ext.append(row, r)"
	case "lowCardinality":
		add := "add"
		if c.Steady {
			add = "addSame"
		}
		if prepare != "" {
			return fmt.Sprintf("%s.setNullable(row, %s)", field, c.Value)
		}
		return fmt.Sprintf("%s.%s(%s)", field, add, c.Value)
	case "scopeArray":
		return fmt.Sprintf("%s.append(row, %s)", field, c.Value)
	case "nullableString":
		return fmt.Sprintf("%s.set(row, %s)", field, c.Value)
	}
	typ := c.Type
	if of, ok := inner(typ, "Nullable"); ok {
		typ = of
	}
	return fmt.Sprintf("%s.set(row, %s)", field, converted(typ, c.Value))
}

// converted is a value as the Go type that keeps it.
func converted(typ, value string) string {
	switch typ {
	case "Bool":
		return "oneIf(" + value + ")"
	case "DateTime64(3, 'UTC')":
		return "uint64(" + value + ")"
	}
	return value
}

func (d *blockData) addPath(p *schema.Path) {
	if p.IPRef != "" {
		return
	}
	d.ExtFields += fieldName(p.Name) + " " + pathStorage(p) + "\n"
	d.ExtPaths += fmt.Sprintf("{%q, &x.%s},\n", p.Name, fieldName(p.Name))
}

// pathStorage is the type that keeps a path's values.
func pathStorage(p *schema.Path) string {
	switch kind := pathKind(p); kind {
	case "numberPath", "longPath":
		of, _ := inner(p.Type, "Nullable")
		return "numberPath[" + numberType(of) + "]"
	case "arrayPath":
		of, _ := inner(p.Type, "Array")
		return "arrayPath[" + numberType(of) + "]"
	default:
		return kind
	}
}

// pathKind is how a path's values are written.
func pathKind(p *schema.Path) string {
	switch p.Type {
	case "Array(String)", "Array(LowCardinality(String))":
		switch p.Value {
		case "r.ExtCommunities", "r.Route.SrcExtended":
			return "extendedPath"
		case "r.LargeCommunities", "r.Route.SrcLarge":
			return "largePath"
		}
		return "communityPath"
	case "Nullable(UInt8)", "Nullable(UInt32)":
		return "numberPath"
	case "Nullable(Int64)":
		return "longPath"
	case "Nullable(IPv6)":
		return "addrPath"
	case "LowCardinality(Nullable(String))":
		switch p.Value {
		case "r.Route.From", "r.Route.To":
			return "prefixPath"
		}
		return "textPath"
	case "Array(UInt8)", "Array(UInt16)", "Array(UInt32)":
		return "arrayPath"
	}
	panic("sink/block has no paths of type " + p.Type)
}

// named is the field of a row that says whether communities are written by their names.
func named(p *schema.Path) string {
	if p.Value == "f.Communities" {
		return "CommunityNames"
	}
	return "Route.SrcNames"
}

// blockPath sets a path of a row.
func blockPath(p *schema.Path) string {
	if p.IPRef != "" {
		return fmt.Sprintf("x.appendRefs(row, x.%sRefs, r.%sExtRef)", p.IPRef, goName(p.IPRef))
	}
	if p.Value == "" {
		return ""
	}
	field := "x." + fieldName(p.Name)
	value := p.Value
	if pathKind(p) == "communityPath" {
		value += ", r." + named(p)
	}
	if of, ok := inner(p.Type, "Nullable"); ok && of != "IPv6" {
		value = numberType(of) + "(" + value + ")"
	}
	return fmt.Sprintf("%s.set(x, row, %s)", field, value)
}
