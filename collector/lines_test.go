package main

import (
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

// breakable reports whether a line that is too long has a place where it can be broken: a space. Patterns, URLs and
// bytes often have none.
func breakable(line string) bool {
	line = strings.TrimSpace(line)
	return strings.Contains(line[:min(len(line), maxColumns)], " ")
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

func TestBreakable(t *testing.T) {
	long := strings.Repeat("x", 200)
	for line, want := range map[string]bool{
		"\t\t`" + long + "`,":     false,
		"\t\"" + long + "\" // ":  false,
		"\t// " + long:            true,
		"\ta := \"" + long + "\"": true, // the text can have a line without a :=
		"\t\"of " + long + "\"":   true,
	} {
		if breakable(line) != want {
			t.Errorf("%.40q can be broken: %v", line, !want)
		}
	}
}

// No line of code, texts in it included, is longer than 120 columns and, with LINT set, as `make lint` does, no line of
// a document either. Generated files are left out, and what cannot be wrapped: see breakable, prose and comments.
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
			lines = strings.Split(string(data), "\n")
		case ".md":
			lines = prose(string(data))
		case ".sh", ".yml", ".yaml":
			lines = comments(string(data))
		}
		for i, line := range lines {
			if n := columns(line); n > maxColumns && (filepath.Ext(name) != ".go" || breakable(line)) {
				t.Errorf("%s:%d has %d columns", name, i+1, n)
			}
		}
	}
}
