package main

import (
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/metranova/flow-collector/sink/golden"
)

// maxColumns is how long a line may be; a tab counts as four columns.
const maxColumns = 120

func columns(line string) int { return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t") }

// withoutTexts returns the lines of Go code with its string literals emptied: SQL, patterns, messages and expected
// output stay in one piece, so that they can be searched for, however long they are.
func withoutTexts(source []byte) []string {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(source))
	s.Init(file, source, nil, scanner.ScanComments)
	short := make([]byte, 0, len(source))
	at := 0
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			break
		}
		if kind != token.STRING {
			continue
		}
		start := file.Offset(pos)
		short = append(short, source[at:start+1]...)
		short = append(short, strings.Repeat("\n", strings.Count(literal, "\n"))...)
		at = start + len(literal) - 1
	}
	return strings.Split(string(append(short, source[at:]...)), "\n")
}

// prose returns the lines of a Markdown file without code blocks, tables and links, which cannot be wrapped.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	inCode := false
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
			lines[i] = ""
		}
		if inCode || strings.HasPrefix(strings.TrimSpace(line), "|") || strings.Contains(line, "](") {
			lines[i] = ""
		}
	}
	return lines
}

// comments returns the comments of a shell or YAML file.
func comments(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines[i] = ""
		}
	}
	return lines
}

func TestWithoutTexts(t *testing.T) {
	long := strings.Repeat("x", 200)
	for source, want := range map[string]bool{
		"a := \"" + long + "\"":               false,
		"a := `\n" + long + "\n`":             false,
		"// " + long:                          true,
		"a(\"b\", " + long + ")":              true,
		"a := '\"'; b = \"" + long + "\" // ": false,
	} {
		tooLong := false
		for _, line := range withoutTexts([]byte(source)) {
			tooLong = tooLong || columns(line) > maxColumns
		}
		if tooLong != want {
			t.Errorf("%.40q is too long: %v", source, tooLong)
		}
	}
}

// No line of code is longer than 120 columns and, with LINT set, as `make lint` does, no line of a document either.
// Generated files are left out, and in other files what cannot be wrapped: see withoutTexts, prose and comments.
func TestNoLineIsTooLong(t *testing.T) {
	root := golden.Repository(t)
	out, err := exec.Command("git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Skipf("git ls-files: %v (the sources are not a checkout)", err)
	}
	for _, name := range strings.Fields(string(out)) {
		if strings.Contains(name, "/testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted, and not committed yet
		}
		var lines []string
		if filepath.Ext(name) != ".go" && os.Getenv("LINT") == "" {
			continue
		}
		switch filepath.Ext(name) {
		case ".go":
			if strings.HasPrefix(string(data), "// Code generated") {
				continue
			}
			lines = withoutTexts(data)
		case ".md":
			lines = prose(string(data))
		case ".sh", ".yml", ".yaml":
			lines = comments(string(data))
		}
		for i, line := range lines {
			if n := columns(line); n > maxColumns {
				t.Errorf("%s:%d has %d columns", name, i+1, n)
			}
		}
	}
}
