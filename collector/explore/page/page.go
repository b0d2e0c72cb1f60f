// Package page serves the answers of package explore as HTML pages of the collector: a form, drawings made on the
// server, and a script that is optional. The address of a page holds its whole question.
package page

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/collector/web/figures"
)

//go:embed explore.html
var pageHTML string

//go:embed head.html
var headHTML string

//go:embed panel.html
var panelHTML string

//go:embed about.html
var aboutHTML string

//go:embed losses.html
var lossesHTML string

//go:embed explore.css
var styleCSS []byte

//go:embed explore.js
var scriptJS []byte

// policy returns the Content-Security-Policy of a page: it can load its own style and the script with this nonce, and
// send forms to the collector.
func policy(nonce string) string {
	return "default-src 'none'; style-src 'self'; script-src 'nonce-" + nonce +
		"'; connect-src 'self'; img-src data:; " +
		"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
}

// Bounds of what pages may take at once.
const (
	mostAsked      = 2                // questions that the store has at once
	defaultPatient = 25 * time.Second // for one page, the wait for a turn included
)

// Pages answers /explore. Its fields are set before Mount and do not change.
type Pages struct {
	Explorer *explore.Explorer
	// Off, if not empty, says why there is nothing to explore.
	Off     string
	Viewers access.Viewers
	// Prefix returns the ref of the record in meta_ip that holds an address, and its prefix; false where none does.
	Prefix func(netip.Addr) (ref string, prefix netip.Prefix, ok bool)
	// Views are the saved ones; nil: none can be saved.
	Views *views.File
	Log   *zap.Logger
	// Patience is how long a page waits for the store; 0: 25 seconds.
	Patience time.Duration

	cache   *cache[*explore.Answer]
	known   *cache[known]
	running running
	// asking has the questions that the store works on, suggesting the request for suggestions.
	asking, suggesting turns
	html               *template.Template
}

// Mount registers /explore and the addresses that belong to it.
func (p *Pages) Mount(s *web.Server) {
	p.Patience = cmp.Or(p.Patience, defaultPatient)
	p.cache, p.known = newCache[*explore.Answer](), newCache[known]()
	p.asking, p.suggesting = make(turns, mostAsked), make(turns, 1)
	p.running.ids = map[string]string{}
	p.running.asking = make(turns, 1)
	p.html = template.Must(template.New("explore").Parse(pageHTML))
	template.Must(p.html.New("head").Parse(headHTML))
	template.Must(p.html.New("panel").Parse(panelHTML))
	template.Must(p.html.New("about").Parse(aboutHTML))
	template.Must(p.html.New("losses").Parse(lossesHTML))
	s.Handle("GET /explore", p.admit(p.page))
	s.Handle("GET /about", p.admit(p.about))
	s.Handle("GET /suggest", p.admit(p.suggest))
	s.Handle("GET /suggest.json", p.admit(p.suggestJSON))
	s.Handle("GET /progress.json", p.admit(p.progress))
	s.Handle("GET /explore.css", asset(styleCSS, "text/css"))
	s.Handle("GET /explore.js", asset(scriptJS, "text/javascript"))
	if p.Views != nil {
		s.Handle("GET /views.json", p.admit(p.exportViews))
		s.HandlePost("/views", p.admit(p.changeViews))
	}
	for name, format := range formats {
		s.Handle("GET /explore."+name, p.admit(p.export(name, format)))
	}
}

// asset returns the handler of an embedded file. Its address has a digest of its text, so that browsers may keep it.
func asset(text []byte, kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == version(text) {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		respond(w, r, http.StatusOK, text)
	})
}

// version is a short digest of a file.
func version(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:6])
}

// viewerKey is the key of a request's viewer in its context.
type viewerKey struct{}

// viewerOf returns the viewer of a request that admit let pass, by its context. It panics if there is none.
func viewerOf(ctx context.Context) *access.Viewer { return ctx.Value(viewerKey{}).(*access.Viewer) }

// admit refuses clients that may not look.
func (p *Pages) admit(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := p.Viewers.Viewer(w, r); who != nil {
			next(w, r.WithContext(context.WithValue(r.Context(), viewerKey{}, who)))
		}
	})
}

// parse reads the question of an address.
func (p *Pages) parse(values url.Values) (explore.Question, error) {
	now := time.Now
	if p.Explorer != nil {
		now = p.Explorer.Now
	}
	return explore.Parse(values, now())
}

