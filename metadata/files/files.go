// Package files reads metadata from YAML files: files with a table's name and a list of records, as in conf.example,
// and the additions files of other sources, which have only the list. A bad record costs only that record.
package files

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/metranova/flow-collector/metadata/record"
)

// Read reads a file of records. A file for meta_ip gives two sets, because the AS of a prefix there also counts as its
// origin, as in an ASN block.
func Read(path string) ([]record.Set, error) {
	doc, err := parse(path)
	if err != nil {
		return nil, err
	}
	if doc.table == "" {
		return nil,
			fmt.Errorf("%s: the key table is missing: it names the table of the records, such as table: meta_device",
				path)
	}
	set := record.Set{Table: doc.table, Source: SourceName(path), Each: doc.each}
	if doc.table != record.IP {
		return []record.Set{set}, nil
	}
	return []record.Set{set, {Table: record.ASPrefix, Source: set.Source, Each: doc.eachOrigin, MayBeEmpty: true}}, nil
}

// SourceName is the source name of a file's records. It does not depend on the working directory.
func SourceName(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return "file:" + path
}

// Addition is a record of an additions file. It is merged over the record with the same id, or is a new one.
type Addition struct {
	ID     string
	Record record.Raw
	Place  string
}

// Additions reads an additions file; "" gives none. Records without an id are reported.
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

// Origins calls yield with a meta_as_prefix record for each subnet of a meta_ip record that has an AS. Wrong records
// are skipped: reading them as meta_ip reports them.
func Origins(id string, r record.Raw, place string, yield func(record.Raw, string) error) error {
	subnets, _ := r["ip_subnet"].([]any)
	if r["as_id"] == nil {
		return nil
	}
	for _, s := range subnets {
		name := strings.Trim(strings.ReplaceAll(fmt.Sprint(s), " ", "/"), "[]")
		if err := yield(record.Raw{"id": id + " " + name, "ip_subnet": []any{s}, "as_id": r["as_id"]},
			place); err != nil {
			return err
		}
	}
	return nil
}

type document struct {
	path, table string
	records     []node
}

// node is a record, with the anchors of its document.
type node struct {
	ast.Node
	anchors map[string]ast.Node
}

func parse(path string) (*document, error) {
	data, err := readText(path)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		place, why := SyntaxError(path, err)
		return nil, fmt.Errorf("%s: %s", place, why)
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
	c := &converter{anchors: anchorsOf(body), values: maxValues}
	body, err := c.resolve(body)
	if err != nil || !isMapping(body) {
		return fmt.Errorf("%s: not a mapping with the keys table and data", d.path)
	}
	if alias := unknownAlias(body, c.anchors); alias != nil {
		return fmt.Errorf("%s:%d: there is no anchor %s", d.path, line(alias), aliasName(alias))
	}
	seen := map[string]bool{}
	for _, e := range entries(body) {
		key := e.Key.String()
		if seen[key] {
			return fmt.Errorf("%s:%d: the key %s is there twice", d.path, line(e.Key), key)
		}
		seen[key] = true
		value, err := c.resolve(e.Value)
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", d.path, line(e.Key), key, err)
		}
		switch key {
		case "table":
			v, err := c.value(value)
			if text, ok := v.(string); ok && err == nil {
				d.table = text
				continue
			}
			return fmt.Errorf("%s:%d: table is not a name", d.path, line(e.Key))
		case "data":
			switch list := value.(type) {
			case *ast.SequenceNode:
				for _, item := range list.Values {
					d.records = append(d.records, node{item, c.anchors})
				}
			case *ast.NullNode:
			default:
				return fmt.Errorf("%s:%d: data is not a list", d.path, line(value))
			}
		}
	}
	return nil
}

// unknownAlias returns an alias without an anchor, which PyYAML rejects; nil if there is none.
func unknownAlias(body ast.Node, anchors map[string]ast.Node) *ast.AliasNode {
	for _, n := range ast.Filter(ast.AliasType, body) {
		if alias := n.(*ast.AliasNode); anchors[alias.Value.GetToken().Value] == nil {
			return alias
		}
	}
	return nil
}

func (d *document) each(yield func(record.Raw, string) error, report func(record.Problem)) error {
	expanded := maxExpanded
	for _, n := range d.records {
		place := fmt.Sprintf("%s:%d", d.path, line(n.Node))
		c := &converter{anchors: n.anchors, values: maxValues, expanded: &expanded}
		r, err := c.record(n.Node)
		if errors.Is(err, errExpanded) {
			return fmt.Errorf("%s: %w", place, err)
		}
		if err != nil {
			report(record.Problem{Place: place, ID: c.id(n.Node), Reason: reason(err)})
			continue
		}
		for _, key := range c.twice {
			id := ""
			if r["id"] != nil {
				id = fmt.Sprint(r["id"])
			}
			report(record.Problem{Place: place, ID: id,
				Reason: fmt.Sprintf("duplicate key %q: the last one counts", key)})
		}
		if err := yield(r, place); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) record(n ast.Node) (record.Raw, error) {
	v, err := c.value(n)
	if err != nil {
		return nil, err
	}
	r, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a mapping")
	}
	return r, nil
}

// id returns the id of a record that cannot be converted; "" if there is none.
func (c *converter) id(n ast.Node) string {
	n, err := c.resolve(n)
	if err != nil {
		return ""
	}
	for _, e := range entries(n) {
		if e.Key.String() != "id" {
			continue
		}
		one := &converter{anchors: c.anchors, values: 1}
		if v, err := one.value(e.Value); err == nil && v != nil {
			return fmt.Sprint(v)
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

// line returns where a node starts. The token of a mapping is its first colon, which is on the line of its first key.
func line(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// SyntaxError returns where a file is no YAML, as PATH:LINE if the parser's error has the line, and why. The parser's
// own message is a page with an excerpt of the file.
func SyntaxError(path string, err error) (place, why string) {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		path = fmt.Sprintf("%s:%d", path, at.GetToken().Position.Line)
	}
	return path, reason(err)
}

// reason returns the message of a parser's error in one line.
func reason(err error) string {
	text := err.Error()
	var at yaml.Error
	if errors.As(err, &at) {
		text = at.GetMessage()
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.ReplaceAll(text, "\t", `\t (a tab: YAML takes spaces there)`)
}
