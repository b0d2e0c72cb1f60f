package clickhouse

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/spool"
)

func openSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// withSpool is fast with a spool that is used at once.
func withSpool(s *spool.Spool) WriterOptions {
	o := fast()
	o.Spool, o.SpoolAfter = s, time.Nanosecond
	return o
}

// until waits for what the Writer does in the background.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: " + what)
		}
	}
}

// switchable is a server that fails inserts, as fail says, until it is mended.
func switchable(t *testing.T, fail func(http.ResponseWriter)) (f *fakeServer, broken *atomic.Bool) {
	broken = &atomic.Bool{}
	broken.Store(true)
	f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if broken.Load() {
			fail(w)
		}
	})
	return f, broken
}

// stored are the tokens of the inserts from the n-th on, and checks that each has its block.
func stored(t *testing.T, f *fakeServer, n int) (tokens []string) {
	t.Helper()
	for _, in := range f.got()[n:] {
		if in.data != "block "+in.token || in.query != insertOf("").Query+" FORMAT Native" {
			t.Errorf("token %q came with data %q and query %q", in.token, in.data, in.query)
		}
		tokens = append(tokens, in.token)
	}
	return tokens
}

// allThere checks what Stats promises of the numbers.
func allThere(t *testing.T, enqueued uint64, s Stats) {
	t.Helper()
	out := s.Delivered.Inserts + uint64(s.QueuedInserts) + s.Spool.Waiting.Entries
	for _, count := range s.Lost {
		out += count.Inserts
	}
	for _, count := range s.Quarantined {
		out += count.Inserts
	}
	if in := enqueued + s.Spool.Found.Entries + s.Cut; in != out {
		t.Errorf("%d inserts came in, %d are accounted for: %+v", in, out, s)
	}
}

func TestSpoolTakesWhatFailsAndGivesItBackInOrder(t *testing.T) {
	cases := map[string]func(http.ResponseWriter){
		"down":           func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"wrong password": func(w http.ResponseWriter) { exception(w, 403, 516, "Authentication failed") },
	}
	for name, fail := range cases {
		t.Run(name, func(t *testing.T) {
			f, broken := switchable(t, fail)
			sp := openSpool(t, t.TempDir())
			o := withSpool(sp)
			var released atomic.Int64
			o.Release = func(native.Packed) { released.Add(1) }
			w := NewWriter(f.open(t), o)
			for i := range 6 {
				w.Enqueue(insertOf(fmt.Sprint(i)))
			}
			until(t, "all is on disk", func() bool {
				s := w.Stats()
				return s.Spooled.Inserts == 6 &&
					s.QueuedBytes == 0
			})
			if n := released.Load(); n < 6 {
				t.Errorf("%d buffers released while all is on disk", n)
			}
			broken.Store(false)
			until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == 6 })
			closeWriter(t, w)
			s := w.Stats()
			allThere(t, 6, s)
			if s.FromSpool.Inserts != 6 || s.FromSpool.Rows != 18 || len(s.Lost) != 0 || s.Spool.DiskBytes != 0 {
				t.Errorf("stats %+v", s)
			}
			all := stored(t, f, 0)
			last := all[len(all)-6:]
			if name == "wrong password" {
				slices.Sort(last) // those that the server refused are put aside
			}
			if want := []string{"0", "1", "2", "3", "4", "5"}; !slices.Equal(last, want) {
				t.Errorf("delivered %v, want %v", last, want)
			}
		})
	}
}

func TestSpoolInTurnWithLiveInserts(t *testing.T) {
	sp := openSpool(t, t.TempDir())
	for i := range 5 {
		old := insertOf(fmt.Sprintf("old%d", i))
		if err := sp.Put(spool.Entry{Query: old.Query, Token: old.Token, Rows: old.Rows,
			Data: old.whole()}); err != nil {
			t.Fatal(err)
		}
	}
	var f *fakeServer
	f = newFakeServer(t, func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) })
	o := withSpool(sp)
	ready := make(chan struct{})
	o.Ready, o.SpoolAfter = ready, time.Hour
	w := NewWriter(f.open(t), o)
	for i := range 3 {
		w.Enqueue(insertOf(fmt.Sprintf("new%d", i)))
	}
	close(ready)
	until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == 8 })
	closeWriter(t, w)
	allThere(t, 3+5, w.Stats())
	want := []string{"new0", "old0", "new1", "old1", "new2", "old2", "old3", "old4"}
	if got := stored(t, f, 0); !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
}

