package diskfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A write that fails leaves the old file, and nothing else.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, failed := io.WriteString(w, text)
			return errors.Join(failed, err)
		}
	}
	if err := Replace(path, write("one", nil)); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no more")
	if err := Replace(path, write("tw", failure)); !errors.Is(err, failure) {
		t.Errorf("%v, want %v", err, failure)
	}
	if text, err := os.ReadFile(path); string(text) != "one" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("the directory is %v, %v: others can read it, or the group can write", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	stat := func() os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			return nil
		}
		return info
	}
	step := func(what string, want bool, before os.FileInfo) os.FileInfo {
		t.Helper()
		now := stat()
		if Changed(before, now) != want {
			t.Errorf("%s: changed is %v", what, !want)
		}
		return now
	}
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := step("never there", false, nil)
	put("one")
	last = step("new", true, last)
	last = step("as before", false, last)
	put("longer")
	last = step("longer", true, last)
	if err := os.Chtimes(path, last.ModTime(), last.ModTime().Add(-1e9)); err != nil {
		t.Fatal(err)
	}
	last = step("another time", true, last)
	if err := os.Rename(path, path+".old"); err != nil { // so that the inode is not used again
		t.Fatal(err)
	}
	put("longer")
	if err := os.Chtimes(path, last.ModTime(), last.ModTime()); err != nil {
		t.Fatal(err)
	}
	last = step("another file of the same size and time", true, last)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	step("gone", true, last)
}
