package lookingglass

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/figures"
)

//go:embed routing.html
var pageHTML string

//go:embed routing.css
var styleCSS []byte

// Paths of the server.
const (
	PathSummary = "/routing.json"
	PathRoutes  = "/routes.json"
	PathDump    = "/routes.mrt"
)

// policy is the Content-Security-Policy of the page: it may load its style and send its form to the collector.
const policy = "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; " +
	"form-action 'self'"

// Limits of what requests may use at the same time.
const (
	mostAsked = 2
	askWait   = 5 * time.Second
	dumpWrite = 30 * time.Second // to write a part of a dump
)

// refreshSeconds is the interval at which the page reloads while it shows no look-up.
const refreshSeconds = 10

// pages holds the handlers and what they share.
type pages struct {
	*Glass
	html *template.Template

	mu     sync.Mutex
	cached *Summary // the latest summary; nil before the first request
}

// summaryAge is the time after which a summary is made again. With thousands of exporters it takes a while to make.
const summaryAge = time.Second

// current returns the cached summary, or a new one if that is too old. It must not be changed.
func (p *pages) current() *Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cached == nil {
		p.cached = p.Summary()
		time.AfterFunc(summaryAge, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cached = nil
		})
	}
	return p.cached
}

// Mount adds /routing and its paths to the server. Whoever may see the exporters may see sessions and tables. Whoever
// may see the traffic may see routes.
func (g *Glass) Mount(s *web.Server) {
	p := &pages{Glass: g, html: template.Must(template.New("routing").Funcs(functions).Parse(pageHTML))}
	turns, dumps := make(chan struct{}, mostAsked), make(chan struct{}, 1)
	s.Handle("GET /routing", turn(turns, http.HandlerFunc(p.page)))
	s.Handle("GET "+PathSummary, turn(turns, http.HandlerFunc(p.summary)))
	s.Handle("GET "+PathRoutes, g.Viewers.Admit(turn(turns, http.HandlerFunc(p.routes))))
	s.Handle("GET "+PathDump, g.Viewers.Admit(turn(dumps, http.HandlerFunc(p.dump))))
	s.Handle("GET /routing.css", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(styleCSS)
	}))
}

// turn runs at most cap(turns) requests at the same time. Others wait for a short time and are then refused.
func turn(turns chan struct{}, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(askWait)
		defer timer.Stop()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		case <-timer.C:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "others are asking: try again", http.StatusServiceUnavailable)
		}
	})
}

func (g *Glass) json(w http.ResponseWriter, v any) {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		g.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

func (g *Glass) fail(w http.ResponseWriter, err error) {
	g.Log.Error("a page cannot be made", zap.Error(err))
	http.Error(w, "the page cannot be made; the log says why", http.StatusInternalServerError)
}

func (p *pages) summary(w http.ResponseWriter, _ *http.Request) { p.json(w, p.current()) }

func (p *pages) routes(w http.ResponseWriter, r *http.Request) {
	q, err := Parse(r.URL.Query())
	var a *Answer
	if err == nil {
		a, err = p.Look(&q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.json(w, a)
}

// dump sends an MRT file. If it fails after the first part it aborts the connection, so that the client does not take
// the part for the whole file.
func (p *pages) dump(w http.ResponseWriter, r *http.Request) {
	out := &dumpWriter{ResponseWriter: w, deadline: http.NewResponseController(w)}
	d, err := p.Dump(out, r.URL.Query().Get(paramRouter))
	switch {
	case err != nil && !out.started:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		p.Log.Info("a dump of the routes ended early", zap.Error(err))
		panic(http.ErrAbortHandler)
	default:
		p.Log.Info("the routes were dumped", zap.Uint64("routes", d.Routes), zap.Uint64("left out", d.LeftOut),
			zap.Uint64("peers", d.Peers))
	}
}

// dumpWriter sets a new write deadline for each part of a dump.
type dumpWriter struct {
	http.ResponseWriter
	deadline *http.ResponseController
	started  bool
}

func (w *dumpWriter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if !w.started {
		w.started = true
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="routes.mrt"`)
	}
	_ = w.deadline.SetWriteDeadline(time.Now().Add(dumpWrite))
	return w.ResponseWriter.Write(b)
}

// view has the values for the template.
type view struct {
	*Summary
	Query    Query
	Asked    string // content of the search field
	Exporter string
	Problem  string
	Answer   *Answer
	Refresh  int // seconds between reloads; 0: the page does not reload
	Outcomes []outcome
	Views    []string
}

// outcome is a row of the table of look-ups.
type outcome struct {
	Name, Text string
	Count      uint64
	Share      float64
}

// outcomeTexts explain the outcomes of look-ups, in the order of the page.
var outcomeTexts = [][2]string{{"hit", "a route"}, {"default", "only a default route"},
	{"stale", "a route of a router without a session"}, {"fallback", "a route of a fallback"},
	{"miss", "no route"}, {"no_vrf", "no table of the VRF"}, {"no_router", "no router of the exporter"}}

func (p *pages) page(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	asked, exporter := values.Get(paramTo), values.Get(paramExporter)
	if asked != "" {
		p.Viewers.Admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := &view{Asked: asked, Exporter: exporter}
			status := http.StatusOK
			q, err := Parse(values)
			if err == nil {
				v.Answer, err = p.Look(&q)
			}
			if v.Query = q; err != nil {
				v.Problem, status = err.Error(), http.StatusBadRequest
			}
			p.write(w, v, status)
		})).ServeHTTP(w, r)
		return
	}
	v := &view{Refresh: refreshSeconds, Exporter: exporter}
	if text := values.Get("refresh"); text != "" {
		v.Refresh, _ = strconv.Atoi(text)
		v.Refresh = min(max(v.Refresh, 0), 3600)
	}
	p.write(w, v, http.StatusOK)
}

func (p *pages) write(w http.ResponseWriter, v *view, status int) {
	v.Summary, v.Views = p.current(), Views()
	for _, x := range outcomeTexts {
		o := outcome{Name: x[0], Text: x[1], Count: v.LookUps[x[0]]}
		if v.LookedUp > 0 {
			o.Share = float64(o.Count) / float64(v.LookedUp)
		}
		v.Outcomes = append(v.Outcomes, o)
	}
	var out bytes.Buffer // the status is known only at the end
	if err := p.html.Execute(&out, v); err != nil {
		p.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

var functions = template.FuncMap{
	"clock":   func(t time.Time) string { return t.UTC().Format(time.DateTime) },
	"stamp":   stamp,
	"ago":     func(now, t time.Time) string { return verdict.Ago(now.Sub(t)) },
	"number":  func(n any) string { return groups(n) },
	"mib":     func(n int64) string { return figures.Groups(uint64(max(n, 0) >> 20)) },
	"percent": func(share float64) string { return fmt.Sprintf("%.1f", 100*share) },
	"sign":    func(s verdict.Severity) string { return [...]string{"●", "▲", "✖"}[s] },
}

// groups formats a whole number with a comma between groups of three digits.
func groups(n any) string {
	switch n := n.(type) {
	case int:
		return figures.Groups(uint64(max(n, 0)))
	case int64:
		return figures.Groups(uint64(max(n, 0)))
	case uint64:
		return figures.Groups(n)
	}
	return fmt.Sprint(n)
}
