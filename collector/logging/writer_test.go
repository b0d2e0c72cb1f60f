package logging

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reader that stops reading blocks nobody. When it reads again it learns how many lines it missed.
func TestLogWriter_readerThatStops(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	w := NewWriter(writer, Form{})
	const lines, length = 4000, 1000 // 4 MB, of which a pipe takes 64 KiB
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := range lines {
			fmt.Fprintf(w, "%0*d\n", length-1, n)
		}
	}()
	select {
	case <-written:
	case <-time.After(time.Minute):
		t.Fatal("writing a line waits for the reader")
	}
	dropped := w.Dropped()
	if dropped == 0 {
		t.Fatal("4 MB found room in a queue of 1 MiB")
	}
	closed := make(chan struct{})
	go func() { w.Close(time.Minute); writer.Close(); close(closed) }()
	got, said := uint64(0), uint64(0)
	for s := bufio.NewScanner(reader); s.Scan(); {
		var date string
		var n uint64
		if _, err := fmt.Sscanf(s.Text(), "%s WARN %d log lines were dropped", &date, &n); err == nil {
			said += n
			continue
		}
		got++
	}
	<-closed
	if got+dropped != lines {
		t.Errorf("%d lines came and %d were dropped, of %d", got, dropped, lines)
	}
	if said != dropped {
		t.Errorf("the log says that %d lines were dropped, want %d", said, dropped)
	}
}

// The end of the program does not wait for a reader that does not read.
func TestLogWriter_closeIsBounded(t *testing.T) {
	blocked := make(chan struct{})
	defer close(blocked)
	w := NewWriter(writerFunc(func(p []byte) (int, error) { <-blocked; return len(p), nil }), Form{})
	fmt.Fprintln(w, "a line")
	done := make(chan struct{})
	go func() { w.Close(time.Millisecond); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Close waits for the reader")
	}
}

// Lines that a broken file does not take are counted, and said when it takes lines again.
func TestLogWriter_brokenFile(t *testing.T) {
	var mu sync.Mutex
	var taken strings.Builder
	broken, tried := true, make(chan struct{}, 8)
	w := NewWriter(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		defer func() { tried <- struct{}{} }()
		if broken {
			return 0, errors.New("broken pipe")
		}
		return taken.Write(p)
	}), Form{})
	fmt.Fprintln(w, "one")
	fmt.Fprintln(w, "two")
	<-tried
	<-tried
	mu.Lock()
	broken = false
	mu.Unlock()
	for deadline := time.Now().Add(time.Minute); w.Dropped() != 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines are counted, want 2", w.Dropped())
		}
	}
	fmt.Fprintln(w, "three")
	w.Close(time.Minute)
	mu.Lock()
	defer mu.Unlock()
	if got := taken.String(); !strings.Contains(got, "WARN 2 log lines were dropped") ||
		!strings.HasSuffix(got, "\nthree\n") {
		t.Errorf("got %q", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
