package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
)

// fast are options with which a test does not wait, and each insert is sent on its own.
func fast() WriterOptions {
	return WriterOptions{RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond,
		ConfigurationRetry: time.Millisecond, Inserters: 1, JoinBytes: 1}
}

// insertOf is an insert of "block " and the token, packed.
func insertOf(token string) *Insert {
	return &Insert{
		Query: InsertQuery("db", "data_flow", []string{"a", "b"}), Token: token, Rows: 3,
		Data: []byte("blck " + token), Fills: []native.Fill{{At: 2, N: 1, Byte: 'o'}},
	}
}

// closeWriter drains the writer.
func closeWriter(t *testing.T, w *Writer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWriterSendsTokenSettingsAndBytes(t *testing.T) {
	var f *fakeServer
	f = newFakeServer(t, func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) })
	var mu sync.Mutex
	var released []string
	o := fast()
	o.Settings = map[string]any{"max_insert_threads": 2}
	o.Release = func(p native.Packed) {
		mu.Lock()
		defer mu.Unlock()
		released = append(released, string(p.Data))
	}
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("t1"))
	w.Enqueue(insertOf("t2"))
	closeWriter(t, w)

	got := f.got()
	if len(got) != 2 {
		t.Fatalf("%d inserts arrived, want 2", len(got))
	}
	for i, token := range []string{"t1", "t2"} {
		in := got[i]
		if want := "INSERT INTO `db`.`data_flow` (`a`, `b`) FORMAT Native"; in.query != want {
			t.Errorf("query %q, want %q", in.query, want)
		}
		if in.token != token || in.data != "block "+token {
			t.Errorf("token %q, data %q; want %q and its block", in.token, in.data, token)
		}
		for name, want := range map[string]string{
			"async_insert": "0", "insert_deduplicate": "1", "max_insert_threads": "2",
			"deduplicate_blocks_in_dependent_materialized_views": "1", "max_partitions_per_insert_block": "0",
		} {
			if in.settings[name] != want {
				t.Errorf("setting %s is %q, want %q", name, in.settings[name], want)
			}
		}
	}
	if want := "blck t1,blck t2"; strings.Join(released, ",") != want {
		t.Errorf("released %q, want %q", released, want)
	}
	s := w.Stats()
	if want := (Count{Inserts: 2, Rows: 6, Bytes: 16}); s.Delivered != want {
		t.Errorf("delivered %+v, want %+v", s.Delivered, want)
	}
	if s.QueuedBytes != 0 || s.QueuedInserts != 0 || len(s.Lost) != 0 || s.LastError != nil || s.LastDelivery.IsZero() {
		t.Errorf("stats after all is delivered: %+v", s)
	}
}

