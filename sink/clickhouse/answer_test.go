package clickhouse

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink"
)

// answerCase is an answer that is no success, and what is to be said of it.
type answerCase struct {
	name   string
	answer func(http.ResponseWriter)
	want   string
	class  sink.Class
}

// notStored are answers to an insert or an order after which nothing was done.
func notStored(elsewhere string) []answerCase {
	own := func(w http.ResponseWriter) { w.Header().Set("X-ClickHouse-Query-Id", "1") }
	foreign := func(w http.ResponseWriter) {
		w.Header().Del("X-ClickHouse-Query-Id")
		w.Header().Del("X-ClickHouse-Summary")
	}
	write := func(w io.Writer, text string) { _, _ = io.WriteString(w, text) }
	return []answerCase{
		{"200, the code in a header, no body",
			func(w http.ResponseWriter) { own(w); w.Header().Set("X-ClickHouse-Exception-Code", "209") }, "209",
			sink.Retryable},
		{"200, the code in a header, the text in the body", func(w http.ResponseWriter) {
			own(w)
			w.Header().Set("X-ClickHouse-Exception-Code", "241")
			write(w, "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)")
		}, "Memory limit exceeded", sink.Retryable},
		{"200, a code that is no number",
			func(w http.ResponseWriter) { own(w); w.Header().Set("X-ClickHouse-Exception-Code", "x") }, "1002",
			sink.Retryable},
		{"200, the code in a trailer", func(w http.ResponseWriter) {
			own(w)
			w.Header().Set("Trailer", "X-ClickHouse-Exception-Code")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			w.Header().Set("X-ClickHouse-Exception-Code", "210")
		}, "210", sink.Retryable},
		{"200, an exception as plain text", func(w http.ResponseWriter) {
			own(w)
			write(w,
				"Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE) (version "+
					"23.3)\n")
		}, "not enough space", sink.Retryable},
		{"200, progress and then an exception", func(w http.ResponseWriter) {
			own(w)
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			write(w, "\r\nCode: 252. DB::Exception: Too many parts (3000)")
		}, "Too many parts", sink.Retryable},
		{"200, a framed exception", func(w http.ResponseWriter) {
			own(w)
			write(w,
				"\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 242. DB::Exception: Table is in readonly mode "+
					"(TABLE_IS_READ_ONLY)\n62 abcdefghijklmnop\r\n__exception__\r\n")
		}, "readonly mode", sink.Retryable},
		{"200, what the server says of the data", func(w http.ResponseWriter) {
			own(w)
			write(w, "Code: 53. DB::Exception: Type mismatch (TYPE_MISMATCH)")
		}, "Type mismatch", sink.Permanent},
		{"200 of a proxy, nothing else", func(w http.ResponseWriter) { foreign(w) }, "answered 200 but not ClickHouse",
			sink.Retryable},
		{"200 of a proxy with a page", func(w http.ResponseWriter) {
			foreign(w)
			write(w, "<html>\n<title>We are back soon</title>")
		}, `answered 200 but not ClickHouse: "<html> <title>We are back soon</title>"`, sink.Retryable},
		{"200 of a proxy that quotes an exception", func(w http.ResponseWriter) {
			foreign(w)
			write(w, "Code: 53. DB::Exception: Type mismatch")
		}, "not ClickHouse", sink.Retryable},
		{"204", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, "204", sink.Retryable},
		{"301", redirect(301, elsewhere), "redirect to " + elsewhere, sink.Retryable},
		{"302", redirect(302, elsewhere), "answered 302 but not ClickHouse: a redirect to " + elsewhere,
			sink.Retryable},
		{"303", redirect(303, elsewhere), "redirect to " + elsewhere, sink.Retryable},
		{"307", redirect(307, elsewhere), "redirect to " + elsewhere, sink.Retryable},
		{"308", redirect(308, elsewhere), "redirect to " + elsewhere, sink.Retryable},
		{"502 with a page", func(w http.ResponseWriter) {
			foreign(w)
			w.WriteHeader(http.StatusBadGateway)
			write(w, strings.Repeat("<html>Bad gateway</html>\n", 1000))
		}, "Bad gateway", sink.Retryable},
		{"200, the body broken off", func(w http.ResponseWriter) {
			own(w)
			w.Header().Set("Content-Length", "100")
			write(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "broke off", sink.Retryable},
		{"200, an exception that is compressed", func(w http.ResponseWriter) {
			own(w)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			write(z, "Code: 319. DB::Exception: Unknown status")
			_ = z.Close()
		}, "Unknown status", sink.Retryable},
	}
}

func redirect(status int, to string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Location", to)
		w.WriteHeader(status)
	}
}

// What a server or a proxy answers to an insert counts as a success only where ClickHouse says so.
func TestInsertIsStoredOnlyIfClickHouseSaysSo(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Query-Id", "1") // it would look well
	}))
	t.Cleanup(elsewhere.Close)
	cases := append(notStored(elsewhere.URL),
		answerCase{"200 with a body that is no exception", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "1\n")
		}, "answered 200 with a body", sink.Retryable})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var f *fakeServer
			f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
				f.store(n, r)
				if n < 2 {
					c.answer(w)
				}
			})
			core, logs := observer.New(zapcore.WarnLevel)
			o := fast()
			o.Log = zap.New(core)
			w := NewWriter(f.open(t), o)
			w.Enqueue(insertOf("t1"))
			closeWriter(t, w)
			s := w.Stats()
			if c.class == sink.Permanent {
				if s.Lost[sink.Rejected].Inserts != 1 || s.Delivered.Inserts != 0 {
					t.Errorf("stats %+v", s)
				}
			} else if len(f.got()) != 3 || s.Delivered.Inserts != 1 || s.Retried.Inserts != 2 || len(s.Lost) != 0 {
				t.Errorf("%d attempts, stats %+v", len(f.got()), s)
			}
			if s.LastError == nil || !strings.Contains(s.LastError.Error(), c.want) ||
				Classify(s.LastError) != c.class ||
				strings.Contains(s.LastError.Error(), "\n") || len(s.LastError.Error()) > 400 {
				t.Errorf("error %q is %v, want %q and %v", s.LastError, Classify(s.LastError), c.want, c.class)
			}
			lines := logs.FilterMessage("ClickHouse insert failed").All()
			if len(lines) != 1 {
				t.Errorf("%d lines: %v", len(lines), logs.All())
			}
		})
	}
}

