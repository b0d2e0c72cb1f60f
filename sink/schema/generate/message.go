package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// jsonData are the parts of sink/message/json_gen.go.
type jsonData struct {
	Want     string // the constants of optional columns
	Names    string // and their names
	Constant string // what is the same in all rows
	Row      string // what a row adds, each column with its key
	Ext      string // the keys of ext
}

func newJSONData(columns []schema.Column, paths []schema.Path) jsonData {
	var d jsonData
	var row []statement
	first := true
	for i := range columns {
		c := &columns[i]
		if !c.IsColumn() {
			continue
		}
		if c.Optional {
			d.Names += fmt.Sprintf("%q,\n", c.Name)
			d.Want += wantName(c)
			if first {
				d.Want += " = 1 << iota"
			}
			first = false
			d.Want += "\n"
		}
		if c.Constant {
			d.Constant += fmt.Sprintf("p = appendString(append(p, `,%q:`...), %s)\n", c.Name, c.Value)
			if len(row) == 0 || row[len(row)-1].code != jsonConstants {
				row = append(row, statement{code: jsonConstants})
			}
			continue
		}
		when := c.When
		if c.Optional {
			when = wanted(c)
		}
		if len(row) == 0 && when != "" {
			panic("the first column of a row must be there always")
		}
		row = append(row, statement{when, jsonColumn(c, len(row) == 0)})
	}
	d.Row = render(row)
	d.Ext = renderPaths(paths, jsonPath)
	return d
}

const jsonConstants = "p = append(p, e.constants.of(r)...)"

// wanted is the condition of an optional column.
func wanted(c *schema.Column) string {
	when := "e.want&" + wantName(c) + " != 0"
	if c.When != "" {
		when += " && " + c.When
	}
	return when
}

// jsonColumn appends a column's key and value.
func jsonColumn(c *schema.Column, first bool) string {
	key := fmt.Sprintf("`,%q:`", c.Name)
	if first {
		key = fmt.Sprintf("`{%q:`", c.Name)
	}
	quoted := fmt.Sprintf("`,%q:\"`", c.Name)
	typ := c.Type
	if of, ok := inner(typ, "Nullable"); ok && of != "String" {
		typ = of
	}
	switch typ {
	case "JSON":
		return fmt.Sprintf("p = closing(e.appendExt(append(p, `,%q:{`...), r), '}')", c.Name)
	case "DateTime64(3, 'UTC')":
		return fmt.Sprintf("p = strconv.AppendInt(append(p, %s...), %s, 10)", key, c.Value)
	case "UInt8", "UInt16", "UInt32", "UInt64":
		return fmt.Sprintf("p = appendNumber(p, %s, %s)", key, c.Value)
	case "Bool":
		return fmt.Sprintf("p = strconv.AppendBool(append(p, %s...), %s)", key, c.Value)
	case "IPv6":
		return fmt.Sprintf("p = append(appendAddr(append(p, %s...), &%s), '\"')", quoted, c.Value)
	case "Array(LowCardinality(String))":
		return fmt.Sprintf("p = appendScopes(p, `,%q:[`, %s)", c.Name, c.Value)
	}
	switch text, null := isText(typ); {
	case !text:
		panic("sink/message has no JSON of type " + c.Type)
	case null:
		return fmt.Sprintf("p = appendText(p, %s, %s)", key, c.Value)
	}
	return fmt.Sprintf("p = appendString(append(p, %s...), %s)", key, c.Value)
}

