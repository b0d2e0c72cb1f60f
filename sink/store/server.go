package store

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// server answers ClickHouse's HTTP interface. Every request has a connection of its own to the engine, which costs less
// than a millisecond and leaves no setting behind for the next.
type server struct {
	o       Options
	engine  *engine
	queries chan struct{} // one element for each statement that runs
	inserts chan struct{} // one element for each insert of data that runs
	version string        // of the engine, such as "26.7.2.1"
	zone    string
	host    string
}

// processHeader carries the process id of the store in answers to /ping, so that its supervisor knows it from another
// server on the same port.
const processHeader = "X-Store-Process"

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.serveQuery)
	mux.HandleFunc("/query", s.serveQuery)
	ok := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(processHeader, strconv.Itoa(os.Getpid()))
		writeText(w, "Ok.\n")
	}
	mux.HandleFunc("/ping", ok)
	mux.HandleFunc("/replicas_status", ok)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "There is no handle %s\n\nUse / or /ping for health checks.\nSend queries from your program with POST method or GET /?query=...\n", r.URL.Path)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A connection keeps the deadline of the request before.
		http.NewResponseController(w).SetWriteDeadline(time.Time{})
		mux.ServeHTTP(w, r)
	})
}

// setHeader spells a header as ClickHouse does, where Go would write X-Clickhouse.
func setHeader(h http.Header, name, value string) { h[name] = []string{value} }

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	io.WriteString(w, text)
}

// serveQuery runs one statement.
func (s *server) serveQuery(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	setHeader(h, "X-ClickHouse-Server-Display-Name", s.host)
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "POST, GET, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "origin, x-requested-with, x-clickhouse-format, x-clickhouse-user, x-clickhouse-key, Authorization")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if r.Method != http.MethodPost && r.URL.RawQuery == "" && r.ContentLength == 0 {
		writeText(w, "Ok.\n") // what ClickHouse says to a bare "/"
		return
	}
	a := &answer{s: s, w: w, r: r}
	if e := s.refuseForeignPage(r); e != nil {
		a.fail(e)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.o.Log.Error("store: request failed", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			a.fail(newException(codeUnknown, "UNKNOWN_EXCEPTION", "%v", p))
		}
	}()
	if e := s.authenticate(r); e != nil {
		if e.code == codeRequiredPassword {
			h.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
		}
		a.fail(e)
		return
	}
	q, err := parseRequest(r)
	if err != nil {
		a.fail(err)
		return
	}
	a.q = q
	setHeader(h, "X-ClickHouse-Query-Id", q.id)
	setHeader(h, "X-ClickHouse-Timezone", s.zone)
	if q.cors && r.Header.Get("Origin") != "" {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if err := s.run(r.Context(), q, a); err != nil {
		a.fail(err)
		return
	}
	a.close()
}

// refuseForeignPage keeps pages of other sites, which a browser on this machine may show, from sending statements to a
// store without a password.
func (s *server) refuseForeignPage(r *http.Request) *exception {
	origin, err := url.Parse(r.Header.Get("Origin"))
	if s.o.Password != "" || r.Header.Get("Origin") == "" || err == nil && origin.Host == r.Host {
		return nil
	}
	return newException(codeAuthenticationFailed, "AUTHENTICATION_FAILED",
		"A store without a password takes no requests from pages of other sites (Origin: %s)", r.Header.Get("Origin"))
}