// The same answers to DDL, and those that are not ClickHouse's to queries.
func TestOrdersAndQueriesSucceedOnlyIfClickHouseSaysSo(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(elsewhere.Close)
	var answer func(http.ResponseWriter)
	f := newFakeServer(t, nil)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Body = io.NopCloser(bytes.NewReader(body)); answer == nil ||
			bytes.Contains(body, []byte("displayName()")) {
			f.serve(w, r)
			return
		}
		answer(w)
	})
	conn := f.open(t)
	for _, c := range notStored(elsewhere.URL) {
		t.Run(c.name, func(t *testing.T) {
			answer = c.answer
			defer func() { answer = nil }()
			for _, statement := range []string{"CREATE TABLE a (b UInt8) ENGINE = Null",
				" alter table a add column c UInt8", "SELECT 1 FROM d FORMAT Null"} {
				err := conn.Exec(context.Background(), statement)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: error %v, want %q", statement, err, c.want)
				}
			}
			var n uint8
			if err := conn.QueryRow(context.Background(), "SELECT 1").Scan(&n); err == nil {
				t.Error("no error from a query")
			}
		})
	}
}

// A stored insert's answer may be compressed: then its empty body is not empty on the wire.
func TestCompressedEmptyAnswerIsASuccess(t *testing.T) {
	var f *fakeServer
	f = newFakeServer(t, func(n int, w http.ResponseWriter, r *http.Request) {
		f.store(n, r)
		w.Header().Set("Content-Encoding", "gzip")
		_ = gzip.NewWriter(w).Close()
	})
	w := NewWriter(f.open(t), fast())
	w.Enqueue(insertOf("t1"))
	closeWriter(t, w)
	if s := w.Stats(); s.Delivered.Inserts != 1 || s.Retried.Inserts != 0 {
		t.Errorf("stats %+v", s)
	}
}
