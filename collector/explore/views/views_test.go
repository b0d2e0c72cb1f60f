package views

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func names(t *testing.T, f *File) string {
	t.Helper()
	list, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range list {
		all = append(all, v.Name+"="+v.Query)
	}
	return strings.Join(all, ", ")
}

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "caches")
	f, other := In(dir), In(dir) // as two processes have it
	if got := names(t, f); got != "" {
		t.Errorf("without a file: %s", got)
	}
	if err := f.Save([]View{{Name: "  Top   talkers ", Query: "?last=24h&by=src.as&view=stacked", Owner: "anna"}},
		"anna",
		false); err != nil {
		t.Fatal(err)
	}
	if err := other.Save([]View{{Name: "All", Query: ""}}, "", false); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, f), "All=, Top talkers=by=src.as&last=1d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The same name is replaced by who saved it alone.
	again := []View{{Name: "Top talkers", Query: "by=dst.as", Owner: "ben"}}
	if err := f.Save(again, "ben", false); !errors.Is(err, ErrOwner) {
		t.Errorf("ben replaced anna's view: %v", err)
	}
	if err := f.Delete("Top talkers", "ben", false); !errors.Is(err, ErrOwner) {
		t.Errorf("ben deleted anna's view: %v", err)
	}
	if err := f.Save(again, "anna", false); err != nil {
		t.Error(err)
	}
	if err := f.Delete("All", "ben", true); err != nil {
		t.Error(err)
	}
	if err := f.Delete("All", "ben", true); err == nil {
		t.Error("a view was deleted twice")
	}
	if got, want := names(t, other), "Top talkers=by=dst.as"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("in the directory: %v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(dir, fileName)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What cannot be kept is refused, and leaves the file as it is.
func TestFile_refuses(t *testing.T) {
	f := In(t.TempDir())
	if err := f.Save([]View{{Name: "kept"}}, "", false); err != nil {
		t.Fatal(err)
	}
	var many []View
	for i := range MaxViews {
		many = append(many, View{Name: fmt.Sprint(i)})
	}
	for name, list := range map[string][]View{
		"no name":             {{Name: " "}},
		"a long name":         {{Name: strings.Repeat("n", maxName+1)}},
		"control characters":  {{Name: "a\x1b[31m"}},
		"not UTF-8":           {{Name: "a\xff"}},
		"no question":         {{Name: "x", Query: "view=nonsense"}},
		"no parameters":       {{Name: "x", Query: "%zz"}},
		"a long question":     {{Name: "x", Query: "filter=" + strings.Repeat("%22", 3000)}},
		"more than are kept":  many,
		"one of several":      {{Name: "good"}, {Name: ""}},
		"another site's link": {{Name: "x", Query: "view=javascript:alert(1)"}},
	} {
		if err := f.Save(list, "", false); err == nil {
			t.Errorf("%s: it was saved", name)
		}
	}
	if got := names(t, f); got != "kept=" {
		t.Errorf("the file has %s", got)
	}
}

// A damaged file is an error, and is not overwritten.
func TestFile_damaged(t *testing.T) {
	for name, text := range map[string]string{
		"cut short":       `{"version":1,"views":[{"name":"a"`,
		"other version":   `{"version":2,"views":[]}`,
		"a bad question":  `{"version":1,"views":[{"name":"a","query":"last=never"}]}`,
		"more than kept":  strings.Repeat(" ", MaxSize+1),
		"something other": `[]`,
	} {
		f := In(t.TempDir())
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.List(); err == nil || !strings.Contains(err.Error(), f.path) {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Save([]View{{Name: "new"}}, "", true); err == nil {
			t.Errorf("%s: it was overwritten", name)
		}
		if got, err := os.ReadFile(f.path); err != nil || string(got) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// Several processes save at once, and none loses what another saved.
func TestFile_atOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := In(dir).Save([]View{{Name: fmt.Sprint(i)}}, "", false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := In(dir).List(); err != nil || len(list) != 20 {
		t.Errorf("%d views, %v", len(list), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"version":1,"views":[{"name":"a","query":"by=src.as","owner":"o","saved":"2026-03-05T12:00:00Z"}]}`))
	f.Add([]byte(`{"version":1,"views":[{"name":"b"},{"name":"a"},{"name":"b"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, list); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%d views are read back as %d: %v", len(list), len(again), err)
		}
	})
}
