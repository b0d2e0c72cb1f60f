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
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/web"
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
	Viewers Viewers
	// Prefix returns the ref of the record in meta_ip that holds an address, and its prefix; false where none does.
	Prefix func(netip.Addr) (ref string, prefix netip.Prefix, ok bool)
	// Views are the saved ones; nil: none can be saved.
	Views *views.File
	Log   *zap.Logger
	// Patience is how long a page waits for the store; 0: 25 seconds.
	Patience time.Duration

	cache   *cache
	turns   chan struct{}
	running running
	// suggesting has the request for suggestions that the store works on.
	suggesting chan struct{}
	html       *template.Template
}

// Mount registers /explore and the addresses that belong to it.
func (p *Pages) Mount(s *web.Server) {
	p.Patience = cmp.Or(p.Patience, defaultPatient)
	p.cache, p.turns = newCache(), make(chan struct{}, mostAsked)
	p.suggesting = make(chan struct{}, 1)
	p.running.ids = map[string]string{}
	p.running.asking = make(chan struct{}, 1)
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

// viewerOf returns the viewer of a request that admit let pass. It panics if there is none.
func viewerOf(r *http.Request) *viewer { return r.Context().Value(viewerKey{}).(*viewer) }

// admit refuses clients that may not look.
func (p *Pages) admit(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := p.Viewers.admit(w, r); who != nil {
			next(w, r.WithContext(context.WithValue(r.Context(), viewerKey{}, who)))
		}
	})
}

// ask answers a question from the cache, or from the store when it has a turn; with its losses, if they are wanted.
func (p *Pages) ask(ctx context.Context, q explore.Question, losses bool) (*explore.Answer, error) {
	if p.Off != "" {
		return nil, p.off()
	}
	q.Only = ctx.Value(viewerKey{}).(*viewer).Scopes
	a := p.cache.get(q)
	if a != nil && (a.Losses != nil || !losses) {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	ctx, done := p.running.start(ctx, q)
	defer done()
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return nil, errOthers
	}
	if a == nil {
		var err error
		if a, err = p.Explorer.Ask(ctx, q); err != nil {
			return nil, err
		}
	}
	if losses {
		found, err := p.Explorer.Losses(ctx, a)
		if err != nil {
			return nil, err
		}
		with := *a // others may have the one without
		with.Losses, a = found, &with
	}
	p.cache.put(q, a)
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
	q, err := explore.Parse(r.URL.Query())
	var a *explore.Answer
	if err == nil {
		a, err = p.ask(r.Context(), q, q.View != explore.Lost)
	}
	v := p.view(q, a)
	p.addViews(v, viewerOf(r), q)
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
	v := &view{Question: q, Filter: q.Filter, Zone: "UTC", Title: "Traffic", Zones: zones(q)}
	if q.Zone != nil {
		v.Zone = q.Zone.String()
	}
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
	length := a.To.Sub(a.From)
	v.Earlier = q.Between(a.From.Add(-length), a.From).Address(address)
	if !a.Partial && !a.To.After(p.Explorer.Now()) {
		v.Later = q.Between(a.To, a.To.Add(length)).Address(address)
	}
	v.Wider = q.Between(a.From.Add(-length/2), a.To.Add(length/2)).Address(address)
	return v
}

// took says how long the answer took, and of how many rows it is.
func took(a *explore.Answer) string {
	text := fmt.Sprintf("%.0f ms, ", float64(a.Took.Microseconds())/1000)
	if a.Read > 0 {
		text += "some " + strings.TrimSpace(figures.SI(float64(a.Read))) + " rows read "
	}
	return text + "from "
}

