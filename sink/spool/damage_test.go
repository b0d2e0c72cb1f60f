package spool

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// A crash leaves the last entry short, or the end of it unwritten. It is cut off, and nothing else is lost.
func TestTornTailAtEveryByte(t *testing.T) {
	const n = 3
	file, data, offsets := written(t, n, 40)
	start := offsets[n-1]
	zeros := make([]byte, offsets[n]-start)
	tails := map[string]struct {
		of   func(at int64) []byte
		upto int64
	}{
		"the file ends": {func(at int64) []byte { return data[:at] }, offsets[n]},
		"zeros follow in the header": {func(at int64) []byte { return append(slices.Clone(data[:at]), zeros...) },
			start + sumOffset},
		"zeros and nothing but zeros": {func(at int64) []byte {
			return append(slices.Clone(data[:start]),
				zeros[:at-start]...)
		}, offsets[n]},
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			for at := start; at < tail.upto; at++ {
				b := tail.of(at)
				s, path := reopened(t, file, b)
				stats := s.Stats()
				wantTorn := uint64(1)
				if int64(len(b)) == start {
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

// One wrong byte anywhere in any entry: in the header nothing is lost, in the payload that entry, which is told.
func TestOneWrongByteAnywhere(t *testing.T) {
	const n = 3
	file, data, offsets := written(t, n, 40)
	for _, flip := range []byte{0x01, 0x10, 0xff} {
		for entry := range n {
			for at := offsets[entry]; at < offsets[entry+1]; at++ {
				in := at - offsets[entry]
				if in == stateOffset && flip == stateDone {
					continue // says that it is done
				}
				bad := slices.Clone(data)
				bad[at] ^= flip
				want := []int{0, 1, 2}
				if in >= headerSize {
					want = slices.Delete(want, entry, entry+1)
				}
				s, _ := reopened(t, file, bad)
				if got := drain(t, s); !sameNumbers(got, want...) {
					t.Fatalf("byte %d of entry %d: delivered %v", in, entry, got)
				}
				stats := s.Stats()
				balanced(t, stats)
				var lost Count
				if in >= headerSize {
					lost = Count{1, uint64(entry) + 1, uint64(offsets[entry+1] - offsets[entry])}
				}
				if stats.Unreadable != lost || stats.Torn.Entries != 0 {
					t.Fatalf("byte %d of entry %d: lost %+v, want %+v; torn %+v", in, entry, stats.Unreadable, lost,
						stats.Torn)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A header that is lost with more than one byte costs its entry, and its rows are told: exactly where its lengths still
// fit, else about as many as the rest of the file has in so many bytes, and never none.
func TestLostHeader(t *testing.T) {
	file, data, offsets := written(t, 3, 40)
	for name, test := range map[string]struct {
		entry    int
		from, to int64 // in the header
		rows     uint64
		left     []int
	}{
		"lengths are whole":       {1, 0, 6, 2, []int{0, 2}},
		"all of it":               {1, 0, headerSize, 2, []int{0, 2}},
		"of the last":             {2, 0, 6, 3, []int{0, 1}},
		"all of it, of the first": {0, 0, headerSize, 2, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			bad := slices.Clone(data)
			for i := test.from; i < test.to; i++ {
				bad[offsets[test.entry]+i] ^= 0x5a
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var h heard
			s := open(t, h.in(Options{Dir: dir}))
			if got := drain(t, s); !sameNumbers(got, test.left...) {
				t.Errorf("delivered %v", got)
			}
			stats := s.Stats()
			balanced(t, stats)
			if stats.Damaged.Entries != 1 || stats.Damaged.Rows != test.rows || stats.Unreadable != stats.Damaged {
				t.Errorf("%+v, want %d rows damaged", stats, test.rows)
			}
			same(t, "dropped", h.dropped, fmt.Sprintf("unreadable: %d", Damage))
		})
	}
}

// Damage at the end of a file that is not the newest is no torn tail: its Put had returned.
func TestLastEntryOfAnOlderFile(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"a wrong byte":      func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
		"the file is cut":   func(data []byte) []byte { return data[:len(data)-100] },
		"no header is left": func(data []byte) []byte { return make([]byte, len(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir, SegmentBytes: 1})
			put(t, s, entryOf(0, 5000), entryOf(1, 5000), entryOf(2, 5000)) // a file each
			_ = s.Close()
			first := files(t, dir)[0]
			data, err := os.ReadFile(first)
			if err == nil {
				err = os.WriteFile(first, damage(data), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			var h heard
			s = open(t, h.in(Options{Dir: dir}))
			if got := drain(t, s); !sameNumbers(got, 1, 2) {
				t.Errorf("delivered %v", got)
			}
			stats := s.Stats()
			balanced(t, stats)
			if len(h.dropped) != 1 || stats.Unreadable.Rows != 1 || stats.Torn.Entries != 0 {
				t.Errorf("told as dropped %q; %+v", h.dropped, stats)
			}
		})
	}
}

// A file that another version wrote is neither read nor deleted, by whatever happens to the rest.
func TestOtherVersion(t *testing.T) {
	for _, v := range []byte{0, 3, 4, 255} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			file, data, offsets := written(t, 3, 4000)
			seg, _ := parseFileName(filepath.Base(file))
			for _, at := range offsets[1:3] { // the first entry is of version 2
				data[at+4] = v
				if v != 255 { // of version 255 not even the place of the checksum is known
					binary.LittleEndian.PutUint32(data[at+sumOffset:], checksum(data[at:at+sumOffset]))
				} else {
					copy(data[at+idOffset+8:], "something else altogether")
				}
			}
			if _, ok := parseHeader(data, seg.id); !ok {
				t.Fatal("the first entry is not whole")
			}
			s, path := reopened(t, file, data)
			stats := s.Stats()
			if stats.Foreign.Entries != 1 || stats.Foreign.Bytes != uint64(len(data)) || stats.Found.Entries != 0 {
				t.Errorf("%+v", stats)
			}
			put(t, s, entryOf(5, 5))
			if got := drain(t, s); !sameNumbers(got, 5) {
				t.Errorf("delivered %v", got)
			}
			_ = s.Close()
			s = open(t, Options{Dir: filepath.Dir(path), MaxBytes: 500, SegmentBytes: 100})
			put(t, s, entryOf(0, 50), entryOf(1, 50), entryOf(2, 50), entryOf(3, 50), entryOf(4, 50))
			_ = s.Close()
			if now, err := os.ReadFile(path); err != nil || !slices.Equal(now, data) {
				t.Errorf("the file was changed: %v", err)
			}
		})
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
	data[1] ^= 1
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
			data[1] ^= 1
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
	empty := filepath.Join(dir, fileName(5, 1, false))
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
	future := fileName(1<<62, 1, false)
	if err := os.WriteFile(filepath.Join(dir, future), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(0, 1))
	if got := filepath.Base(files(t, dir)[0]); got <= future {
		t.Errorf("file %s sorts before %s", got, future)
	}
}
