package block

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// CheckExtType returns an error if blocks cannot be written with a type of ext, so that the server has to convert them.
func CheckExtType(typ string, ipRefExtensions []string) error {
	_, err := parseExtType(typ, ipRefExtensions)
	return err
}

// extType is the type of an ext column.
type extType struct {
	text    string
	paths   map[string]string // the types of the typed paths
	skipped []string
}

// extType returns the type that blocks are written with: the table's, or if blocks do not have it that of the settings,
// which the server converts.
func (l *Layout) extType() extType {
	if t, err := parseExtType(l.ExtType, l.IPRefExtensions); l.ExtType != "" && err == nil {
		return t
	}
	t, _ := parseExtType(schema.FlowExtType(l.Extensions, l.IPRefExtensions), l.IPRefExtensions)
	return t
}

// parseExtType returns an error if blocks cannot be written with a type.
func parseExtType(text string, ipRefExtensions []string) (extType, error) {
	t := extType{text: text, paths: map[string]string{}}
	parsed, err := sqltext.ParseType(text)
	switch {
	case err != nil:
		return t, err
	case parsed.Name != "JSON":
		return t, fmt.Errorf("ext has the type %.100s, not JSON", text)
	}
	for _, a := range parsed.Args {
		skipped, is := strings.CutPrefix(a, "SKIP ")
		switch {
		case is && simplePath.MatchString(skipped):
			t.skipped = append(t.skipped, skipped)
		case is:
			return t, fmt.Errorf("ext has %.100q, which only the server can apply", a)
		}
	}
	takes := map[string]func(string) bool{}
	for _, p := range schema.ExtPaths() {
		takes[p.Name] = p.Takes
	}
	for _, e := range ipRefExtensions {
		isRef := func(typ string) bool { return typ == "Nullable(String)" }
		takes["src_ip_"+e+"_ref"], takes["dst_ip_"+e+"_ref"] = isRef, isRef
	}
	for _, p := range parsed.TypedPaths() {
		if takes, known := takes[p.Name]; known && !takes(p.Type) {
			return t, fmt.Errorf("path %s of ext has the type %.100s", p.Name, p.Type)
		}
		if _, err := newAbsent(p.Type, 0); err != nil {
			return t, fmt.Errorf("path %.100s of ext: %w", p.Name, err)
		}
		t.paths[p.Name] = p.Type
	}
	return t, nil
}

// simplePath is a path without dots, quotes and patterns.
var simplePath = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// absent is a column that has the default of its type in every row: a typed path that the table has and rows do not.
type absent struct {
	inner *absent // of Array, Nullable and LowCardinality
	kind  absentKind
	width int // of fixed values
}

type absentKind uint8

const (
	absentFixed absentKind = iota
	absentString
	absentNullable
	absentArray
	absentLowCardinality
)

// maxTypeDepth limits nested types.
const maxTypeDepth = 8

func newAbsent(typ string, depth int) (*absent, error) {
	unknown := fmt.Errorf("the type %.100s is not one that blocks have", typ)
	parsed, err := sqltext.ParseType(typ)
	if err != nil || depth > maxTypeDepth {
		return nil, unknown
	}
	c := &absent{}
	switch name := parsed.Name; name {
	case "String":
		c.kind = absentString
		return c, nil
	case "Nullable":
		c.kind = absentNullable
	case "Array":
		c.kind = absentArray
	case "LowCardinality":
		c.kind = absentLowCardinality
	default:
		// Package native cuts blocks that the server refuses, so it must read the type. Of those that it reads the
		// default is zero.
		width, ok := native.FixedSize(name)
		if !ok {
			return nil, unknown
		}
		c.width = width
		return c, nil
	}
	if len(parsed.Args) != 1 {
		return nil, unknown
	}
	if c.inner, err = newAbsent(parsed.Args[0], depth+1); err != nil {
		return nil, err
	}
	if c.kind == absentLowCardinality && c.inner.values().kind != absentString {
		return nil, unknown
	}
	return c, nil
}

// values returns the column without Nullable.
func (c *absent) values() *absent {
	if c.kind == absentNullable {
		return c.inner
	}
	return c
}

func (c *absent) prefix(dst []byte) []byte {
	switch c.kind {
	case absentLowCardinality:
		return binary.LittleEndian.AppendUint64(dst, lcVersion)
	case absentArray, absentNullable:
		return c.inner.prefix(dst)
	}
	return dst
}

func (c *absent) encode(out *output, rows int) {
	switch c.kind {
	case absentFixed:
		out.repeat(rows*c.width, 0)
	case absentString:
		out.repeat(rows, 0)
	case absentNullable:
		out.repeat(rows, 1)
		c.inner.encode(out, rows)
	case absentArray:
		out.repeat(8*rows, 0)
	case absentLowCardinality:
		constant("").encode(out, rows)
	}
}

func (c *absent) reset() {}
