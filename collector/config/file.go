package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/metadata/files"
)

// file is the YAML file that is being read.
type file struct {
	path     string
	config   *Config
	env      map[string]string
	keys     map[string]*key
	anchors  map[string]ast.Node // by name
	nodes    int                 // number of nodes read: aliases repeat nodes
	problems []Problem
}

const (
	maxFile  = 4 << 20
	maxNodes = 100_000
)

func (c *Config) loadFile(path string, env environ, table []key) []Problem {
	data, err := readText(path, maxFile)
	if err != nil {
		return []Problem{{Where: path, Why: reason(err)}}
	}
	f := &file{path: path, config: c, env: env.text, keys: map[string]*key{}, anchors: map[string]ast.Node{}}
	for i := range table {
		f.keys[table[i].path] = &table[i]
	}
	parsed, err := parser.ParseBytes([]byte(data), 0)
	if err != nil {
		where, why := files.SyntaxError(path, err)
		return []Problem{{Where: where, Why: why}}
	}
	for _, document := range parsed.Docs {
		if document.Body == nil {
			continue
		}
		for _, n := range ast.Filter(ast.AnchorType, document.Body) {
			anchor := n.(*ast.AnchorNode)
			f.anchors[anchor.Name.GetToken().Value] = anchor.Value
		}
	}
	for _, document := range parsed.Docs {
		if document.Body != nil {
			f.section("", document.Body)
		}
	}
	return f.problems
}

func (f *file) problem(at *token.Token, key, value, why string) {
	f.problems = append(f.problems, Problem{Where: f.where(at), Key: key, Value: value, Why: why})
}

// where returns the file and, if known, the line.
func (f *file) where(at *token.Token) string {
	if at == nil || at.Position == nil {
		return f.path
	}
	return fmt.Sprintf("%s:%d", f.path, at.Position.Line)
}

// resolve returns what an anchor or an alias refers to.
func (f *file) resolve(node ast.Node) ast.Node {
	for range maxNodes {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode:
			target, found := f.anchors[n.Value.GetToken().Value]
			if !found {
				return node
			}
			node = target
		default:
			return node
		}
	}
	return node
}

// section reads a mapping whose keys begin with prefix.
func (f *file) section(prefix string, node ast.Node) {
	node = f.resolve(node)
	if f.nodes++; f.nodes > maxNodes {
		if f.nodes == maxNodes+1 {
			f.problem(node.GetToken(), "", "", "its aliases make it too large")
		}
		return
	}
	entries, ok := mappingValues(node)
	if !ok {
		if _, null := node.(*ast.NullNode); !null {
			f.problem(node.GetToken(), strings.TrimSuffix(prefix, "."), node.String(), "is not a mapping")
		}
		return
	}
	for _, entry := range entries { // merged keys first, because the mapping's own override them
		if entry.Key.IsMergeKey() {
			f.merge(prefix, entry.Value)
		}
	}
	for _, entry := range entries {
		path := prefix + entry.Key.GetToken().Value
		switch k := f.keys[path]; {
		case entry.Key.IsMergeKey():
		case strings.HasPrefix(path, "x-"): // room for anchors, as in compose files
		case k != nil:
			f.setting(k, path, entry.Value)
		case f.isSection(path + "."):
			f.section(path+".", entry.Value)
		default:
			f.problem(entry.Key.GetToken(), path, "", "there is no such key"+f.suggestion(path))
		}
	}
}

// merge reads the value of <<: a mapping, or a list of mappings.
func (f *file) merge(prefix string, node ast.Node) {
	sequence, ok := f.resolve(node).(*ast.SequenceNode)
	if !ok {
		f.section(prefix, node)
		return
	}
	for _, item := range sequence.Values {
		f.section(prefix, item)
	}
}

func (f *file) isSection(prefix string) bool {
	for path := range f.keys {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// suggestion returns the key that was probably meant: one with the same last part.
func (f *file) suggestion(path string) string {
	last := path[strings.LastIndexByte(path, '.')+1:]
	var near []string
	for known := range f.keys {
		if known[strings.LastIndexByte(known, '.')+1:] == last {
			near = append(near, known)
		}
	}
	if len(near) == 0 {
		section := path[:strings.LastIndexByte(path, '.')+1]
		names := map[string]bool{}
		for known := range f.keys {
			if strings.HasPrefix(known, section) {
				name, _, _ := strings.Cut(strings.TrimPrefix(known, section), ".")
				names[name] = true
			}
		}
		if name := commandline.Nearest(last, slices.Sorted(maps.Keys(names))); name != "" {
			near = append(near, section+name)
		}
	}
	if len(near) == 0 {
		return ""
	}
	slices.Sort(near)
	return " (did you mean " + strings.Join(near, " or ") + "?)"
}

func (f *file) setting(k *key, path string, node ast.Node) {
	node = f.resolve(node)
	v, err := f.value(path, node)
	if err != nil {
		f.problem(node.GetToken(), path, "", err.Error())
		return
	}
	if v.kind != scalar && v.kind != k.kind {
		f.problem(node.GetToken(), path, "", fmt.Sprintf("takes %s, not %s", k.kind, v.kind))
		f.config.wrong[path] = true
		return
	}
	where := f.where(node.GetToken())
	if err := f.config.give(k, v, Origin{Where: where}); err != nil {
		f.problems = append(f.problems,
			f.config.refused(k, Problem{Where: where, Key: path, Value: v.String()}, err)...)
	}
}

// value reads the value of the key path.
func (f *file) value(path string, node ast.Node) (value, error) {
	if entries, ok := mappingValues(node); ok {
		v := value{kind: mapping}
		for _, entry := range entries {
			text, err := f.text(entry.Value)
			if err != nil {
				return v, err
			}
			name := entry.Key.GetToken().Value
			v.pairs = append(v.pairs, pair{key: name, text: text})
			f.config.places[path+"."+name] = f.where(entry.Key.GetToken())
		}
		return v, nil
	}
	if sequence, ok := node.(*ast.SequenceNode); ok {
		v := value{kind: list, list: []string{}}
		for _, item := range sequence.Values {
			text, err := f.text(item)
			if err != nil {
				return v, err
			}
			v.list = append(v.list, text)
		}
		return v, nil
	}
	text, err := f.text(node)
	return value{text: text}, err
}

// text returns a scalar's text in the file, with variables expanded.
func (f *file) text(node ast.Node) (string, error) {
	node = f.resolve(node)
	lookup := func(name string) (string, bool) {
		text, found := f.env[name]
		return text, found
	}
	switch n := node.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.LiteralNode:
		return expand(n.Value.Value, lookup), nil
	case ast.ScalarNode:
		return expand(n.GetToken().Value, lookup), nil
	}
	return "", fmt.Errorf("%s is not a single value", node.Type())
}

func mappingValues(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}