// jsonPath appends a key of ext, its value, and a comma.
func jsonPath(p *schema.Path) string {
	if p.IPRef != "" {
		return fmt.Sprintf("p = appendExtRefs(p, e.%sExt, r.%sExtRef)", p.IPRef, goName(p.IPRef))
	}
	if p.Value == "" {
		return ""
	}
	switch pathKind(p) {
	case "numberPath":
		return fmt.Sprintf("p = append(appendNumber(p, `%q:`, %s), ',')", p.Name, p.Value)
	case "longPath":
		return fmt.Sprintf("p = append(strconv.AppendInt(append(p, `%q:`...), %s, 10), ',')", p.Name, p.Value)
	case "arrayPath":
		return fmt.Sprintf("p = appendNumbers(p, `%q:[`, %s)", p.Name, p.Value)
	case "communityPath":
		return fmt.Sprintf("p = appendCommunities(p, `%q:[`, %s, r.%s)", p.Name, p.Value, named(p))
	case "extendedPath":
		return fmt.Sprintf("p = appendTextsOf(p, `%q:[`, %s, route.AppendExtended)", p.Name, p.Value)
	case "largePath":
		return fmt.Sprintf("p = appendTextsOf(p, `%q:[`, %s, route.AppendLarge)", p.Name, p.Value)
	case "prefixPath":
		return fmt.Sprintf("p = append(appendPrefix(append(p, `%q:\"`...), %s), '\"', ',')", p.Name, p.Value)
	case "addrPath":
		return fmt.Sprintf("p = append(appendAddr(append(p, `%q:\"`...), &%s), '\"', ',')", p.Name, p.Value)
	}
	return fmt.Sprintf("p = append(appendText(p, `%q:`, %s), ',')", p.Name, p.Value)
}

// protobufData are the parts of sink/message/protobuf_gen.go and of flow.proto.
type protobufData struct {
	Constant string // what is the same in all messages
	Row      string // the fields of a row
	Ext      string // the fields of Ext
	Flow     string // the fields of message Flow in flow.proto
	ExtProto string // those of message Ext
}

func newProtobufData(columns []schema.Column, paths []schema.Path) protobufData {
	var d protobufData
	columns = slices.DeleteFunc(slices.Clone(columns), func(c schema.Column) bool { return c.Default != "" })
	slices.SortFunc(columns, func(a, b schema.Column) int { return cmp.Compare(a.Number, b.Number) })
	checkNumbers(columns, func(c *schema.Column) (int, string) { return c.Number, c.Name })
	var row []statement
	for i := range columns {
		c := &columns[i]
		d.Flow += protoField(c.Comment, c.FieldComment, !c.IsColumn(), protoType(c), protoName(c), c.Number)
		if c.Constant {
			d.Constant += fmt.Sprintf("p = appendTextField(p, %d, %s)\n", c.Number, c.Value)
			if len(row) == 0 || row[len(row)-1].code != jsonConstants {
				row = append(row, statement{code: jsonConstants})
			}
			continue
		}
		when := c.When
		if c.Optional {
			when = wanted(c)
		}
		row = append(row, statement{when, protobufColumn(c) + " // " + c.Name})
	}
	d.Row = render(row)

	paths = slices.DeleteFunc(slices.Clone(paths), func(p schema.Path) bool { return p.Number == 0 })
	d.Ext = renderPaths(paths, protobufPath)
	slices.SortFunc(paths, func(a, b schema.Path) int { return cmp.Compare(a.Number, b.Number) })
	checkNumbers(paths, func(p *schema.Path) (int, string) { return p.Number, p.Name })
	for i := range paths {
		p := &paths[i]
		d.ExtProto += protoField(p.Comment, "", false, protoPathType(p), p.Name, p.Number)
	}
	return d
}

// checkNumbers sees to it that every field has a number of its own, and that tags have two bytes at most.
func checkNumbers[T any](fields []T, of func(*T) (int, string)) {
	last := 0
	for i := range fields {
		n, name := of(&fields[i])
		if n <= last || n >= 128 {
			panic(fmt.Sprintf("field %s has number %d, after %d", name, n, last))
		}
		last = n
	}
}

// protoName is a column's name in flow.proto.
func protoName(c *schema.Column) string {
	if c.Type == "DateTime64(3, 'UTC')" {
		return c.Name + "_ms"
	}
	return c.Name
}

// protoType is a column's type in flow.proto.
func protoType(c *schema.Column) string {
	typ, optional := c.Type, ""
	if text, _ := isText(typ); text {
		return "string"
	}
	if of, ok := inner(typ, "Nullable"); ok {
		typ = of
		if of != "IPv6" { // an address that is not there is empty
			optional = "optional "
		}
	}
	switch typ {
	case "DateTime64(3, 'UTC')":
		return "int64"
	case "UInt8", "UInt16", "UInt32":
		return optional + "uint32"
	case "UInt64":
		return optional + "uint64"
	case "Bool":
		return optional + "bool"
	case "IPv6":
		return "bytes"
	case "Array(LowCardinality(String))":
		return "repeated string"
	case "JSON":
		return "Ext"
	}
	panic("flow.proto has no fields of type " + c.Type)
}

