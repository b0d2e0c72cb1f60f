// Package golden compares what tests produce with files of the repository, and writes these files with -update. Tests
// of every folder use it. It imports nothing of this project.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files and the generated sections of documents")

// File compares got with a file in testdata.
func File(t testing.TB, name string, got []byte) {
	t.Helper()
	Compare(t, filepath.Join("testdata", name), got)
}

// Compare compares got with a file. With -update it writes the file first.
func Compare(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -run '^%s$' -update writes it)", err, t.Name())
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test -run '^%s$' -update writes it):\n%s", path, t.Name(), diff)
	}
}

// Section compares got with a part of a document: the lines between <!-- name: … --> and <!-- end of name -->.
func Section(t testing.TB, path, name, got string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, section, after, found := cutSection(string(data), name)
	if !found {
		t.Fatalf("%s has no lines <!-- %s: … --> and <!-- end of %s -->", path, name, name)
	}
	if *update && section != got {
		if err := os.WriteFile(path, []byte(before+got+after), 0o644); err != nil {
			t.Fatal(err)
		}
		section = got
	}
	if diff := cmp.Diff(section, got); diff != "" {
		t.Errorf("%s: the section %s is stale (-want +got; go test -run '^%s$' -update writes it):\n%s",
			path, name, t.Name(), diff)
	}
}

// cutSection splits a document at a section. The lines that mark it stay in the outer parts.
func cutSection(document, name string) (before, section, after string, found bool) {
	head, rest, found := strings.Cut(document, "<!-- "+name+":")
	if !found {
		return "", "", "", false
	}
	command, rest, found := strings.Cut(rest, "-->\n")
	if !found {
		return "", "", "", false
	}
	end := "<!-- end of " + name + " -->"
	section, after, found = strings.Cut(rest, end)
	return head + "<!-- " + name + ":" + command + "-->\n", section, end + after, found
}

// Repository returns the directory of go.mod.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// Reference returns the path of a file or folder with data of the reference stack, which only some developers have
// beside their checkout. Without it the test is skipped.
func Reference(t testing.TB, path ...string) string {
	t.Helper()
	full := filepath.Join(append([]string{Repository(t), "..", "shared"}, path...)...)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("the data of the reference stack is not beside this checkout (../shared/%s)", filepath.Join(path...))
	}
	return full
}
