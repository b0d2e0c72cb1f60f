package outage

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// proxy is between the collector and the store. It simulates faults of networks and load balancers.
type proxy struct {
	server http.Server
	addr   string
	slow   atomic.Bool // inserts trickle
	cut    atomic.Bool // every other insert's answer is lost after the store has committed
	cuts   atomic.Uint64
	insert atomic.Uint64
}

// startProxy listens on a free port of 127.0.0.1 and passes requests on to an address.
func startProxy(to string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{addr: listener.Addr().String()}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Query().Get("query"), "INSERT INTO") {
			forward.ServeHTTP(w, r)
			return
		}
		if p.slow.Load() {
			r.Body = &trickle{ReadCloser: r.Body}
			time.Sleep(300 * time.Millisecond)
		}
		if p.cut.Load() && p.insert.Add(1)%2 == 0 {
			p.cuts.Add(1)
			forward.ServeHTTP(&deaf{header: http.Header{}}, r)
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		}
		forward.ServeHTTP(w, r)
	})
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *proxy) close() { _ = p.server.Close() }

// trickle lets a body through at some 4 MB/s.
type trickle struct{ io.ReadCloser }

func (t *trickle) Read(p []byte) (int, error) {
	const piece = 32 << 10
	time.Sleep(8 * time.Millisecond)
	return t.ReadCloser.Read(p[:min(len(p), piece)])
}

// deaf takes an answer and tells nobody.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}
