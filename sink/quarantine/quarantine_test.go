package quarantine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func record(n int) Record {
	return Record{Reason: "rejected", Code: 469, Error: "Constraint `c` is violated",
		Query: fmt.Sprintf("INSERT INTO t%d (a)", n%2), Token: fmt.Sprint(n), Rows: n}
}

func TestPutAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "quarantine")
	if files, err := Read(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v where there is nothing", files, err)
	}
	for range 2 { // two runs
		q := New(Options{Dir: dir})
		for n := range 4 {
			if err := q.Put(record(n), []byte(fmt.Sprintf("block %d", n))); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := Read(dir)
	if err != nil || len(files) != 4 {
		t.Fatalf("%d files, want one for each run and statement; %v", len(files), err)
	}
	for _, f := range files {
		if len(f.Records) != 2 {
			t.Errorf("%s has %d records", f.Name, len(f.Records))
		}
		for _, r := range f.Records {
			data, err := f.Data(&r)
			if err != nil || string(data) != "block "+r.Token {
				t.Errorf("%s: the block of token %s is %q, %v", f.Name, r.Token, data, err)
			}
			if want := record(r.Rows); r.Query != want.Query || r.Error != want.Error || r.Time.IsZero() {
				t.Errorf("record %+v", r)
			}
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestFull(t *testing.T) {
	dir := t.TempDir()
	q := New(Options{Dir: dir, MaxBytes: 2000})
	data := make([]byte, 500)
	put := func() error { return q.Put(record(1), data) }
	n := 0
	for ; put() == nil; n++ {
	}
	if err := put(); n != 2 || !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%d blocks of 500 bytes found room in 2000, then %v", n, err)
	}
	files, err := Read(dir)
	if err != nil || len(files) != 1 || len(files[0].Records) != n {
		t.Fatalf("%v, %v: want %d records", files, err, n)
	}
	if err := files[0].Remove(); err != nil { // as an operator does
		t.Fatal(err)
	}
	if err := put(); err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
}

func TestRead_damaged(t *testing.T) {
	dir := t.TempDir()
	q := New(Options{Dir: dir})
	for n := range 2 {
		r := record(n)
		r.Query = "INSERT INTO t (a)"
		if err := q.Put(r, []byte("block")); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Read(dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	name := files[0].Name
	text, err := os.ReadFile(name + recordsExtension)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		if err := os.WriteFile(name+recordsExtension, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text[:len(text)-3]) // a crash tore the last line
	if f, err := ReadFile(name + blocksExtension); err != nil || len(f.Records) != 1 {
		t.Errorf("%v, %v: want the one record that is whole", f, err)
	}
	write(append(text, "{}garbage\n"...))
	if _, err := ReadFile(name + recordsExtension); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("error %v does not say where the garbage is", err)
	}
	write(append(text, bytes.Repeat([]byte("x"), 64<<20)...)) // a line that does not end
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = ReadFile(name)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "line 3") || after.TotalAlloc-before.TotalAlloc > 16<<20 {
		t.Errorf("a line of 64 MiB: %v, after %d bytes", err, after.TotalAlloc-before.TotalAlloc)
	}
	if _, err := files[0].Data(&Record{Offset: 8, Bytes: 1 << 40}); err == nil {
		t.Error("no error for a block that is not there")
	}
}

func TestPut_noPermission(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	q := New(Options{Dir: filepath.Join(file, "quarantine")})
	if err := q.Put(record(1), []byte("x")); err == nil ||
		!strings.Contains(err.Error(), "quarantine 1 rows in "+file) {
		t.Errorf("error %v does not name the directory", err)
	}
}
