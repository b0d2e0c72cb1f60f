package native

import (
	"fmt"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// kind is the layout of a type's values.
type kind uint8

const (
	fixed          kind = iota // values of the same size
	text                       // length and bytes
	nullable                   // one byte for each row, then the values
	array                      // the end of each row's elements, then the elements
	lowCardinality             // keys, then an index for each row
	object                     // JSON: a column for each typed path, then shared data
)

// typ is a parsed type.
type typ struct {
	kind  kind
	name  string // without arguments
	args  []string
	width int      // of fixed types
	inner []*typ   // of JSON: the types of its paths
	paths []string // of JSON
}

// readable has the types of fixed size that this package can print.
var readable = map[string]bool{
	"UInt8": true, "UInt16": true, "UInt32": true, "UInt64": true,
	"Int8": true, "Int16": true, "Int32": true, "Int64": true, "Float32": true, "Float64": true,
	"Bool": true, "Date": true, "Date32": true, "DateTime": true, "DateTime64": true, "IPv4": true, "IPv6": true,
	"UUID": true,
}

// FixedSize returns the size of a type's values, in bytes, if they all have the same and this package reads them.
func FixedSize(name string) (size int, ok bool) {
	if !readable[name] {
		return 0, false
	}
	return sqltext.FixedSize(name)
}

// maxDepth limits nested types.
const maxDepth = 8

// parse parses a type. It accepts only the types that this program writes.
func parse(s string, depth int) (*typ, error) {
	notUnderstood := fmt.Errorf("type %.200q is not understood", s)
	if depth > maxDepth {
		return nil, notUnderstood
	}
	parsed, err := sqltext.ParseType(s)
	if err != nil {
		return nil, err
	}
	t := &typ{name: parsed.Name, args: parsed.Args}
	if width, ok := FixedSize(parsed.Name); ok {
		t.kind, t.width = fixed, width
		return t, nil
	}
	switch parsed.Name {
	case "String":
		t.kind = text
		return t, nil
	case "JSON":
		t.kind = object
		return t, t.parsePaths(parsed, depth)
	case "Nullable":
		t.kind = nullable
	case "Array":
		t.kind = array
	case "LowCardinality":
		t.kind = lowCardinality
	default:
		return nil, notUnderstood
	}
	if len(parsed.Args) != 1 {
		return nil, notUnderstood
	}
	inner, err := parse(parsed.Args[0], depth+1)
	if err != nil {
		return nil, err
	}
	if t.kind == nullable && inner.kind > text || t.kind == lowCardinality && inner.values().kind != text {
		return nil, notUnderstood
	}
	t.inner = []*typ{inner}
	return t, nil
}

// values returns the type without Nullable.
func (t *typ) values() *typ {
	if t.kind == nullable {
		return t.inner[0]
	}
	return t
}

// parsePaths parses the typed paths of a JSON type. They must be sorted by name, like the data. Limits and SKIP do not
// change the data.
func (t *typ) parsePaths(parsed sqltext.Type, depth int) error {
	for i, path := range parsed.TypedPaths() {
		if path.Name == "" || i > 0 && path.Name <= t.paths[i-1] {
			return fmt.Errorf("JSON with path %.200q is not understood", path.Name)
		}
		inner, err := parse(path.Type, depth+1)
		if err != nil {
			return err
		}
		t.paths, t.inner = append(t.paths, path.Name), append(t.inner, inner)
	}
	return nil
}
