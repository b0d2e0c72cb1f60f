package files

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/metranova/flow-collector/metadata/record"
)

// Files mean what PyYAML's safe loader takes them for, which is YAML 1.1: 010 is eight, 1:30 is ninety, yes is true.
// The parser only knows the syntax. What a plain scalar means is decided here, by the regular expressions of PyYAML's
// resolver.

const maxFile = 64 << 20

// Limits on what aliases can expand a file to.
const (
	maxValues = 100_000 // values of one record
	maxDepth  = 200
	// maxExpanded limits what all records of a file get by aliases: values, each with a share for its text.
	maxExpanded = 5_000_000
	textShare   = 32 // bytes of text that count as a value
)

// readText reads a file as UTF-8, with or without a byte order mark, or as UTF-16 with one.
func readText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: more than the %d bytes allowed", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		data = fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		data = fromUTF16(data[2:], binary.BigEndian)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		line := 1
		for rest := data; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[size:]
		}
		return nil, fmt.Errorf("%s:%d: not UTF-8 (perhaps Latin-1): save the file as UTF-8", path, line)
	}
	return data, nil
}

func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

// anchorsOf returns the nodes that aliases of a document refer to.
func anchorsOf(body ast.Node) map[string]ast.Node {
	anchors := map[string]ast.Node{}
	for _, n := range ast.Filter(ast.AnchorType, body) {
		anchor := n.(*ast.AnchorNode)
		anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return anchors
}

// converter converts nodes to Go values: nil, bool, int64, uint64, float64, string, record.Word, []any and
// map[string]any.
type converter struct {
	anchors map[string]ast.Node
	values  int // how many more may be made
	// expanded is how many more values aliases may make, of all records of the file; nil: no limit.
	expanded *int
	aliases  int // that the value which is being made stands within
	depth    int
	twice    []string // duplicate keys of mappings
}

var errExpanded = fmt.Errorf("the file's aliases expand to more than %d values", maxExpanded)

var errAliases = fmt.Errorf("its aliases expand to more than %d values", maxValues)

// aliasName returns the name of an alias up to the end of its line, because the parser includes more in a name.
func aliasName(n *ast.AliasNode) string {
	return strings.Join(strings.Fields(n.Value.GetToken().Value), " ")
}

// resolve returns the node that an anchor or alias refers to.
func (c *converter) resolve(node ast.Node) (ast.Node, error) {
	for range maxDepth {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			target, found := c.anchors[n.Value.GetToken().Value]
			if !found {
				return nil, fmt.Errorf("there is no anchor %s", aliasName(n))
			}
			node = target
		default:
			return node, nil
		}
	}
	return nil, errors.New("an alias that leads to itself")
}

func (c *converter) value(node ast.Node) (any, error) {
	if c.values--; c.values < 0 {
		return nil, errAliases
	}
	if c.depth++; c.depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels deep", maxDepth)
	}
	defer func() { c.depth-- }()
	if node != nil && node.Type() == ast.AliasType {
		c.aliases++
		defer func() { c.aliases-- }()
	}
	node, err := c.resolve(node)
	if err != nil {
		return nil, err
	}
	if c.aliases > 0 && c.expanded != nil {
		*c.expanded--
		if t := tokenOf(node); t != nil {
			*c.expanded -= len(t.Value) / textShare
		}
		if *c.expanded < 0 {
			return nil, errExpanded
		}
	}
	switch n := node.(type) {
	case nil:
		return nil, nil
	case *ast.MappingNode, *ast.MappingValueNode:
		return c.mapping(node)
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			v, err := c.value(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.TagNode:
		return c.tagged(n)
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return scalar(node)
}

// tokenOf is the token that has a value's text; nil for none.
func tokenOf(node ast.Node) *token.Token {
	switch n := node.(type) {
	case nil:
		return nil
	case *ast.LiteralNode:
		return n.Value.GetToken()
	}
	return node.GetToken()
}

func scalar(node ast.Node) (any, error) {
	t := node.GetToken()
	if t == nil {
		return nil, fmt.Errorf("%s instead of a value", node.Type())
	}
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		return t.Value, nil
	case token.ImplicitNullType:
		return nil, nil
	}
	return plain(t.Value), nil
}

