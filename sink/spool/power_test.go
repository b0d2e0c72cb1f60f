package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// forgetful is a disk that keeps only what was synced, as a power cut leaves it: content by Sync, names by a sync of
// the directory.
type forgetful struct {
	real    disk
	written map[string]*unsynced
	named   map[string]bool
}

type unsynced struct {
	file
	synced int64 // the size at the last Sync
	end    int64
}

func (u *unsynced) WriteAt(b []byte, at int64) (int, error) {
	u.end = max(u.end, at+int64(len(b)))
	return u.file.WriteAt(b, at)
}

func (u *unsynced) Sync() error {
	u.synced = u.end
	return u.file.Sync()
}

func (f *forgetful) disk() disk {
	return disk{
		create: func(path string) (file, error) {
			got, err := f.real.create(path)
			f.written[path] = &unsynced{file: got}
			return f.written[path], err
		},
		sync: func(path string) error {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				for file := range f.written {
					f.named[file] = true
				}
			} else if u := f.written[path]; u != nil {
				u.synced = u.end
			}
			return f.real.sync(path)
		},
	}
}

// cutPower copies into another directory what a power cut would leave.
func (f *forgetful) cutPower(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, u := range f.written {
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) || !f.named[path] {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(path)), data[:u.synced], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What Put and Replace acknowledged survives a power cut at any later moment.
func TestPowerCut(t *testing.T) {
	f := &forgetful{real: osDisk, written: map[string]*unsynced{}, named: map[string]bool{}}
	s := open(t, Options{SegmentBytes: 300})
	s.disk = f.disk()
	var want []int
	for n := range 5 {
		put(t, s, entryOf(n, 50))
		want = append(want, n)
		after := open(t, Options{Dir: f.cutPower(t)})
		if got := drain(t, after); !sameNumbers(got, want...) {
			t.Fatalf("after %d were put a power cut left %v", n+1, got)
		}
	}
	whole, _ := s.Next()
	a, b := entryOf(10, 20), entryOf(11, 30)
	if err := s.Replace(whole, &a, &b); err != nil {
		t.Fatal(err)
	}
	after := open(t, Options{Dir: f.cutPower(t)})
	got := drain(t, after)
	for _, n := range []int{1, 2, 3, 4, 10, 11} {
		if !contains(got, n) {
			t.Errorf("after a Replace a power cut left %v, without %d", got, n)
		}
	}
}

func contains(numbers []int, n int) bool {
	for _, have := range numbers {
		if have == n {
			return true
		}
	}
	return false
}
