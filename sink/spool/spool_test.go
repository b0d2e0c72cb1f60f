package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// entryOf is the n-th entry: 1+n rows, and data of that many bytes.
func entryOf(n, size int) Entry {
	return Entry{
		Query: "INSERT INTO `flows`.`data_flow` (`a`)", Token: fmt.Sprintf("token-%d", n), Rows: 1 + n,
		Data: bytes.Repeat([]byte{byte(n)}, size),
	}
}

func put(t testing.TB, s *Spool, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.Put(e); err != nil {
			t.Fatal(err)
		}
	}
}

// drain takes all there is, and checks each against entryOf.
func drain(t *testing.T, s *Spool) (numbers []int) {
	t.Helper()
	for {
		e, ok := s.Next()
		if !ok {
			return numbers
		}
		n := e.Rows - 1
		if want := entryOf(n, len(e.Data)); e.Query != want.Query || e.Token != want.Token ||
			!bytes.Equal(e.Data, want.Data) {
			t.Errorf("entry %d came back as %q %q and %d bytes", n, e.Query, e.Token, len(e.Data))
		}
		numbers = append(numbers, n)
		s.Done(e)
	}
}

func sameNumbers(got []int, want ...int) bool { return fmt.Sprint(got) == fmt.Sprint(want) }

// balanced checks the equation that Stats promises.
func balanced(t *testing.T, s Stats) {
	t.Helper()
	var in, out Count
	for _, c := range []Count{s.Found, s.Put} {
		in.add(c)
	}
	for _, c := range []Count{s.Done, s.DroppedFull, s.DroppedAge, s.Unreadable, s.Waiting} {
		out.add(c)
	}
	if in != out {
		t.Errorf("%+v came in, %+v is accounted for: %+v", in, out, s)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOldestFirstAndGoneWhenDone(t *testing.T) {
	for name, segment := range map[string]int64{"one file": 1 << 20, "a file each": 1, "some in a file": 400} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir, SegmentBytes: segment})
			for i := range 10 {
				put(t, s, entryOf(i, 10*i))
			}
			stats := s.Stats()
			if stats.Waiting.Entries != 10 || stats.Waiting.Rows != 55 || stats.Oldest.IsZero() || s.Ready() != 10 {
				t.Errorf("stats %+v, %d ready", stats, s.Ready())
			}
			if got := drain(t, s); !sameNumbers(got, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) {
				t.Errorf("delivered %v", got)
			}
			stats = s.Stats()
			balanced(t, stats)
			if stats.Done.Entries != 10 || stats.DiskBytes != 0 || s.Ready() != 0 || len(files(t, dir)) != 0 {
				t.Errorf("stats %+v, %d ready, files %v", stats, s.Ready(), files(t, dir))
			}
			put(t, s, entryOf(3, 3))
			if got := drain(t, s); !sameNumbers(got, 3) {
				t.Errorf("delivered %v after it was empty", got)
			}
		})
	}
}

func TestReopenKeepsWhatIsNotDone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 400})
	for i := range 8 {
		put(t, s, entryOf(i, 50))
	}
	for range 3 {
		e, _ := s.Next()
		s.Done(e)
	}
	if _, ok := s.Next(); !ok { // taken, not done: 3
		t.Fatal("no entry")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(entryOf(1, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	s = open(t, Options{Dir: dir, SegmentBytes: 400})
	if got := s.Stats().Found; got.Entries != 5 || got.Rows != 4+5+6+7+8 {
		t.Errorf("found %+v", got)
	}
	put(t, s, entryOf(8, 50))
	if got := drain(t, s); !sameNumbers(got, 3, 4, 5, 6, 7, 8) {
		t.Errorf("delivered %v", got)
	}
	balanced(t, s.Stats())
}

func TestReturn(t *testing.T) {
	s := open(t, Options{})
	clock := setClock(s, time.Now())
	put(t, s, entryOf(0, 5), entryOf(1, 5))
	e, _ := s.Next()
	s.Return(e, 0)
	if e, _ = s.Next(); e.Rows != 1 || e.Tries != 1 {
		t.Fatalf("%d rows, %d tries: it is not the one that was returned", e.Rows, e.Tries)
	}
	s.Return(e, time.Minute)
	if e, _ = s.Next(); e.Rows != 2 {
		t.Fatal("what was returned for a minute came at once")
	}
	s.Done(e)
	if _, ok := s.Next(); ok {
		t.Fatal("what was returned for a minute came at once")
	}
	clock.advance(time.Minute)
	if got := drain(t, s); !sameNumbers(got, 0) {
		t.Errorf("after a minute came %v", got)
	}
}

func TestBoundedByBytes(t *testing.T) {
	dir := t.TempDir()
	one := int64(headerSize + len(entryOf(0, 0).Query) + len(entryOf(0, 0).Token) + 100)
	s := open(t, Options{Dir: dir, MaxBytes: 5*one + 10, SegmentBytes: 2 * one})
	put(t, s, entryOf(0, 100), entryOf(1, 100))
	held, _ := s.Next() // 0
	for i := 2; i < 9; i++ {
		put(t, s, entryOf(i, 100))
		if size := s.Stats().DiskBytes; size > 5*one+10 {
			t.Errorf("%d bytes on disk", size)
		}
	}
	stats := s.Stats()
	balanced(t, stats)
	if want := (Count{Entries: 3, Rows: 2 + 3 + 4, Bytes: uint64(3 * one)}); stats.DroppedFull != want {
		t.Errorf("dropped %+v, want %+v: 0 is taken, so not lost", stats.DroppedFull, want)
	}
	s.Done(held)
	if got := drain(t, s); !sameNumbers(got, 4, 5, 6, 7, 8) {
		t.Errorf("delivered %v", got)
	}
	balanced(t, s.Stats())
	if err := s.Put(entryOf(0, int(6*one))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("larger than all: %v", err)
	}
	if s.Stats().Failed.Entries != 1 {
		t.Errorf("failed %+v", s.Stats().Failed)
	}
}

func TestDroppedWhileTaken(t *testing.T) {
	one := int64(headerSize + len(entryOf(0, 0).Query) + len(entryOf(0, 0).Token) + 100)
	s := open(t, Options{MaxBytes: one, SegmentBytes: 1})
	put(t, s, entryOf(0, 100))
	e, _ := s.Next()
	put(t, s, entryOf(1, 100))
	s.Return(e, 0)
	if got := s.Stats().DroppedFull.Rows; got != 1 {
		t.Errorf("%d rows dropped, want that of the entry which came back when its file was gone", got)
	}
	if got := drain(t, s); !sameNumbers(got, 1) {
		t.Errorf("delivered %v", got)
	}
	balanced(t, s.Stats())
}

func TestOneProcessADirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); err == nil {
		t.Error("opened twice")
	}
}

func TestDirectoryCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: filepath.Join(file, "spool")}); err == nil {
		t.Error("no error")
	}
}

// Writers and readers at once; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	s := open(t, Options{SegmentBytes: 2000})
	const writers, each = 4, 50
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := range each {
				if err := s.Put(entryOf(w*each+i, 20)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := make(chan int, writers*each*2)
	finished := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				e, ok := s.Next()
				switch {
				case ok && rand.IntN(3) == 0:
					s.Return(e, 0)
				case ok:
					seen <- e.Rows
					s.Done(e)
				default:
					select {
					case <-finished:
						if s.Stats().Waiting.Entries == 0 {
							return
						}
					default:
					}
					time.Sleep(time.Millisecond)
				}
				s.Stats()
			}
		})
	}
	done.Wait()
	close(finished)
	readers.Wait()
	close(seen)
	got := map[int]bool{}
	for n := range seen {
		if got[n] {
			t.Errorf("entry %d came twice", n)
		}
		got[n] = true
	}
	if len(got) != writers*each || s.Ready() != 0 {
		t.Errorf("%d entries of %d came, %d ready", len(got), writers*each, s.Ready())
	}
	balanced(t, s.Stats())
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := open(b, Options{MaxBytes: 512 << 20})
			e := entryOf(1, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := s.Put(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 400})
	for i := range 6 {
		e := entryOf(i, 50)
		e.Priority = i == 3 || i == 5
		put(t, s, e)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, SegmentBytes: 400}) // it is on disk who goes first
	e, _ := s.Next()
	if e.Rows != entryOf(3, 0).Rows || !e.Priority {
		t.Fatalf("first came the entry of %d rows", e.Rows)
	}
	s.Return(e, time.Hour)
	one, _ := s.Next()
	two, _ := s.Next()
	two.Priority = true
	s.Return(two, 0)
	if next, _ := s.Next(); next.Token != two.Token || one.Rows != entryOf(5, 0).Rows {
		t.Errorf("after it came %d rows, then %q, want what goes first since it was returned", one.Rows, next.Token)
	}
	for range 4 {
		if e, ok := s.Next(); ok {
			s.Done(e)
		}
	}
	balanced(t, s.Stats())
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(0, 50))
	put(t, s, entryOf(1, 50))
	whole, _ := s.Next()
	a, b := entryOf(10, 20), entryOf(11, 30)
	if err := s.Replace(whole, &a, &b); err != nil {
		t.Fatal(err)
	}
	s.Done(&a)
	balanced(t, s.Stats())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if got := drain(t, s); !sameNumbers(got, 1, 11) {
		t.Errorf("after a restart %v wait, want what is left of the parts and the other", got)
	}
	put(t, s, entryOf(2, 50))
	whole, _ = s.Next()
	a, b = entryOf(12, 20), entryOf(13, 30)
	b.Rows = -1 // has no room in an entry
	if err := s.Replace(whole, &a, &b); err == nil {
		t.Fatal("no error")
	}
	s.Return(whole, 0)
	balanced(t, s.Stats())
	if got := drain(t, s); !sameNumbers(got, 2) {
		t.Errorf("after a failure %v wait, want the whole", got)
	}
}

// Prior counts the entries with Priority until they are done, those of an earlier run too.
func TestPrior(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	put(t, s, entryOf(1, 10))
	first := entryOf(2, 10)
	first.Priority = true
	put(t, s, first)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if n := s.Prior(); n != 1 {
		t.Errorf("%d, want 1", n)
	}
	e, ok := s.Next()
	if !ok || !e.Priority || s.Prior() != 1 {
		t.Fatalf("%+v, %d in all, want the one with priority", e, s.Prior())
	}
	s.Done(e)
	if n := s.Prior(); n != 0 {
		t.Errorf("%d when it is done", n)
	}
}
