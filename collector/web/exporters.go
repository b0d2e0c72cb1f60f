package web

import (
	"bytes"
	_ "embed"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/status"
)

// Exporters are the sources of the page of exporters.
type Exporters struct {
	Report func() *status.Report
	// Top returns the largest AS and interfaces; nil if the client may not see them.
	Top func(*http.Request) *status.TopTraffic
	Log *zap.Logger
	// Explore says that the server answers /explore, so that the page links to it.
	Explore bool

	text func() ([]byte, error) // the report as JSON
}

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS []byte

// pagePolicy allows the page its style and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; " +
	"form-action 'none'"

// refreshSeconds is how often the page reloads, unless ?refresh= says otherwise.
const refreshSeconds = 10

// Show serves / and /exporters as the page, or as JSON if the client accepts that, and /exporters.json.
func (s *Server) Show(e Exporters) {
	cached := &reports{make: e.Report}
	e.Report, e.text = cached.get, cached.json
	slots := make(chan struct{}, maxPages)
	page := template.Must(template.New("page").Funcs(pageFunctions).Parse(pageHTML))
	s.mux.HandleFunc("GET /exporters.json", turns(e.json, slots, pageWait))
	s.mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(styleCSS)
	})
	show := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if wantsJSON(r.Header.Values("Accept")) {
			e.json(w, r)
			return
		}
		e.page(page, w, r)
	}
	s.mux.HandleFunc("GET /exporters", turns(show, slots, pageWait))
	s.mux.HandleFunc("GET /{$}", turns(show, slots, pageWait))
}

func (e *Exporters) json(w http.ResponseWriter, _ *http.Request) {
	text, err := e.text()
	if err != nil {
		e.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

func (e *Exporters) page(page *template.Template, w http.ResponseWriter, r *http.Request) {
	view := newView(e.Report(), e.Top(r))
	view.Refresh, view.Explore = refreshSeconds, e.Explore
	if text := r.URL.Query().Get("refresh"); text != "" {
		view.Refresh, _ = strconv.Atoi(text)
		view.Refresh = min(max(view.Refresh, 0), 3600)
	}
	var out bytes.Buffer // the status is known only at the end
	if err := page.Execute(&out, view); err != nil {
		e.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	_, _ = out.WriteTo(w)
}

func (e *Exporters) fail(w http.ResponseWriter, err error) {
	e.Log.Error("a page cannot be made", zap.Error(err))
	writeText(w, http.StatusInternalServerError, "the page cannot be made; the log says why\n")
}

// wantsJSON reports whether JSON is accepted and HTML is not.
func wantsJSON(accept []string) bool {
	wants := false
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		switch kind, _, _ := mime.ParseMediaType(item); kind {
		case "text/html", "application/xhtml+xml":
			return false
		case "application/json":
			wants = true
		}
	}
	return wants
}
