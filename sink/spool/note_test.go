package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// noted are entries whose notes name them.
func noted(n int) Entry {
	e := entryOf(n, 100)
	e.Note, e.Ref = fmt.Appendf(nil, "note of %d", n), n
	return e
}

// heard is what a Spool tells of entries that were found and dropped.
type heard struct {
	found   []string
	dropped []string
}

func (h *heard) in(o Options) Options {
	o.Found = func(rows int, note []byte, readable bool) any {
		if !readable {
			return "unreadable"
		}
		h.found = append(h.found, fmt.Sprintf("%d rows, %s", rows, note))
		return string(note)
	}
	o.Dropped = func(ref any, why Cause) {
		h.dropped = append(h.dropped, fmt.Sprintf("%v: %d", ref, why))
	}
	return o
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestNotesComeBack(t *testing.T) {
	var h heard
	o := h.in(Options{Dir: t.TempDir()})
	s := open(t, o)
	put(t, s, noted(0), noted(1), noted(2))
	e, _ := s.Next()
	if string(e.Note) != "note of 0" || e.Ref != 0 {
		t.Errorf("note %q, ref %v", e.Note, e.Ref)
	}
	s.Done(e)
	_ = s.Close()
	s = open(t, o)
	same(t, "found", h.found, "2 rows, note of 1", "3 rows, note of 2")
	if e, _ = s.Next(); string(e.Note) != "note of 1" || e.Ref != "note of 1" {
		t.Errorf("after a restart: note %q, ref %v", e.Note, e.Ref)
	}
	s.Return(e, 0)
	if got := drain(t, s); !sameNumbers(got, 1, 2) {
		t.Errorf("came back: %v", got)
	}
	same(t, "dropped", h.dropped)
}

func TestDroppedEntriesAreTold(t *testing.T) {
	one := int64(headerSize + len(noted(0).Query) + len(noted(0).Token) + len(noted(0).Note) + 100)
	t.Run("full", func(t *testing.T) {
		var h heard
		s := open(t, h.in(Options{MaxBytes: 3 * one, SegmentBytes: 1}))
		put(t, s, noted(0), noted(1), noted(2))
		taken, _ := s.Next()
		put(t, s, noted(3), noted(4))
		same(t, "dropped, but for the one that is taken", h.dropped, "1: 0")
		s.Return(taken, 0)
		same(t, "dropped, with the one that came back", h.dropped, "1: 0", "0: 0")
	})
	t.Run("old", func(t *testing.T) {
		var h heard
		s := open(t, h.in(Options{MaxAge: time.Hour}))
		clock := setClock(s, time.Now())
		put(t, s, noted(0))
		clock.advance(2 * time.Hour)
		s.Next()
		same(t, "dropped", h.dropped, "0: 1")
	})
	t.Run("damaged", func(t *testing.T) {
		var h heard
		s := open(t, h.in(Options{}))
		put(t, s, noted(0), noted(1))
		f := files(t, s.o.Dir)[0]
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[one-1]++
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, ok := s.Next(); !ok || e.Ref != 1 {
			t.Errorf("the whole one did not come: %v", e)
		}
		same(t, "dropped", h.dropped, "0: 2")
	})
}

// Files of version 1, which knew no notes, are delivered.
func TestVersion1(t *testing.T) {
	dir := t.TempDir()
	e := entryOf(4, 100)
	id := uint64(0x1122334455667788)
	b := append([]byte(magic), 1, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
	payload := slices.Concat([]byte(e.Query), []byte(e.Token), e.Data)
	for _, n := range []int{e.Rows, len(e.Query), len(e.Token), len(e.Data), int(checksum(payload))} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	if err := os.WriteFile(filepath.Join(dir, fileName(1, id, false)), slices.Concat(b, payload), 0o600); err != nil {
		t.Fatal(err)
	}
	var h heard
	s := open(t, h.in(Options{Dir: dir}))
	same(t, "found", h.found, "5 rows, ")
	got, ok := s.Next()
	if !ok || got.Token != e.Token || got.Query != e.Query || !bytes.Equal(got.Data, e.Data) || len(got.Note) != 0 {
		t.Errorf("got %+v", got)
	}
}
