package spool

import (
	"os"
	"slices"
	"testing"
	"time"
)

// apartOf is entryOf(n) of the other kind.
func apartOf(n, size int) Entry {
	e := entryOf(n, size)
	e.Apart = true
	return e
}

// Each kind of entries has half of the spool for certain, and all of it where there is none of the other.
func TestApartIsDroppedFirst(t *testing.T) {
	one := int64(headerSize + len(entryOf(0, 0).Query) + len(entryOf(0, 0).Token) + 100)
	usual := func(n int) Entry { return entryOf(n, 100) }
	apart := func(n int) Entry { return apartOf(n, 100) }
	for name, test := range map[string]struct {
		put  []Entry
		left []int
	}{
		"a flood behind usual entries": {
			[]Entry{usual(0), usual(1), apart(2), apart(3), apart(4), apart(5), apart(6), apart(7), apart(8)},
			[]int{0, 1, 7, 8}},
		"usual entries behind a flood": {
			[]Entry{apart(0), apart(1), apart(2), apart(3), usual(4), usual(5)}, []int{2, 3, 4, 5}},
		"more usual ones than half": {
			[]Entry{apart(0), apart(1), apart(2), apart(3), usual(4), usual(5), usual(6), usual(7)},
			[]int{2, 3, 6, 7}},
		"usual ones alone": {[]Entry{usual(0), usual(1), usual(2), usual(3), usual(4)}, []int{1, 2, 3, 4}},
		"a flood alone":    {[]Entry{apart(0), apart(1), apart(2), apart(3), apart(4)}, []int{1, 2, 3, 4}},
		"an entry as large as all": {
			[]Entry{usual(0), apart(1), apartOf(2, 100+3*int(one))}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{MaxBytes: 4 * one, SegmentBytes: 1})
			put(t, s, test.put...)
			stats := s.Stats()
			balanced(t, stats)
			apart := 0
			for _, e := range test.put {
				if e.Apart && !slices.Contains(test.left, e.Rows-1) {
					apart++
				}
			}
			if dropped := stats.DroppedApart.Entries; dropped != uint64(apart) {
				t.Errorf("%d entries that are apart were dropped, want %d", dropped, apart)
			}
			if full := s.Fullness(); full != float64(stats.DiskBytes)/float64(4*one) {
				t.Errorf("fullness %v with %d bytes", full, stats.DiskBytes)
			}
			if got := drain(t, s); !sameNumbers(got, test.left...) {
				t.Errorf("left %v, want %v", got, test.left)
			}
			if stats := s.Stats(); stats.DiskBytes != 0 || stats.ApartBytes != 0 || s.Fullness() != 0 {
				t.Errorf("nothing is left, but %+v", stats)
			}
		})
	}
}

// Both kinds fill files of their own at the same time, and are of the same kind after a restart.
func TestApartOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for n := range 6 {
		e := entryOf(n, 1000)
		e.Apart = n%2 == 1
		put(t, s, e)
	}
	if got := files(t, dir); len(got) != 2 {
		t.Fatalf("files %q", got)
	}
	before := s.Stats()
	if before.ApartBytes == 0 || 2*before.ApartBytes != before.DiskBytes {
		t.Errorf("%+v", before)
	}
	_ = s.Close()
	// A crash may have interrupted a write to either file.
	for _, path := range files(t, dir) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(magic)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	s = open(t, Options{Dir: dir})
	if stats := s.Stats(); stats.Torn.Entries != 2 || stats.Damaged.Entries != 0 ||
		stats.DiskBytes != before.DiskBytes || stats.ApartBytes != before.ApartBytes {
		t.Errorf("after a restart %+v, before %+v", stats, before)
	}
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		if n := e.Rows - 1; e.Apart != (n%2 == 1) {
			t.Errorf("entry %d is apart: %t", n, e.Apart)
		}
		s.Done(e)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("files %q are left", left)
	}
}

// Entries of one kind become too old behind younger ones of the other.
func TestApartByAge(t *testing.T) {
	s := open(t, Options{MaxAge: time.Hour})
	clock := setClock(s, someDay)
	put(t, s, entryOf(0, 5), apartOf(1, 5))
	clock.advance(time.Hour)
	put(t, s, entryOf(2, 5), apartOf(3, 5))
	first, _ := s.Next() // 0: its file stays the oldest
	clock.advance(time.Minute)
	if got := drain(t, s); !sameNumbers(got, 2, 3) {
		t.Errorf("left %v", got)
	}
	s.Return(first, 0)
	if stats := s.Stats(); stats.DroppedAge.Entries != 1 {
		t.Errorf("%+v", stats)
	}
	balanced(t, s.Stats())
}