// Enqueue does not wait for the disk, so the spool takes over when half of the memory is used.
func TestSpoolTakesWhatFillsTheQueue(t *testing.T) {
	f, letGo := held(t)
	sp := openSpool(t, t.TempDir())
	o := withSpool(sp)
	o.SpoolAfter = time.Hour
	o.QueueBytes = 40 // five blocks of 8 bytes, one of them under way
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("00"))
	underWay(f, 1)
	for i := 1; i <= 12; i++ {
		w.Enqueue(insertOf(fmt.Sprintf("%02d", i)))
		until(t, "half is free", func() bool { return w.Stats().QueuedBytes <= 20 })
	}
	if s := w.Stats(); s.Spooled.Inserts != 11 || len(s.Lost) != 0 {
		t.Errorf("stats %+v", s)
	}
	letGo()
	until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == 13 })
	closeWriter(t, w)
	allThere(t, 13, w.Stats())
}

func TestSpoolTakesWhatIsLeftAtClose(t *testing.T) {
	dir := t.TempDir()
	f, broken := switchable(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	conn := f.open(t)
	cases := map[string]func(o *WriterOptions, ctx context.Context) context.Context{
		"a server that is down": func(_ *WriterOptions, ctx context.Context) context.Context { return ctx },
		"tables that are not yet": func(o *WriterOptions,
			ctx context.Context) context.Context {
			o.Ready = make(chan struct{})
			return ctx
		},
		"no grace": func(_ *WriterOptions, ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		},
	}
	total := 0
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			sp := openSpool(t, dir)
			o := withSpool(sp)
			o.SpoolAfter, o.RetryMin, o.RetryMax = time.Hour, time.Hour, time.Hour
			grace, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			ctx := change(&o, grace)
			w := NewWriter(conn, o)
			for i := range 3 {
				w.Enqueue(insertOf(fmt.Sprintf("%s %d", name, i)))
			}
			if err := w.Close(ctx); err != nil {
				t.Error(err)
			}
			if grace.Err() != nil {
				t.Error("Close waited though there is a spool")
			}
			w.Enqueue(insertOf(name + " late"))
			total += 4
			s := w.Stats()
			allThere(t, 4, s)
			if s.Spooled.Inserts != 4 || len(s.Lost) != 0 || s.Spool.Waiting.Entries != uint64(total) {
				t.Errorf("stats %+v", s)
			}
			if err := sp.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	broken.Store(false)
	sp := openSpool(t, dir)
	w := NewWriter(conn, withSpool(sp))
	until(t, "the next run delivers", func() bool { return w.Stats().Delivered.Inserts == uint64(total) })
	closeWriter(t, w)
	allThere(t, 0, w.Stats())
}

// An entry that the server refuses does not hold up the others, nor stay for ever.
func TestSpoolRefusedByTheServer(t *testing.T) {
	cases := []struct {
		name   string
		fail   func(http.ResponseWriter)
		reason sink.Reason
	}{
		{"malformed", func(w http.ResponseWriter) { exception(w, 400, 117, "Incorrect data") }, sink.Rejected},
		{"unknown error", func(w http.ResponseWriter) { exception(w, 500, 4242, "Something new") }, ""},
		{"no such table", func(w http.ResponseWriter) { exception(w, 404, 60, "Unknown table") }, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sp := openSpool(t, t.TempDir())
			for _, token := range []string{"bad", "1", "2"} {
				e := insertOf(token)
				if err := sp.Put(spool.Entry{Query: e.Query, Token: e.Token, Rows: e.Rows, Data: e.Data}); err != nil {
					t.Fatal(err)
				}
			}
			var f *fakeServer
			f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
				f.store(n, r)
				if f.got()[n].token == "bad" {
					c.fail(w)
				}
			})
			o := withSpool(sp)
			o.UnknownAttempts = 3
			if c.reason == "" {
				o.ConfigurationRetry = time.Hour
			}
			w := NewWriter(f.open(t), o)
			until(t, "the others are delivered", func() bool { return w.Stats().Delivered.Inserts == 2 })
			if c.reason != "" {
				until(t, "it is given up", func() bool { return w.Stats().Lost[c.reason].Inserts == 1 })
			}
			closeWriter(t, w)
			s := w.Stats()
			allThere(t, 3, s)
			if waits := s.Spool.Waiting.Entries; (waits == 1) != (c.reason == "") {
				t.Errorf("%d wait: %+v", waits, s)
			}
		})
	}
}

