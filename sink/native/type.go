package native

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// kind is how a type lays out its values.
type kind uint8

const (
	fixed          kind = iota // so many bytes each
	text                       // a length and bytes
	nullable                   // a mark a row, then the values
	array                      // an end a row, then the elements
	lowCardinality             // keys, then an index a row
	object                     // JSON: a column for each typed path, then shared data
)

// typ is a parsed type.
type typ struct {
	kind  kind
	name  string // without arguments
	args  string
	width int      // of a fixed one
	inner []*typ   // of JSON: its paths' types
	paths []string // of JSON
}

// widths are the types of fixed width, in bytes.
var widths = map[string]int{
	"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Float32": 4,
	"Float64": 8,
	"Bool":    1, "Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "IPv4": 4, "IPv6": 16, "UUID": 16,
}

// maxDepth bounds types within types.
const maxDepth = 8

// parse reads a type's text.
func parse(s string, depth int) (*typ, error) {
	name, args, hasArgs := strings.Cut(s, "(")
	if depth > maxDepth || hasArgs && !strings.HasSuffix(args, ")") {
		return nil, fmt.Errorf("type %.200q is not understood", s)
	}
	t := &typ{name: name, args: strings.TrimSuffix(args, ")")}
	if width, ok := widths[name]; ok {
		t.kind, t.width = fixed, width
		return t, nil
	}
	switch name {
	case "String":
		t.kind = text
		return t, nil
	case "JSON":
		t.kind = object
		return t, t.parsePaths(depth)
	case "Nullable":
		t.kind = nullable
	case "Array":
		t.kind = array
	case "LowCardinality":
		t.kind = lowCardinality
	default:
		return nil, fmt.Errorf("type %.200q is not understood", s)
	}
	inner, err := parse(t.args, depth+1)
	if err != nil {
		return nil, err
	}
	if t.kind == nullable && inner.kind > text || t.kind == lowCardinality && inner.values().kind != text {
		return nil, fmt.Errorf("type %.200q is not understood", s)
	}
	t.inner = []*typ{inner}
	return t, nil
}

// values is the type without Nullable around it.
func (t *typ) values() *typ {
	if t.kind == nullable {
		return t.inner[0]
	}
	return t
}

// parsePaths reads the typed paths of a JSON type, which stand in the order of their names, as their data does.
func (t *typ) parsePaths(depth int) error {
	for _, argument := range sqltext.Arguments(t.args) {
		path, of, found := strings.Cut(argument, " ")
		if !found || len(t.paths) > 0 && path <= t.paths[len(t.paths)-1] {
			return fmt.Errorf("JSON with %.200q is not understood", argument)
		}
		inner, err := parse(of, depth+1)
		if err != nil {
			return err
		}
		t.paths, t.inner = append(t.paths, path), append(t.inner, inner)
	}
	return nil
}