func TestWriterRetriesWithTheSameTokenAndBytes(t *testing.T) {
	hangUp := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	cases := map[string]func(http.ResponseWriter){
		"503 of a proxy":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"connection cut":       hangUp,
		"memory limit":         func(w http.ResponseWriter) { exception(w, 500, 241, "Memory limit exceeded") },
		"too many parts":       func(w http.ResponseWriter) { exception(w, 500, 252, "Too many parts (3000)") },
		"replica is read-only": func(w http.ResponseWriter) { exception(w, 500, 242, "Table is in readonly mode") },
		"wrong password":       func(w http.ResponseWriter) { exception(w, 403, 516, "Authentication failed") },
		"database is missing":  func(w http.ResponseWriter) { exception(w, 404, 81, "Database db does not exist") },
		"unknown error":        func(w http.ResponseWriter) { exception(w, 500, 4242, "Something new") },
	}
	for name, fail := range cases {
		t.Run(name, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
				f.store(n, r)
				if n < 3 {
					fail(w)
				}
			})
			w := NewWriter(f.open(t), fast())
			w.Enqueue(insertOf("t1"))
			closeWriter(t, w)
			got := f.got()
			if len(got) != 4 {
				t.Fatalf("%d attempts, want 4", len(got))
			}
			for _, in := range got {
				if in.token != "t1" || in.data != "block t1" {
					t.Errorf("attempt with token %q and data %q", in.token, in.data)
				}
			}
			s := w.Stats()
			if s.Delivered.Inserts != 1 || s.Retried.Inserts != 3 || s.Retried.Rows != 9 || len(s.Lost) != 0 ||
				s.LastError == nil {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestWriterGivesUpWhatCannotSucceed(t *testing.T) {
	cases := []struct {
		name     string
		fail     func(http.ResponseWriter)
		reason   sink.Reason
		attempts int
	}{
		{"column of another type", func(w http.ResponseWriter) { exception(w, 400, 53, "Type mismatch") },
			sink.Rejected, 1},
		{"no such column", func(w http.ResponseWriter) { exception(w, 404, 16, "No such column") }, sink.Rejected, 1},
		{"malformed block", func(w http.ResponseWriter) { exception(w, 400, 117, "Incorrect data") }, sink.Rejected, 1},
		{"too many partitions", func(w http.ResponseWriter) {
			exception(w, 500, 252, "Too many partitions for single INSERT block (more than 100)")
		}, sink.Rejected, 1},
		{"unknown error", func(w http.ResponseWriter) { exception(w, 500, 4242, "Something new") }, sink.Unexplained,
			4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
				f.store(n, r)
				if strings.HasPrefix(f.got()[n].token, "bad") {
					c.fail(w)
				}
			})
			core, logs := observer.New(zapcore.ErrorLevel)
			o := fast()
			o.UnknownAttempts = 4
			o.Log = zap.New(core)
			w := NewWriter(f.open(t), o)
			for _, token := range []string{"bad1", "bad2", "good"} {
				w.Enqueue(insertOf(token))
			}
			closeWriter(t, w)
			if got, want := len(f.got()), 2*c.attempts+1; got != want {
				t.Errorf("%d attempts, want %d", got, want)
			}
			s := w.Stats()
			if want := (Count{Inserts: 2, Rows: 6, Bytes: 20}); s.Lost[c.reason] != want {
				t.Errorf("lost %+v, want %+v for %s", s.Lost, want, c.reason)
			}
			if s.Delivered.Inserts != 1 {
				t.Errorf("delivered %+v, want the good one", s.Delivered)
			}
			if n := logs.FilterMessage("ClickHouse insert lost").Len(); n != 1 {
				t.Errorf("%d log lines for the loss, want 1", n)
			}
		})
	}
}

// held is a server that answers no insert until it is let go.
func held(t *testing.T) (f *fakeServer, letGo func()) {
	gate := make(chan struct{})
	f = newFakeServer(t, func(n int, _ http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	})
	letGo = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(letGo)
	return f, letGo
}

// underWay waits until the server has got n inserts.
func underWay(f *fakeServer, n int) {
	for len(f.got()) < n {
		time.Sleep(time.Millisecond)
	}
}

func TestWriterDropsTheOldestWhenFull(t *testing.T) {
	f, letGo := held(t)
	o := fast()
	o.QueueBytes = 40 // five blocks of 8 bytes, one of them under way
	var mu sync.Mutex
	released := 0
	o.Release = func(native.Packed) { mu.Lock(); released++; mu.Unlock() }
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("00"))
	underWay(f, 1)
	for i := 1; i <= 9; i++ {
		w.Enqueue(insertOf(fmt.Sprintf("%02d", i))) // returns, whatever the server does
	}
	s := w.Stats()
	if s.QueuedBytes > o.QueueBytes {
		t.Errorf("%d bytes held, the limit is %d", s.QueuedBytes, o.QueueBytes)
	}
	if got := s.Lost[sink.QueueFull]; got.Inserts != 5 {
		t.Errorf("lost %+v", got)
	}
	letGo()
	closeWriter(t, w)
	s = w.Stats()
	if total := s.Delivered.Inserts + s.Lost[sink.QueueFull].Inserts; total != 10 {
		t.Errorf("%d delivered and lost, 10 were enqueued", total)
	}
	got := f.got()
	if first, last := got[0].token, got[len(got)-1].token; first != "00" || last != "09" {
		t.Errorf("first %s, last %s were delivered; the oldest waiting go, the newest stays", first, last)
	}
	if released != 10 {
		t.Errorf("%d buffers released, want 10", released)
	}
}

