package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/kafka"
)

// README.md has every reason, verdict and warning of the code.
func TestReadmeHasEveryLoss(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	has := func(kind, name string) {
		t.Helper()
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("README.md does not explain the %s `%s`", kind, name)
		}
	}
	for _, r := range exporter.Reasons() {
		has("reason", r.String())
	}
	for _, r := range clickhouse.Reasons() {
		has("reason", string(r))
	}
	has("reason", string(clickhouse.ViewFailed))
	for _, r := range kafka.Reasons() {
		has("reason", string(r))
	}
	for _, r := range stream.Reasons() {
		has("reason", string(r))
	}
	for r := forward.Refused; r <= forward.Failed; r++ {
		has("reason", r.Label())
	}
	for _, r := range exporter.Readings() {
		has("verdict", r.String())
	}
	for _, code := range literals(t, "verdict", 1, "add") {
		has("verdict", code)
	}
	for _, dir := range []string{".", "../decoder", "../enrich", "../sink", "../metadata"} {
		for _, line := range literals(t, dir, 0, "Warn", "Error") {
			line, _, _ = strings.Cut(line, ": its rows are ") // the rest says what to do
			has("log line", line)
		}
	}
}

// literals are the texts that calls of methods of a folder have as their nth argument, without those of tests. Texts
// that are put together count with their first part.
func literals(t *testing.T, dir string, n int, methods ...string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) <= n {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			for _, name := range methods {
				if method.Sel.Name == name {
					if s, found := firstText(call.Args[n]); found {
						all = append(all, s)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 && dir != "../decoder" && dir != "../enrich" {
		t.Errorf("%s has no call of %v: the test looks for the wrong thing", dir, methods)
	}
	return all
}

// firstText is the text that an expression begins with, of all literals that are joined.
func firstText(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		text, ok := firstText(e.X)
		if more, isLiteral := e.Y.(*ast.BasicLit); ok && isLiteral && e.Op == token.ADD {
			rest, _ := firstText(more)
			text += rest
		}
		return text, ok
	}
	return "", false
}
