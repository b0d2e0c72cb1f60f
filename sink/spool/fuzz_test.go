package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// signed makes a file's headers valid where its lengths lead: with the segment's number and the checksum. Otherwise
// hardly any input of a fuzzer had a header that is read.
func signed(data []byte, id uint64) []byte {
	data = slices.Clone(data)
	for at := int64(0); at+headerSize <= int64(len(data)); {
		b := data[at : at+headerSize]
		copy(b, magic)
		b[4] = version - b[4]%2 // or version1
		binary.LittleEndian.PutUint64(b[idOffset:], id)
		plain := withoutState(b)
		binary.LittleEndian.PutUint32(b[sumOffset:], checksum(plain[:sumOffset]))
		h := fields(b)
		at += h.size()
	}
	return data
}

// FuzzSegment reads anything as a file of an earlier run. What is there is delivered or counted as lost, each once, and
// entries are no larger than the file.
func FuzzSegment(f *testing.F) {
	const id = 0x0123456789abcdef
	var file []byte
	for n := range 3 {
		e := entryOf(n, 20*n)
		e.Note, e.Priority = []byte("note"), n == 1
		h, err := newHeader(id, 1_772_000_000_000, &e)
		if err != nil {
			f.Fatal(err)
		}
		text := slices.Concat([]byte(e.Query), []byte(e.Token), e.Note)
		h.checksum = checksum(text, e.Data)
		file = slices.Concat(h.appendTo(file), text, e.Data)
	}
	f.Add(file, false, true)
	f.Add(file[:len(file)-5], false, true)
	f.Add(file[:len(file)-5], true, false)
	f.Add(append(slices.Clone(file), make([]byte, 100)...), false, true)
	f.Add(slices.Concat(file[:50], file), false, false)
	f.Add(slices.Repeat(binary.LittleEndian.AppendUint64(nil, id), 30), false, false)
	f.Fuzz(func(t *testing.T, data []byte, sign, newest bool) {
		if sign {
			data = signed(data, id)
		}
		dir := t.TempDir()
		write := func(name string, data []byte) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(fileName(1, id, false), data)
		if !newest {
			write(fileName(2, id+1, false), nil)
		}
		found, dropped := 0, 0
		s := open(t, Options{Dir: dir,
			Found:   func(int, []byte, bool) any { found++; return found },
			Dropped: func(any, Cause) { dropped++ }})
		taken := 0
		for e, ok := s.Next(); ok; e, ok = s.Next() {
			taken++
			if n := len(e.Query) + len(e.Token) + len(e.Note) + len(e.Data); n > len(data) {
				t.Fatalf("an entry of %d bytes in a file of %d", n, len(data))
			}
			s.Done(e)
		}
		balanced(t, s.Stats())
		if found != taken+dropped {
			t.Errorf("%d entries found, %d delivered, %d lost", found, taken, dropped)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		again := open(t, Options{Dir: dir})
		if e, ok := again.Next(); ok {
			t.Errorf("%q comes back although all were delivered", e.Token)
		}
		_ = again.Close()
	})
}