// entries returns the pairs of a mapping, for which the parser has two forms.
func entries(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func isMapping(node ast.Node) bool {
	_, ok := node.(ast.MapNode)
	return ok
}

// mapping makes a map. The last value of a duplicate key counts, as in Python. Merged keys (<<) do not replace the
// mapping's own.
func (c *converter) mapping(node ast.Node) (map[string]any, error) {
	m := map[string]any{}
	var merges []ast.Node
	for _, e := range entries(node) {
		if e.Key.IsMergeKey() {
			merges = append(merges, e.Value)
			continue
		}
		key, err := c.key(e.Key)
		if err != nil {
			return nil, err
		}
		v, err := c.value(e.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if _, twice := m[key]; twice {
			c.twice = append(c.twice, key)
		}
		m[key] = v
	}
	for _, node := range merges {
		if err := c.merge(m, node); err != nil {
			return nil, fmt.Errorf("<<: %w", err)
		}
	}
	return m, nil
}

// merge adds the keys of a mapping, or of several, that m does not have. Of several, the first counts.
func (c *converter) merge(m map[string]any, node ast.Node) error {
	v, err := c.value(node)
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, from := range list {
		more, ok := from.(map[string]any)
		if !ok {
			return errors.New("not a mapping")
		}
		for k, v := range more {
			if _, has := m[k]; !has {
				m[k] = v
			}
		}
	}
	return nil
}

// key returns a key as text. Numbers and words are as written in the file.
func (c *converter) key(node ast.MapKeyNode) (string, error) {
	var n ast.Node = node
	if complex, ok := node.(*ast.MappingKeyNode); ok {
		n = complex.Value
	}
	n, err := c.resolve(n)
	if err != nil {
		return "", err
	}
	if _, isScalar := n.(ast.ScalarNode); !isScalar || n.GetToken() == nil {
		return "", errors.New("a key that is not a single value")
	}
	if literal, ok := n.(*ast.LiteralNode); ok {
		return literal.Value.Value, nil
	}
	return n.GetToken().Value, nil
}

// tagged converts a node with a tag. The safe loader only knows YAML's own tags.
func (c *converter) tagged(n *ast.TagNode) (any, error) {
	v, err := c.value(n.Value)
	if err != nil {
		return nil, err
	}
	text := ""
	if n.Value != nil && n.Value.GetToken() != nil {
		text = n.Value.GetToken().Value
	}
	if literal, ok := n.Value.(*ast.LiteralNode); ok {
		text = literal.Value.Value
	}
	name := strings.TrimPrefix(strings.TrimPrefix(n.Start.Value, "tag:yaml.org,2002:"), "!!")
	switch _, isText := v.(string); name {
	case "str", "timestamp":
		if v == nil {
			return "", nil
		}
		return text, nil
	case "int", "float", "bool", "null":
		if isText {
			v = plain(text)
		}
		if w, ok := v.(record.Word); ok {
			v = w.Value
		}
		if i, ok := v.(int64); ok && name == "float" {
			v = float64(i)
		}
		return v, nil
	case "binary":
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		return string(data), err
	case "map", "seq":
		return v, nil
	}
	return nil, fmt.Errorf("the tag %s is not known", n.Start.Value)
}

// PyYAML's implicit resolvers.
var (
	intForm = regexp.MustCompile(
		`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+` +
			`|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	fltForm = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// plain returns the value of an unquoted scalar. Dates stay text.
func plain(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	case "yes", "Yes", "YES", "on", "On", "ON":
		return record.Word{Text: s, Value: true}
	case "no", "No", "NO", "off", "Off", "OFF":
		return record.Word{Text: s, Value: false}
	}
	switch strings.ToLower(s) {
	case "true", "yes", "on", "y":
		return record.Word{Text: s, Value: true, IsText: true}
	case "false", "no", "off", "n":
		return record.Word{Text: s, IsText: true}
	}
	if c := s[0]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' {
		return s
	}
	if intForm.MatchString(s) {
		if v := integer(s); v != nil {
			return v
		}
		return s
	}
	if fltForm.MatchString(s) {
		if v := float(s); v != nil {
			return v
		}
	}
	return s
}

// integer parses one of the integer forms; nil: too large.
func integer(s string) any {
	digits := strings.ReplaceAll(strings.TrimLeft(s, "+-"), "_", "")
	base := 10
	switch {
	case strings.HasPrefix(digits, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(digits, "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base, digits = 8, digits[1:]
	}
	n := uint64(0)
	for part := range strings.SplitSeq(digits, ":") { // base 60
		p, err := strconv.ParseUint(part, base, 64)
		if err != nil || n > (math.MaxUint64-p)/60 && n > 0 {
			return nil
		}
		n = n*60 + p
	}
	switch {
	case !strings.HasPrefix(s, "-") && n <= math.MaxInt64:
		return int64(n)
	case !strings.HasPrefix(s, "-"):
		return n
	case n <= math.MaxInt64:
		return -int64(n)
	}
	return nil
}

// float parses one of the float forms.
func float(s string) any {
	sign := 1.0
	if strings.HasPrefix(s, "-") {
		sign = -1
	}
	digits := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(s, "+-"), "_", ""))
	switch digits {
	case ".inf":
		return math.Inf(int(sign))
	case ".nan":
		return math.NaN()
	}
	sum := 0.0
	for part := range strings.SplitSeq(digits, ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return nil
		}
		sum = sum*60 + f
	}
	return sign * sum
}
