package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// written is a directory with one segment of entries 0 to n-1, and where each begins; the last is the file's end.
func written(t *testing.T, n, size int) (file string, data []byte, offsets []int64) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for i := range n {
		put(t, s, entryOf(i, size))
	}
	for _, slot := range s.segments[0].slots {
		offsets = append(offsets, slot.offset)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file = files(t, dir)[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, data, append(offsets, int64(len(data)))
}

// reopened writes the segment's file into a directory of its own and opens that.
func reopened(t *testing.T, name string, data []byte) (*Spool, string) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, Options{Dir: dir}), file
}

func TestTornTailAtEveryByte(t *testing.T) {
	const n = 3
	_, other, _ := written(t, n, 40)
	file, data, offsets := written(t, n, 40)
	start := offsets[n-1]
	tails := map[string]func(at int64) []byte{
		"the file ends":     func(at int64) []byte { return data[:at] },
		"zeros follow":      func(at int64) []byte { return append(append([]byte{}, data[:at]...), make([]byte, offsets[n]-at)...) },
		"old bytes follow":  func(at int64) []byte { return append(append([]byte{}, data[:at]...), other[:offsets[n]-at]...) },
		"the byte is wrong": func(at int64) []byte { b := append([]byte{}, data...); b[at] ^= 0x40; return b },
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			for at := start; at < offsets[n]; at++ {
				if name == "the byte is wrong" && at == start+stateOffset {
					continue // any value but 1 says that it waits
				}
				s, path := reopened(t, file, tail(at))
				stats := s.Stats()
				wantTorn := uint64(1)
				if name == "the file ends" && at == start {
					wantTorn = 0
				}
				if stats.Torn.Entries != wantTorn || stats.Damaged.Entries != 0 || stats.Found.Entries != n-1 {
					t.Fatalf("byte %d: %+v", at-start, stats)
				}
				if info, err := os.Stat(path); err != nil || info.Size() != start {
					t.Fatalf("byte %d: the file has %d bytes, want %d: %v", at-start, info.Size(), start, err)
				}
				want := []int{0, 1}
				if at%16 == 0 { // each put waits for the disk
					put(t, s, entryOf(7, 4))
					want = append(want, 7)
				}
				if got := drain(t, s); !sameNumbers(got, want...) {
					t.Fatalf("byte %d: delivered %v", at-start, got)
				}
				balanced(t, s.Stats())
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Damage of any byte of an entry in the middle costs that entry and no other.
func TestDamageInTheMiddleAtEveryByte(t *testing.T) {
	file, data, offsets := written(t, 3, 40)
	for at := offsets[1]; at < offsets[2]; at++ {
		if at == offsets[1]+stateOffset {
			continue
		}
		bad := append([]byte{}, data...)
		bad[at] ^= 0x10
		s, _ := reopened(t, file, bad)
		if got := drain(t, s); !sameNumbers(got, 0, 2) {
			t.Fatalf("byte %d: delivered %v", at-offsets[1], got)
		}
		stats := s.Stats()
		balanced(t, stats)
		if at < offsets[1]+headerSize {
			if stats.Damaged.Entries != 1 || stats.Damaged.Bytes != uint64(offsets[2]-offsets[1]) {
				t.Fatalf("byte %d of the header: %+v", at-offsets[1], stats)
			}
		} else if want := (Count{1, 2, uint64(offsets[2] - offsets[1])}); stats.Unreadable != want {
			t.Fatalf("byte %d of the payload: %+v, want %+v", at-offsets[1], stats.Unreadable, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Data that looks like an entry is not taken for one when what stands around it is damaged: its query would be run.
func TestDataIsNeverTakenForAnEntry(t *testing.T) {
	_, inner, _ := written(t, 2, 10) // whole entries, of another segment
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	e := entryOf(0, 0)
	e.Data = inner
	put(t, s, e, entryOf(1, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := files(t, dir)[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	s, _ = reopened(t, file, data)
	if got := drain(t, s); !sameNumbers(got, 1) {
		t.Errorf("delivered %v", got)
	}
}

// Resynchronizing reads in windows; an entry may lie across two.
func TestResyncAcrossWindows(t *testing.T) {
	for _, size := range []int{1<<20 - 120, 1<<20 - 100, 1<<20 - 90, 1<<20 - 80, 1 << 20, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			file, data, _ := written(t, 2, size)
			data[0] ^= 1
			s, _ := reopened(t, file, data)
			if got := drain(t, s); !sameNumbers(got, 1) {
				t.Errorf("delivered %v", got)
			}
		})
	}
}

func TestFilesThatAreNotSegments(t *testing.T) {
	dir := t.TempDir()
	names := []string{"README", "0000000000000000001.spool", "000000000000000000x-0000000000000001.spool"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	empty := filepath.Join(dir, fileName(5, 1))
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(0, 1))
	if got := drain(t, s); !sameNumbers(got, 0) {
		t.Errorf("delivered %v", got)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(empty); err == nil {
		t.Error("the empty segment is still there")
	}
}

// A clock that is set back must not let new entries overtake old ones.
func TestOrderWhenTheClockIsSetBack(t *testing.T) {
	dir := t.TempDir()
	future := fileName(1<<62, 1)
	if err := os.WriteFile(filepath.Join(dir, future), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(0, 1))
	if got := filepath.Base(files(t, dir)[0]); got <= future {
		t.Errorf("file %s sorts before %s", got, future)
	}
}
