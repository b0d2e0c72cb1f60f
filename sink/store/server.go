package store

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// server answers ClickHouse's HTTP interface. Every request has a connection of its own to the engine, which costs less
// than a millisecond and leaves no setting behind for the next.
type server struct {
	o        Options
	engine   *engine
	door     *door
	places   *places
	sessions *sessions
	marks    *marks
	held     heldBytes
	rules    rules // complete once ready
	host     string
	lock     *directoryLock // nil until the directory is taken

	opening atomic.Bool // the engine reads its tables, which may take minutes
	ready   atomic.Bool // engine, version, zone and threads are set
	version string      // of the engine, such as "26.7.2.1"
	zone    string
	threads int // of a query, by default

	mayRenice bool
}

func newServer(o Options, d *door) *server {
	s := &server{o: o, door: d, places: newPlaces(o.Queries, o.Log), sessions: newSessions(), marks: newMarks(),
		mayRenice: mayRenice()}
	var err error
	if s.host, err = os.Hostname(); err != nil {
		s.host = "localhost"
	}
	return s
}

// processHeader carries the process id of the store in answers to /ping, so that its supervisor knows it from another
// server on the same port.
const processHeader = "X-Store-Process"

// stateHeader is stateOpening in answers to /ping while the engine reads its tables: all that could be wrong with
// options is right.
const (
	stateHeader  = "X-Store-State"
	stateOpening = "opening"
)

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.serveQuery)
	mux.HandleFunc("/query", s.serveQuery)
	ok := func(w http.ResponseWriter, r *http.Request) {
		if e := s.door.refuseName(r); e != nil {
			w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
			http.Error(w, e.message, e.status())
			return
		}
		w.Header().Set(processHeader, strconv.Itoa(os.Getpid()))
		if !s.ready.Load() {
			if s.opening.Load() {
				w.Header().Set(stateHeader, stateOpening)
			}
			http.Error(w, "The store is not open yet", http.StatusServiceUnavailable)
			return
		}
		writeText(w, "Ok.\n")
	}
	mux.HandleFunc("/ping", ok)
	mux.HandleFunc("/replicas_status", ok)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w,
			"There is no handle %s\n\nUse / or /ping for health checks.\nSend queries from your program with POST "+
				"method or GET /?query=...\n", r.URL.Path)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		// A connection keeps the deadline of the request before.
		connection.SetWriteDeadline(time.Time{})
		// Before it answers, net/http reads what the handler has left of a body, for as long as that takes.
		connection.SetReadDeadline(time.Now().Add(headPatience))
		defer func() { connection.SetReadDeadline(time.Now().Add(restPatience)) }()
		if len(r.TransferEncoding) > 0 {
			// The request may have had a Content-Length too, which net/http drops: what follows on the connection may
			// have been smuggled past a proxy that went by it (RFC 9112, section 6.3: close after the answer).
			w.Header().Set("Connection", "close")
		}
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
	// A browser neither runs nor shows what is stored here as a part of a page.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodHead:
	case http.MethodOptions:
		s.preflight(w, r)
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
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.o.Log.Error("store: request failed", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			a.fail(newException(codeUnknown, "UNKNOWN_EXCEPTION", "%v", p))
		}
	}()
	if err := s.answerQuery(a); err != nil {
		a.fail(err)
		return
	}
	a.close()
}

// preflight answers a browser that asks whether a page of another site may send a request. It may where store.hosts
// names the site.
func (s *server) preflight(w http.ResponseWriter, r *http.Request) {
	if h := w.Header(); s.door.allowOrigin(h, r) {
		h.Set("Access-Control-Allow-Methods", "POST, GET, OPTIONS")
		h.Set("Access-Control-Allow-Headers",
			"origin, x-requested-with, x-clickhouse-format, x-clickhouse-user, x-clickhouse-key, Authorization")
		h.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}

// answerQuery lets the request in, reads it and runs its statement.
func (s *server) answerQuery(a *answer) error {
	h := a.w.Header()
	if e := s.door.refuse(a.r); e != nil {
		if e.code == codeRequiredPassword {
			h.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
		}
		return e
	}
	if !s.ready.Load() {
		return newException(codeCannotSchedule, "CANNOT_SCHEDULE_TASK", "The store is not open yet")
	}
	q, err := parseRequest(a.r, &s.held, &s.rules)
	if q != nil {
		defer q.release()
	}
	if err != nil {
		return err
	}
	a.q = q
	setHeader(h, "X-ClickHouse-Query-Id", q.id)
	setHeader(h, "X-ClickHouse-Timezone", s.zone)
	if q.cors {
		s.door.allowOrigin(h, a.r)
	}
	return s.run(a.r.Context(), q, a)
}