// ask answers a question from the cache, or from the store when it has a turn; with its losses, if they are wanted.
func (p *Pages) ask(ctx context.Context, q explore.Question, losses bool) (*explore.Answer, error) {
	if p.Off != "" {
		return nil, p.off()
	}
	q.Only = viewerOf(ctx).Scopes
	a, _ := p.cache.get(cacheKey(q))
	if a != nil && (a.Losses != nil || !losses) {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	ctx, done := p.running.start(ctx, q)
	defer done()
	leave, err := p.asking.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if a == nil {
		if a, err = p.Explorer.Ask(ctx, q); err != nil {
			return nil, err
		}
		a.Read = p.Explorer.Estimate(ctx, a.Query)
	}
	if losses {
		found, err := p.Explorer.Losses(ctx, a)
		if err != nil {
			return nil, err
		}
		with := *a // others may have the one without
		with.Losses, a = found, &with
	}
	p.cache.put(cacheKey(q), a, kept(a))
	return a, nil
}

// off is the answer where there is nothing to explore.
func (p *Pages) off() error { return &explore.Failure{Text: p.Off, Code: http.StatusNotFound} }

// errOthers is the answer to who had no turn in time.
var errOthers = &explore.Failure{Text: "Others are asking: try again.", Code: http.StatusServiceUnavailable}

// view fills the template of /explore.
type view struct {
	Question explore.Question
	Filter   string
	Presets  []preset
	Lists    []list
	Views    []option
	Units    []option
	Tops     []option
	Times    []option
	Befores  []option
	Steps    []option
	Abouts   []link // pages of what the filter names
	From, To string
	Zone     string
	Zones    []string
	InZones  []link // the same question with the times of other zones
	Fields   []string
	Problem  *problem
	Title    string
	Panel    *panel          // nil where there is no answer
	Losses   *explore.Losses // of the panel
	Took     string
	Sampling string
	Suggests []suggested
	Exports  []link
	Earlier  string
	Later    string
	Saved    *saved // nil where nothing can be saved
	Wider    string
	Strange  string // parameters that are not known
}

type (
	link   struct{ Text, Address string }
	preset struct {
		link
		Current bool
	}
	option struct {
		Value, Text string
		Chosen      bool
	}
	group struct {
		Name    string
		Options []option
	}
	list struct {
		Label  string
		Groups []group
		None   bool
	}
)

// problem fills the template of an error: a text, and a filter that is split at the place of the error.
type problem struct {
	Text                string
	Before, Here, After string // of the filter
}

func (p *Pages) page(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	q, err := p.parse(r.URL.Query())
	var a *explore.Answer
	if err == nil {
		a, err = p.ask(r.Context(), q, q.View != explore.Lost)
	}
	v := p.view(q, a)
	v.Strange = explore.Strange(r.URL.Query())
	p.addViews(v, viewerOf(r.Context()), q)
	if err == nil && a.Empty() {
		err = p.addNothing(r.Context(), v.Panel)
	}
	if err != nil {
		if r.Context().Err() != nil {
			return // nobody waits for it
		}
		v.Problem, status = problemOf(q, err), explore.Status(err)
	}
	p.write(w, r, "explore", v.Title, v, status)
}

// addNothing says why there is nothing to show, and leads to something.
func (p *Pages) addNothing(ctx context.Context, x *panel) (err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	if x.Nothing, err = p.Explorer.Nothing(ctx, x.Answer); err == nil && x.Nothing.Instead != nil {
		x.Instead = x.Nothing.Instead.Address(address)
	}
	return err
}

// head fills the template of a page's head.
type head struct{ Title, Nonce, Style, Script string }

// write answers with the head and a template.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, name, title string, v any, status int) {
	nonce := rand.Text()
	var out bytes.Buffer // the status is known only when it is done
	err := p.html.ExecuteTemplate(&out, "head", head{title, nonce, version(styleCSS), version(scriptJS)})
	if err == nil {
		err = p.html.ExecuteTemplate(&out, name, v)
	}
	if err != nil {
		p.Log.Error("a page cannot be made", zap.Error(err))
		http.Error(w, "the page cannot be made; the log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy(nonce))
	h.Set("Referrer-Policy", "same-origin") // without it a form of ours would come from the origin "null"
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	respond(w, r, status, out.Bytes())
}

// address is the address of the page, relative to the collector's.
const address = "explore"

func (p *Pages) view(q explore.Question, a *explore.Answer) *view {
	v := &view{Question: q, Filter: q.Filter, Zone: q.Location().String(), Title: "Traffic", Zones: zones(q)}
	p.addForm(v)
	if a == nil {
		return v
	}
	v.Panel = p.newPanel(a)
	v.Title = v.Panel.Title
	if v.Losses = a.Losses; a.Losses != nil {
		v.Sampling = a.Losses.Sampling(a.From)
	}
	v.Took = took(a)
	for _, name := range []string{"csv", "json", "svg", "sql"} {
		v.Exports = append(v.Exports, link{strings.ToUpper(name), q.Address(address + "." + name)})
	}
	for _, name := range v.Zones {
		if zone, err := time.LoadLocation(name); err == nil && name != v.Zone {
			other := q
			other.Zone = zone
			v.InZones = append(v.InZones, link{name, other.Address(address)})
		}
	}
	for _, s := range p.Explorer.Planner.Subjects(q.Filter) {
		v.Abouts = append(v.Abouts, link{s.Label(), aboutAddress(s)})
	}
	end := a.End()
	length := end.Sub(a.From)
	v.Earlier = q.Between(a.From.Add(-length), a.From).Address(address)
	if !q.UpToNow() && !end.After(p.Explorer.Now()) {
		v.Later = q.Between(end, end.Add(length)).Address(address)
	}
	v.Wider = q.Between(a.From.Add(-length/2), end.Add(length/2)).Address(address)
	return v
}

// took says how long the answer took, and of how many rows it is.
func took(a *explore.Answer) string {
	text := fmt.Sprintf("%.0f ms, ", float64(a.Took.Microseconds())/1000)
	switch {
	case len(a.Question.Only) > 0: // rows of other scopes are among them
	case a.Read == 1:
		text += "1 row read "
	case a.Read > 1:
		text += "about " + strings.TrimSpace(figures.SI(float64(a.Read))) + " rows read "
	}
	return text + "from "
}