func TestWriterDropsWhatNeverFits(t *testing.T) {
	f, letGo := held(t)
	letGo()
	o := fast()
	o.QueueBytes = 4
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("t1"))
	closeWriter(t, w)
	if s := w.Stats(); s.Lost[sink.QueueFull].Inserts != 1 || s.QueuedBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWriterCloseGivesUpInTime(t *testing.T) {
	f, _ := held(t)
	w := NewWriter(f.open(t), fast())
	for _, token := range []string{"t1", "t2", "t3"} {
		w.Enqueue(insertOf(token))
	}
	underWay(f, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := w.Close(ctx)
	if err == nil || !strings.Contains(err.Error(), "3 inserts with 9 rows") {
		t.Errorf("error %v does not say what was lost", err)
	}
	w.Enqueue(insertOf("late"))
	if s := w.Stats(); s.Lost[sink.Shutdown].Inserts != 4 || s.QueuedBytes != 0 || s.QueuedInserts != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A server may answer before it has read the body. The buffer is reused from then on, and must not be read any
// more; the race detector watches.
func TestWriterLetsGoOfTheBuffer(t *testing.T) {
	f := newFakeServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		exception(w, 400, 53, "Type mismatch")
	})
	o := fast()
	var done sync.WaitGroup
	o.Release = func(p native.Packed) {
		for i := range p.Data {
			p.Data[i] = 0xff
		}
		done.Done()
	}
	w := NewWriter(f.open(t), o)
	for range 20 {
		done.Add(1)
		w.Enqueue(&Insert{Query: "INSERT INTO a (b)", Rows: 1, Data: bytes.Repeat([]byte{1}, 4<<20)})
		done.Wait()
	}
	closeWriter(t, w)
}

func TestWriterSaysWhenItIsOver(t *testing.T) {
	var f *fakeServer
	f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		if n < 5 {
			exception(w, 403, 516, "Authentication failed")
		}
	})
	core, logs := observer.New(zapcore.InfoLevel)
	o := fast()
	o.Log = zap.New(core)
	w := NewWriter(f.open(t), o)
	w.Enqueue(insertOf("t1"))
	closeWriter(t, w)
	var lines []string
	for _, entry := range logs.All() {
		lines = append(lines, entry.Message)
	}
	if want := "ClickHouse insert failed; ClickHouse takes inserts again"; strings.Join(lines, "; ") != want {
		t.Errorf("logged %q, want %q", lines, want)
	}
}

func TestClassify(t *testing.T) {
	cases := []struct {
		name   string
		answer func(http.ResponseWriter)
		want   sink.Class
	}{
		{"code before status", func(w http.ResponseWriter) { exception(w, 500, 497, "Not enough privileges") },
			sink.Configuration},
		{"unknown table", func(w http.ResponseWriter) { exception(w, 404, 60, "Unknown table") }, sink.Configuration},
		{"401 of a proxy", func(w http.ResponseWriter) { w.WriteHeader(401) }, sink.Configuration},
		{"404 of a proxy", func(w http.ResponseWriter) { w.WriteHeader(404) }, sink.Configuration},
		{"413 of a proxy", func(w http.ResponseWriter) { w.WriteHeader(413) }, sink.Permanent},
		{"429 of a proxy", func(w http.ResponseWriter) { w.WriteHeader(429) }, sink.Retryable},
		{"502 of a proxy", func(w http.ResponseWriter) { w.WriteHeader(502) }, sink.Retryable},
		{"full disk",
			func(w http.ResponseWriter) { exception(w, 500, 1001, "std::filesystem: No space left on device") },
			sink.Retryable},
		{"418", func(w http.ResponseWriter) { w.WriteHeader(418) }, sink.Unknown},
		{"timeout", func(w http.ResponseWriter) { exception(w, 500, 159, "Timeout exceeded") }, sink.Retryable},
		{"null where none may be", func(w http.ResponseWriter) { exception(w, 400, 349, "Cannot insert NULL") },
			sink.Permanent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { c.answer(w) })
			err := f.open(t).InsertFormat(context.Background(), "Native", "INSERT INTO a (b)", newBody(http.NoBody))
			if err == nil {
				t.Fatal("no error")
			}
			if got := Classify(err); got != c.want {
				t.Errorf("%v is %v, want %v", err, got, c.want)
			}
		})
	}
	if got := Classify(fmt.Errorf("insert: %w", errors.New("connection refused"))); got != sink.Retryable {
		t.Errorf("a network failure is %v", got)
	}
}
