package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that notes whether it failed.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Name() string                   { return "TestRecorded" }
func (r *recorder) Errorf(format string, _ ...any) { r.failures = append(r.failures, format) }

// with sets -update for a part of a test.
func with(t *testing.T, value bool) {
	before := *update
	*update = value
	t.Cleanup(func() { *update = before })
}

func TestCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file")
	with(t, true)
	Compare(t, path, []byte("a\n"))
	with(t, false)
	Compare(t, path, []byte("a\n"))
	r := &recorder{TB: t}
	Compare(r, path, []byte("b\n"))
	if len(r.failures) != 1 {
		t.Errorf("another text gives failures %q", r.failures)
	}
}

func TestSection(t *testing.T) {
	const document = "# A\n<!-- one: go test -->\nold\n<!-- end of one -->\ntext\n<!-- two: x -->\n<!-- end of two " +
		"-->\n"
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	with(t, false)
	Section(t, path, "one", "old\n")
	Section(t, path, "two", "")
	r := &recorder{TB: t}
	Section(r, path, "one", "new\n")
	if len(r.failures) != 1 || !strings.Contains(r.failures[0], "stale") {
		t.Errorf("a stale section gives failures %q", r.failures)
	}
	with(t, true)
	Section(t, path, "one", "new\n")
	got, err := os.ReadFile(path)
	if want := strings.Replace(document, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("updated to %q, %v", got, err)
	}
}

func TestCutSectionNeedsBothLines(t *testing.T) {
	for _, document := range []string{"", "<!-- one: x -->\nold\n", "old\n<!-- end of one -->", "<!-- one: x"} {
		if _, _, _, found := cutSection(document, "one"); found {
			t.Errorf("%q has the section", document)
		}
	}
}