// addForm fills in the form, with the question in it.
func (p *Pages) addForm(v *view) {
	q := v.Question
	for i := range explore.MaxBy {
		chosen := ""
		if i < len(q.By) {
			chosen = q.By[i]
		}
		if i > 1 && i > len(q.By) {
			break
		}
		v.Lists = append(v.Lists, list{Label: []string{"by", "and", "and", "and"}[i], Groups: p.groups(chosen),
			None: chosen == ""})
	}
	for _, x := range explore.Views() {
		v.Views = append(v.Views, option{string(x), viewNames[x], x == q.View})
	}
	for _, x := range explore.Units() {
		text := x.Label()
		if x == explore.Volume {
			text = "bytes"
		}
		v.Units = append(v.Units, option{string(x), text, x == q.Unit})
	}
	for _, x := range explore.Befores() {
		text := "compare with …"
		if x != explore.NoBefore {
			text = "with the " + string(x) + " before"
		}
		v.Befores = append(v.Befores, option{string(x), text, x == q.Before})
	}
	for _, n := range withValue([]int{5, 8, 15, 25, 50}, q.Top) {
		v.Tops = append(v.Tops, option{fmt.Sprint(n), fmt.Sprintf("top %d", n), n == q.Top})
	}
	day := 24 * time.Hour
	if q.Last == 0 && !q.From.IsZero() {
		values := q.Values()
		v.From, v.To = values.Get("from"), values.Get("to")
		v.Times = append(v.Times, option{"", "from … to", true})
	}
	for _, d := range withValue([]time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, day, 2 * day, 7 * day,
		30 * day, 90 * day}, q.Last) {
		v.Times = append(v.Times, option{explore.Duration(d), "last " + spoken(d), d == q.Last})
	}
	if p.Explorer == nil {
		return
	}
	v.Fields = p.Explorer.Planner.Fields()
	for _, x := range p.Explorer.Planner.Presets() {
		v.Presets = append(v.Presets, preset{link{x.Name, x.Question.Address(address)},
			x.Question.Values().Encode() == q.Values().Encode()})
	}
}

// viewNames are what the form calls the views.
var viewNames = map[explore.View]string{explore.Stacked: "stacked areas", explore.Lines: "lines",
	explore.Both: "both directions", explore.Share: "shares, 100 %", explore.Table: "table", explore.Sankey: "sankey",
	explore.Matrix: "from × to", explore.Hours: "hours × days", explore.Map: "map of countries",
	explore.Single: "single flows", explore.Lost: "losses"}

// spoken is a length of time as people say it.
func spoken(d time.Duration) string {
	day := 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		one    string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.length; {
		case d%unit.length != 0:
		case d == day:
			return "24 hours"
		case n == 1:
			return unit.one
		default:
			return fmt.Sprintf("%d %ss", n, unit.one)
		}
	}
	return d.String()
}

// withValue returns the sorted list with a value of a question in it; 0 is none.
func withValue[T cmp.Ordered](list []T, value T) []T {
	var zero T
	if i, found := slices.BinarySearch(list, value); !found && value != zero {
		return slices.Insert(list, i, value)
	}
	return list
}

func (p *Pages) groups(chosen string) []group {
	if p.Explorer == nil {
		return nil
	}
	var all []group
	for _, c := range p.Explorer.Planner.Choices() {
		if n := len(all); n == 0 || all[n-1].Name != c.Group {
			all = append(all, group{Name: c.Group})
		}
		g := &all[len(all)-1]
		g.Options = append(g.Options, option{c.Name, c.Label, c.Name == chosen})
	}
	return all
}

// zones returns the time zones to choose from. The page's address can name any other one.
func zones(q explore.Question) []string {
	all := []string{"UTC"}
	if local := localZone(); local != "" && !strings.HasSuffix(local, "UTC") {
		all = append(all, local)
	}
	if q.Zone != nil && q.Zone.String() != "UTC" && q.Zone.String() != all[len(all)-1] {
		all = append(all, q.Zone.String())
	}
	return all
}

// localZone is the name of the host's time zone; "" where it has none.
func localZone() string {
	if name := time.Local.String(); name != "Local" {
		return name
	}
	path, err := filepath.EvalSymlinks("/etc/localtime")
	if _, name, ok := strings.Cut(path, "/zoneinfo/"); ok && err == nil {
		return name
	}
	return ""
}

// problemOf returns an error's text for the page, with the place in the filter if the error has one.
func problemOf(q explore.Question, err error) *problem {
	var bad *filter.Error
	if errors.As(err, &bad) {
		at := min(bad.At, len(q.Filter))
		end := min(at+bad.Len, len(q.Filter))
		return &problem{bad.Text, q.Filter[:at], q.Filter[at:end], q.Filter[end:]}
	}
	return &problem{Text: explore.Reason(err)}
}
