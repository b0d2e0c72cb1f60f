package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
)

// zeros opens so many bytes that are not in memory.
func zeros(n int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(endless{}, n)), nil }
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// allocated returns how many bytes do allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLargeEntryIsNeverInMemoryAsAWhole(t *testing.T) {
	const size = 64 << 20
	s := open(t, Options{})
	e := entryOf(1, 0)
	e.Data, e.From, e.Size = nil, zeros(size), size
	if n := allocated(func() { put(t, s, e) }); n > size/16 {
		t.Errorf("Put allocated %d bytes for an entry of %d", n, size)
	}
	n := allocated(func() {
		got, ok := s.NextUnread()
		if !ok || got.Size != size || got.Data != nil {
			t.Fatalf("got %v, %+v", ok, got)
		}
		r, err := got.Open()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1<<10)); n != size || err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		s.Done(got)
	})
	if n > size/16 {
		t.Errorf("reading allocated %d bytes for an entry of %d", n, size)
	}
}

func TestEntryIsReadWhereItIs(t *testing.T) {
	s := open(t, Options{})
	put(t, s, entryOf(1, 3), entryOf(2, partSize), entryOf(3, partSize+1), entryOf(4, 0))
	for n := 1; n <= 4; n++ {
		e, ok := s.NextUnread()
		if !ok {
			t.Fatalf("there is no entry %d", n)
		}
		want := entryOf(n, e.Size)
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want.Data) {
			t.Errorf("entry %d: %d bytes, %v", n, len(got), err)
		}
		if err := errors.Join(r.Close(), e.Load()); err != nil || !bytes.Equal(e.Data, want.Data) {
			t.Errorf("entry %d was loaded as %d bytes, %v", n, len(e.Data), err)
		}
		s.Done(e)
	}
}

// An entry on disk can be put again, as Replace does with an entry whose token has changed.
func TestEntryOnDiskIsReplacedByItself(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(7, partSize+100))
	e, _ := s.NextUnread()
	again := &Entry{Query: e.Query, Token: e.Token, Rows: e.Rows, From: e.Open, Size: e.Size}
	if err := s.Replace(e, again); err != nil {
		t.Fatal(err)
	}
	s.Return(again, 0)
	if got := drain(t, s); !sameNumbers(got, 7) {
		t.Errorf("got %v", got)
	}
}

// A file that has become shorter is not the end of the data: what was sent until then must not count as all of it.
func TestEntryOfAFileThatBecameShorter(t *testing.T) {
	s := open(t, Options{})
	put(t, s, entryOf(1, 100))
	e, _ := s.NextUnread()
	r, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(e.segment.path, e.at+50); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != io.ErrUnexpectedEOF || len(got) != 50 {
		t.Errorf("read %d bytes: %v", len(got), err)
	}
}

func TestPutOfDataThatIsNotOfItsSize(t *testing.T) {
	for _, n := range []int64{99, 101} {
		s := open(t, Options{})
		e := entryOf(1, 0)
		e.Data, e.From, e.Size = nil, zeros(n), 100
		if err := s.Put(e); !errors.Is(err, errSize) {
			t.Errorf("%d bytes for 100: %v", n, err)
		}
		balanced(t, s.Stats())
		put(t, s, entryOf(2, 10))
		if got := drain(t, s); !sameNumbers(got, 2) {
			t.Errorf("got %v", got)
		}
	}
}

// Data that is other data the second time, as the disk may have it, leaves nothing behind.
func TestPutThatFailsInTheMiddleOfTheData(t *testing.T) {
	s := open(t, Options{})
	put(t, s, entryOf(1, 10))
	e, opened := entryOf(2, 0), 0
	e.Data, e.Size = nil, 3*partSize
	e.From = func() (io.ReadCloser, error) {
		if opened++; opened == 1 {
			return zeros(int64(e.Size))()
		}
		return zeros(2 * partSize)()
	}
	if err := s.Put(e); !errors.Is(err, errSize) {
		t.Fatal(err)
	}
	for _, f := range files(t, s.o.Dir) {
		if info, err := os.Stat(f); err != nil || info.Size() > partSize {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
	if got := drain(t, s); !sameNumbers(got, 1) {
		t.Errorf("got %v", got)
	}
}