func protoPathType(p *schema.Path) string {
	if p.IPRef != "" {
		return "map<string, string>"
	}
	return map[string]string{
		"numberPath": "optional uint32", "longPath": "optional int64", "arrayPath": "repeated uint32",
		"communityPath": "repeated fixed32", "extendedPath": "repeated string", "largePath": "repeated string",
		"addrPath": "bytes", "textPath": "string", "prefixPath": "string",
	}[pathKind(p)]
}

// protoField is a field of flow.proto with its comment, in lines of 120 columns at most.
func protoField(comment, more string, messageOnly bool, typ, name string, number int) string {
	if more != "" {
		comment += " " + more
	}
	if messageOnly {
		comment += " Not in data_flow."
	}
	var b strings.Builder
	line := "  //"
	for word := range strings.FieldsSeq(comment) {
		if len(line)+1+len(word) > 120 {
			b.WriteString(line + "\n")
			line = "  //"
		}
		line += " " + word
	}
	fmt.Fprintf(&b, "%s\n  %s %s = %d;\n", line, typ, name, number)
	return b.String()
}

// protobufColumn appends a column's field.
func protobufColumn(c *schema.Column) string {
	n := c.Number
	if text, _ := isText(c.Type); text {
		return fmt.Sprintf("p = appendTextField(p, %d, %s)", n, c.Value)
	}
	if of, ok := inner(c.Type, "Nullable"); ok && of != "IPv6" {
		return fmt.Sprintf("p = appendPresent(p, %d, uint32(%s))", n, c.Value)
	}
	switch c.Type {
	case "JSON":
		return fmt.Sprintf("p = e.appendExtField(p, %d, r)", n)
	case "Bool":
		return fmt.Sprintf("p = appendField(p, %d, protowire.EncodeBool(%s))", n, c.Value)
	case "IPv6", "Nullable(IPv6)":
		return fmt.Sprintf("p = appendAddrField(p, %d, &%s)", n, c.Value)
	case "Array(LowCardinality(String))":
		return fmt.Sprintf("p = appendScopesField(p, %d, %s)", n, c.Value)
	}
	return fmt.Sprintf("p = appendField(p, %d, uint64(%s))", n, c.Value)
}

// protobufPath appends a path's field.
func protobufPath(p *schema.Path) string {
	n := p.Number
	if p.IPRef != "" {
		return fmt.Sprintf("p = appendRefMap(p, %d, e.%sExt, r.%sExtRef)", n, p.IPRef, goName(p.IPRef))
	}
	switch pathKind(p) {
	case "numberPath":
		return fmt.Sprintf("p = appendPresent(p, %d, uint32(%s)) // %s", n, p.Value, p.Name)
	case "longPath":
		return fmt.Sprintf("p = appendPresent(p, %d, uint64(%s)) // %s", n, p.Value, p.Name)
	case "arrayPath":
		return fmt.Sprintf("p = appendPacked(e, p, %d, %s) // %s", n, p.Value, p.Name)
	case "communityPath":
		return fmt.Sprintf("p = appendFixed(p, %d, %s) // %s", n, p.Value, p.Name)
	case "extendedPath":
		return fmt.Sprintf("p = appendTextsFieldOf(p, %d, %s, route.AppendExtended) // %s", n, p.Value, p.Name)
	case "largePath":
		return fmt.Sprintf("p = appendTextsFieldOf(p, %d, %s, route.AppendLarge) // %s", n, p.Value, p.Name)
	case "prefixPath":
		return fmt.Sprintf("p = appendPrefixField(p, %d, %s) // %s", n, p.Value, p.Name)
	case "addrPath":
		return fmt.Sprintf("p = appendAddrField(p, %d, &%s) // %s", n, p.Value, p.Name)
	}
	return fmt.Sprintf("p = appendTextField(p, %d, %s) // %s", n, p.Value, p.Name)
}
