package sqltext

import (
	"fmt"
	"strings"
)

// Type is the text of a ClickHouse type, split into its name and its arguments. Arguments stay text, because the name
// decides whether one is a type, a number or a literal. A caller that parses nested types must limit their depth.
type Type struct {
	Name string   // "Array" of Array(UInt8)
	Args []string // "UInt8" of Array(UInt8); nil without parentheses
}

// ParseType splits the text of a type. An unclosed parenthesis is an error.
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

// ParseElement splits "name Type" into its parts. All or a part of a name can be quoted: a.`b c` String.
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

// TypedPaths returns the paths of a JSON type that have a type of their own, in the order of the text. Limits
// (max_dynamic_…) and SKIP are left out.
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

// fixedSizes has the types whose values have the same size whatever the arguments are, in bytes.
var fixedSizes = map[string]int{
	"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
	"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
	"Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Nothing": 1, "UUID": 16, "IPv4": 4, "IPv6": 16,
	"Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8, "Enum8": 1, "Enum16": 2,
	"Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
}

// FixedSize returns the size of a type's values in a Native block, in bytes; false if the name alone does not determine
// it.
func FixedSize(name string) (int, bool) {
	size, ok := fixedSizes[name]
	return size, ok
}
