// Package files reads metadata from YAML files: a table's name and a list of records, as in conf.example, and the additions
// files of the other sources, which have the list only. One bad record costs that record.
package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/metranova/flow-collector/metadata/record"
)

// Read reads a file of records. A file of meta_ip gives two sets: the AS that it states for a prefix is also what the prefix
// originates from, as if an ASN block said so.
func Read(path string) ([]record.Set, error) {
	doc, err := parse(path)
	if err != nil {
		return nil, err
	}
	if doc.table == "" {
		return nil, fmt.Errorf("%s: no key table", path)
	}
	set := record.Set{Table: doc.table, Source: SourceName(path), Each: doc.each}
	if doc.table != record.IP {
		return []record.Set{set}, nil
	}
	return []record.Set{set, {Table: record.ASPrefix, Source: set.Source, Each: doc.eachOrigin, MayBeEmpty: true}}, nil
}

// SourceName is what the records of a file are listed under. It does not depend on the working directory.
func SourceName(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return "file:" + path
}

// Addition is a record of an additions file: merged over the record with its id, or a new one.
type Addition struct {
	ID     string
	Record record.Raw
	Place  string
}

// Additions reads an additions file; no path is no additions. Records without an id are reported.
func Additions(path string, report func(record.Problem)) ([]Addition, error) {
	if path == "" {
		return nil, nil
	}
	doc, err := parse(path)
	if err != nil {
		return nil, err
	}
	var additions []Addition
	err = doc.each(func(r record.Raw, place string) error {
		if r["id"] == nil {
			report(record.Problem{Place: place, Reason: "id: missing"})
			return nil
		}
		additions = append(additions, Addition{ID: fmt.Sprint(r["id"]), Record: r, Place: place})
		return nil
	}, report)
	return additions, err
}

// Origins calls yield with a meta_as_prefix record for each subnet of a meta_ip record that states an AS. Records that are not
// right are left to the one who reads them as meta_ip.
func Origins(id string, r record.Raw, place string, yield func(record.Raw, string) error) error {
	subnets, _ := r["ip_subnet"].([]any)
	if r["as_id"] == nil {
		return nil
	}
	for _, s := range subnets {
		name := strings.Trim(strings.ReplaceAll(fmt.Sprint(s), " ", "/"), "[]")
		if err := yield(record.Raw{"id": id + " " + name, "ip_subnet": []any{s}, "as_id": r["as_id"]}, place); err != nil {
			return err
		}
	}
	return nil
}

type document struct {
	path, table string
	records     []ast.Node
	values      []any // the records, where the file has anchors: those are known in the whole of the file only
}

func parse(path string) (*document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// A key that a record has twice costs the record, not the file.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(path, err)
	}
	doc := &document{path: path}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if err := doc.take(d.Body); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

func (d *document) take(body ast.Node) error {
	mapping, ok := body.(ast.MapNode)
	if !ok {
		return fmt.Errorf("%s: not a mapping with the keys table and data", d.path)
	}
	seen := map[string]bool{}
	for i := mapping.MapRange(); i.Next(); {
		key := i.Key().String()
		if seen[key] {
			return fmt.Errorf("%s:%d: the key %s is there twice", d.path, line(i.Key()), key)
		}
		seen[key] = true
		switch key {
		case "table":
			if err := yaml.NodeToValue(i.Value(), &d.table); err != nil {
				return syntaxError(d.path, err)
			}
		case "data":
			switch list := i.Value().(type) {
			case *ast.SequenceNode:
				d.records = append(d.records, list.Values...)
			case *ast.NullNode:
			default:
				return fmt.Errorf("%s:%d: data is not a list", d.path, line(list))
			}
		}
	}
	if len(ast.Filter(ast.AnchorType, body)) > 0 {
		var whole struct{ Data []any }
		if err := yaml.NodeToValue(body, &whole); err != nil {
			return syntaxError(d.path, err)
		}
		d.values = append(d.values, whole.Data...)
	}
	return nil
}

func (d *document) each(yield func(record.Raw, string) error, report func(record.Problem)) error {
	for n, node := range d.records {
		place := fmt.Sprintf("%s:%d", d.path, line(node))
		r, err := d.record(n)
		if err != nil {
			report(record.Problem{Place: place, ID: idOf(node), Reason: reason(err)})
			continue
		}
		if err := yield(r, place); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) record(n int) (record.Raw, error) {
	var r record.Raw
	if len(d.values) == len(d.records) {
		r, _ = d.values[n].(record.Raw)
	} else if _, ok := d.records[n].(ast.MapNode); ok {
		if err := yaml.NodeToValue(d.records[n], &r); err != nil {
			return nil, err
		}
	}
	if r == nil {
		return nil, errors.New("not a mapping")
	}
	return r, nil
}

// idOf is the id of a record that cannot be decoded; "" where there is none.
func idOf(node ast.Node) string {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return ""
	}
	for i := mapping.MapRange(); i.Next(); {
		var id any
		if i.Key().String() == "id" && yaml.NodeToValue(i.Value(), &id) == nil && id != nil {
			return fmt.Sprint(id)
		}
	}
	return ""
}

func (d *document) eachOrigin(yield func(record.Raw, string) error, report func(record.Problem)) error {
	return d.each(func(r record.Raw, place string) error {
		if r["id"] == nil {
			return nil
		}
		return Origins(fmt.Sprint(r["id"]), r, place, yield)
	}, func(record.Problem) {})
}

// line is where a node starts; the token of a mapping is its first colon, which is on the line of its first key.
func line(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// syntaxError is one line with the place; the parser's own text is a page with the source in it.
func syntaxError(path string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", path, at.GetToken().Position.Line, at.GetMessage())
	}
	return fmt.Errorf("%s: %s", path, reason(err))
}

func reason(err error) string {
	var at yaml.Error
	if errors.As(err, &at) {
		return at.GetMessage()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
