package sqltext

import (
	"fmt"
	"strings"
)

// Type is the text of a ClickHouse type, cut into its name and its arguments. Arguments stay text: whether one is a
// type, a number or a literal depends on the name. Who reads types within types bounds their depth.
type Type struct {
	Name string   // "Array" of Array(UInt8)
	Args []string // "UInt8" of Array(UInt8); nil without parentheses
}

// ParseType cuts a type's text. Parentheses that are not closed are an error.
func ParseType(text string) (Type, error) {
	text = strings.TrimSpace(text)
	name, rest, hasArgs := strings.Cut(text, "(")
	if !hasArgs {
		return Type{Name: name}, nil
	}
	args, closed := strings.CutSuffix(rest, ")")
	if !closed {
		return Type{}, fmt.Errorf("type %.200q is not understood", text)
	}
	return Type{Name: name, Args: Arguments(args)}, nil
}

// Element is a named argument: an element of a tuple, or a typed path of a JSON column.
type Element struct {
	Name string // without backquotes; "" if it has none
	Type string
}

// ParseElement cuts "name Type" into its parts. A name can be quoted in whole or in part: a.`b c` String.
func ParseElement(argument string) Element {
	argument = strings.TrimSpace(argument)
	quoted := false
	for i := 0; i < len(argument); i++ {
		switch c := argument[i]; {
		case quoted && c == '\\':
			i++
		case c == '`':
			quoted = !quoted
		case quoted:
		case c == '(':
			return Element{Type: argument}
		case c == ' ':
			return Element{strings.ReplaceAll(argument[:i], "`", ""), strings.TrimSpace(argument[i+1:])}
		}
	}
	return Element{Type: argument}
}

// TypedPaths are the paths of a JSON type that have a type of their own, as they are written. Limits (max_dynamic_…)
// and SKIP are no paths.
func (t Type) TypedPaths() []Element {
	if t.Name != "JSON" {
		return nil
	}
	var paths []Element
	for _, a := range t.Args {
		if strings.HasPrefix(a, "SKIP ") || strings.HasPrefix(a, "max_dynamic_") {
			continue
		}
		paths = append(paths, ParseElement(a))
	}
	return paths
}

// fixedSizes are the types without arguments that matter whose values have one size, in bytes.
var fixedSizes = map[string]int{
	"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
	"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
	"Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Nothing": 1, "UUID": 16, "IPv4": 4, "IPv6": 16,
	"Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8, "Enum8": 1, "Enum16": 2,
	"Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
}

// FixedSize is the size of a type's values in a Native block, in bytes; false where the name alone does not say it.
func FixedSize(name string) (int, bool) {
	size, ok := fixedSizes[name]
	return size, ok
}
