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
		typ, value = "c.ext.typeName()", "c.ext"
		d.Fields += "ext *ext\n"
		d.Prepare += "c.ext = newExt(l.Extensions, l.IPRefExtensions)\n"
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
		return "stringArray", ""
	case "Nullable(String)":
		return "nullableString", ""
	}
	if of, ok := inner(typ, "Nullable"); ok {
		return "nullableFixed", fmt.Sprintf("width = %d", width(of))
	}
	width(typ) // has to be known
	return "fixed", ""
}

// width is how many bytes a value of a type takes.
func width(typ string) int {
	widths := map[string]int{
		"UInt8": 1, "Bool": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "IPv6": 16, "DateTime64(3, 'UTC')": 8,
	}
	n, ok := widths[typ]
	if !ok {
		panic("sink/block has no columns of type " + typ)
	}
	return n
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
	case "stringArray":
		return fmt.Sprintf("%s.append(row, %s)", field, c.Value)
	case "nullableString":
		return fmt.Sprintf("%s.set(row, %s)", field, c.Value)
	case "nullableFixed":
		of, _ := inner(c.Type, "Nullable")
		return fmt.Sprintf("%s.%s(row, %s)", field, method(of), c.Value)
	}
	if c.Type == "DateTime64(3, 'UTC')" {
		return fmt.Sprintf("%s.uint64(uint64(%s))", field, c.Value)
	}
	return fmt.Sprintf("%s.%s(%s)", field, method(c.Type), c.Value)
}

// method is the name of the methods of fixed and nullableFixed that take a value of the type.
func method(typ string) string {
	if typ == "IPv6" {
		return "addr"
	}
	return strings.ToLower(typ)
}

func (d *blockData) addPath(p *schema.Path) {
	if p.IPRef != "" {
		return
	}
	kind := pathKind(p)
	d.ExtFields += fieldName(p.Name) + " " + kind + "\n"
	d.ExtPaths += fmt.Sprintf("{%q, &x.%s},\n", p.Name, fieldName(p.Name))
}

// pathKind is the type that keeps a path's values.
func pathKind(p *schema.Path) string {
	switch p.Type {
	case "Array(LowCardinality(String))":
		switch p.Value {
		case "r.ExtCommunities":
			return "extendedPath"
		case "r.LargeCommunities":
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
		return "textPath"
	case "Array(UInt8)", "Array(UInt16)", "Array(UInt32)":
		return "arrayPath"
	}
	panic("sink/block has no paths of type " + p.Type)
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
	switch pathKind(p) {
	case "numberPath":
		return fmt.Sprintf("%s.set(x, row, uint32(%s))", field, p.Value)
	case "arrayPath":
		return fmt.Sprintf("setArray(x, &%s, row, %s)", field, p.Value)
	}
	return fmt.Sprintf("%s.set(x, row, %s)", field, p.Value)
}