// Where the disk takes nothing, inserts are retried from memory as without a spool, and lost for the same reasons.
func TestSpoolThatTakesNothing(t *testing.T) {
	f, broken := switchable(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	sp, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	o := withSpool(sp)
	o.QueueBytes = 40
	w := NewWriter(f.open(t), o)
	for i := range 10 {
		w.Enqueue(insertOf(fmt.Sprintf("%02d", i)))
	}
	until(t, "the disk was tried", func() bool { return w.Stats().Spool.Failed.Entries > 3 })
	broken.Store(false)
	until(t, "nothing waits", func() bool { return w.Stats().QueuedBytes == 0 })
	closeWriter(t, w)
	s := w.Stats()
	allThere(t, 10, s)
	if s.Delivered.Inserts == 0 || s.Lost[sink.QueueFull].Inserts == 0 || s.Spooled.Inserts != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSpoolDropsCountAsLost(t *testing.T) {
	dir := t.TempDir()
	sp, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 400, SegmentBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	o := withSpool(sp)
	o.Ready = make(chan struct{})
	w := NewWriter(newFakeServer(t, nil).open(t), o)
	for i := range 9 {
		w.Enqueue(insertOf(fmt.Sprint(i)))
	}
	closeWriter(t, w)
	s := w.Stats()
	allThere(t, 9, s)
	if lost := s.Lost[sink.SpoolFull]; lost.Inserts == 0 || lost.Rows != 3*lost.Inserts ||
		s.Spool.Waiting.Entries == 0 {
		t.Errorf("stats %+v", s)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != int(s.Spool.Waiting.Entries)+1 {
		t.Errorf("%d files, want the lock and those that wait: %v", len(entries), err)
	}
}

// At a stop the counters are read when nothing from the disk is under way, and nothing more is taken from there; what
// comes live is delivered.
func TestRest(t *testing.T) {
	dir := t.TempDir()
	filled := openSpool(t, dir)
	for i := range 4 {
		if err := filled.Put(spool.Entry{Query: insertOf("").Query, Token: fmt.Sprint("old", i), Rows: 3,
			Data: []byte(fmt.Sprint("block old", i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := filled.Close(); err != nil {
		t.Fatal(err)
	}
	begun, proceed := make(chan struct{}, 10), make(chan struct{})
	f := newFakeServer(t, nil)
	f.answer = func(n int, _ http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		begun <- struct{}{}
		<-proceed
	}
	o := withSpool(openSpool(t, dir))
	o.Inserters = 1
	w := NewWriter(f.open(t), o)
	<-begun
	if w.Rest() {
		t.Error("nothing is said to be under way while the server has an insert from the disk")
	}
	close(proceed)
	until(t, "nothing is under way", w.Rest)
	s := w.Stats()
	if s.Delivered.Inserts != 1 || s.FromSpool.Inserts != 1 || s.Spool.Waiting.Entries != 3 {
		t.Errorf("stats %+v, want 1 of 4 delivered and 3 on disk", s)
	}
	w.Enqueue(insertOf("live"))
	until(t, "what comes live is delivered", func() bool { return w.Stats().Delivered.Inserts == 2 })
	closeWriter(t, w)
	if got := w.Stats().Spool.Waiting.Entries; got != 3 {
		t.Errorf("%d inserts on disk, want 3", got)
	}
	if !NewWriter(f.open(t), fast()).Rest() {
		t.Error("a Writer without a spool has something under way")
	}
}
