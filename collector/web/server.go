// Package web serves operators, probes and Prometheus over HTTP: /metrics, /healthz, /readyz, the exporters as JSON and
// as a page, and the profiler if it is enabled. Requests only read, but for those that HandlePost registers.
//
// What it shows is computed on request or in the background; nothing here is on a datagram's way.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/sink/connlimit"
)

// Options say where and what to serve.
type Options struct {
	Address string // host:port; port 0 means a free one
	PProf   bool   // serve /debug/pprof/ too
	// Hosts are accepted in the Host header, besides localhost and IP addresses. None: every name is.
	Hosts  []string
	Log    *zap.Logger
	Failed func(error) // receives the error that ended the server; nil: it is logged
}

// Server is an HTTP server. It is safe for concurrent use.
type Server struct {
	listener net.Listener
	mux      *http.ServeMux
	server   *http.Server
	hosts    []string
	posts    sync.Map // paths that take POST
	ready    atomic.Pointer[func() (blocking, losing []string)]
	stopping atomic.Bool
}

// Time limits for clients; a profile alone takes half a minute.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	pprofTimeout  = 5 * time.Minute
	idleTimeout   = 2 * time.Minute
)

// Listen binds the address and serves from now on: that the process is alive, and that it is not ready yet. The error
// names the address.
func Listen(o Options) (*Server, error) {
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, listenError(o.Address, err)
	}
	s := &Server{listener: l, mux: http.NewServeMux()}
	s.hosts = o.Hosts
	s.server = &http.Server{
		Handler:           s.guard(s.mux, o.Hosts),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: 1 << 16,
		ErrorLog:       zap.NewStdLog(o.Log),
	}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter,
		_ *http.Request) {
		writeText(w, http.StatusOK, "alive\n")
	})
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.HandleFunc("GET /collecting", s.collecting)
	s.server.ConnState = connlimit.New(maxConnections, maxOfOne, nil).Changed
	if o.PProf {
		s.mountPProf()
	}
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			err = fmt.Errorf("answer on HTTP %s: %w", l.Addr(), err)
			if o.Failed == nil {
				o.Log.Error("HTTP is not answered any more", zap.Error(err))
				return
			}
			o.Failed(err)
		}
	}()
	return s, nil
}

// listenError adds what to do about the common failure.
func listenError(address string, err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("listen on HTTP %s: another program has this port (see `ss -tlnp`): set http.listen "+
			"(HTTP_LISTEN) to another, or to off", address)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("listen on HTTP %s: %w", address, err)
}

// Handle registers a handler for a pattern of http.ServeMux, such as "GET /metrics".
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// maxPost is the most that a form may have.
const maxPost = 5 << 20

// HandlePost registers a handler for forms that are posted to a path. Pages of other sites cannot post: a browser says
// where a form comes from (Sec-Fetch-Site, Origin), and the Host header must be an address, localhost, or a name of
// Options.Hosts, so that no other site's name for this host is taken for ours.
func (s *Server) HandlePost(path string, h http.Handler) {
	s.posts.Store(path, true)
	s.mux.Handle("POST "+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			writeText(w, http.StatusForbidden, "a page of another site sent this: nothing was changed\n")
			return
		}
		if !KnownHost(append([]string{"localhost"}, s.hosts...), r.Host) {
			writeText(w, http.StatusForbidden,
				"something can be changed under an address, localhost or a name of http.hosts alone: nothing was "+
					"changed\n")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxPost)
		h.ServeHTTP(w, r)
	}))
}

// Ready makes /readyz report problems: blocking is what keeps rows from their destination, losing is other loss.
// /collecting is 200 from now on.
func (s *Server) Ready(problems func() (blocking, losing []string)) { s.ready.Store(&problems) }

// Stopping makes /readyz and /collecting 503 from now on: a balancer sends exporters elsewhere while what was received
// is delivered.
func (s *Server) Stopping() { s.stopping.Store(true) }

// URL is where the server answers.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// LocalURL is an address of the server that can be opened on this host.
func (s *Server) LocalURL() string {
	return "http://" + Reachable(s.listener.Addr().String())
}

// Close ends the server; requests that are being answered have a second to end.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
}

// readyz reports whether rows reach their destination. Losing some, as an overloaded collector may, does not make it
// unready: a load balancer would otherwise remove exactly the collectors with the most load.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	blocking, losing := []string{"starting"}, []string(nil)
	if s.stopping.Load() {
		blocking = []string{"stopping"}
	} else if f := s.ready.Load(); f != nil {
		blocking, losing = (*f)()
	}
	if len(blocking) > 0 {
		writeText(w, http.StatusServiceUnavailable, strings.Join(append(blocking, losing...), "\n")+"\n")
		return
	}
	text := "ready\n"
	for _, problem := range losing {
		text += "losing: " + problem + "\n"
	}
	writeText(w, http.StatusOK, text)
}

// collecting reports whether datagrams are received. A collector whose server is down still collects: rows wait on
// disk. Sending its exporters elsewhere would lose them.
func (s *Server) collecting(w http.ResponseWriter, _ *http.Request) {
	switch {
	case s.ready.Load() == nil:
		writeText(w, http.StatusServiceUnavailable, "starting\n")
	case s.stopping.Load():
		writeText(w, http.StatusServiceUnavailable, "stopping\n")
	default:
		writeText(w, http.StatusOK, "collecting\n")
	}
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// guard allows only reading requests and those of HandlePost, and keeps browsers from misusing the responses: no
// framing, no guessing of types, no loading of other resources, no caching.
func (s *Server) guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if len(r.TransferEncoding) > 0 {
			h.Set("Connection", "close") // it may have had a Content-Length too (RFC 9112, section 6.3)
		}
		_, posts := s.posts.Load(r.URL.Path) // HandlePost checks who sends them
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !(posts && r.Method == http.MethodPost) {
			h.Set("Allow", "GET, HEAD")
			writeText(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered: nothing can be changed here\n")
			return
		}
		if !KnownHost(hosts, r.Host) {
			writeText(w, http.StatusMisdirectedRequest, "http.hosts does not have this name\n")
			return
		}
		if r.Method != http.MethodPost && fromOtherSite(r) {
			writeText(w, http.StatusForbidden, "a page of another site asks for this: only its links are followed\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromOtherSite reports whether a browser asks because of a page of another site, other than for a link that somebody
// follows. That page could not read the answer, but could have it computed again and again.
func fromOtherSite(r *http.Request) bool {
	h := r.Header
	switch h.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return h.Get("Sec-Fetch-Mode") != "navigate" || h.Get("Sec-Fetch-Dest") != "document"
}

// mountPProf serves the profiler, with the time limit that a profile needs.
func (s *Server) mountPProf() {
	for path, f := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index,
		"GET /debug/pprof/cmdline": pprof.Cmdline,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(pprofTimeout))
			// The index page has a style of its own.
			w.Header().Set("Content-Security-Policy",
				"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
			f(w, r)
		})
	}
}
