package page

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/sink/schema"
)

const evil = `<script>alert("x")</script>`

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// answer is an answer as the store could give, with a name that must not become part of the page.
func answer(view explore.View) *explore.Answer {
	q := explore.Question{By: []string{"src.as", "dst.as"}, Last: time.Hour, Unit: explore.Bits, View: view, Top: 2,
		Zone: time.UTC}
	a := &explore.Answer{Question: q, From: noon.Add(-time.Hour), To: noon, Step: 15 * time.Minute, Partial: true,
		Labels: []string{"Source AS", "Destination AS"},
		Query:  &explore.Query{Source: schema.Choice{Source: schema.Source{Table: "data_flow"}}},
		Losses: &explore.Losses{Missing: []explore.Missing{{Stage: "kernel", Reason: "receive buffer",
			Unit:  "datagrams",
			Count: 12345, Share: 0.25, Points: []uint64{0, 12345, 0, 0}}},
			Sampled: []explore.Sampled{{Rate: 1000, Share: 0.9}, {Rate: 1, Share: 0.1}}}}
	switch view {
	case explore.Sankey, explore.Matrix:
		a.Links = []explore.Link{
			{Nodes: []explore.Node{{Key: "AS64500", Name: evil, Rank: 1}, {Key: "AS64501", Rank: 1}}, Total: 3600e6,
				Filter: "src.as = 64500"},
			{Nodes: []explore.Node{{Rank: 0}, {Key: "", Rank: 2}}, Total: 360e6},
		}
	case explore.Single:
		end := explore.End{Address: "2001:db8::1", Port: 443, AS: "AS64500", Name: evil}
		a.Flows = []explore.Flow{{From: noon.Add(-time.Hour), To: noon, Device: evil, Protocol: "tcp", Source: end,
			Dest: end,
			In:   evil, Bytes: 1e9, Packets: 1000}}
	case explore.Lost:
		a.Lost = []explore.Loss{{Missing: a.Losses.Missing[0], Exporter: "192.0.2.1", Device: "AS64500 " + evil,
			First: noon.Add(-time.Hour), Last: noon}}
	case explore.Hours:
		a.Days = []explore.Day{{Date: "2026-03-05", Hours: [24]float64{3: 1e6, 4: 5e5}}}
	default:
		a.Series = []explore.Series{
			{Keys: []string{"AS64500", "AS64501"}, Names: []string{evil, ""}, Rank: 1,
				Points: []float64{1e6, 2e6, 3e6, 0},
				Stats:  explore.Stats{Mean: 2e6, Max: 3e6, Total: 5.4e9, Share: 0.75},
				Filter: `src.as = 64500 and dst.as = 64501`},
			{Keys: []string{"", ""}, Names: []string{"", ""}, Points: []float64{1e6, 1e6, 1e6, 1e6},
				Stats: explore.Stats{Total: 1.8e9, Share: 0.25}},
		}
		a.Before = []float64{1, 2, 3, 4}
		if view == explore.Both {
			a.Back = []explore.Series{{Rank: 1, Points: []float64{5e5, 0, 1e6, 0}}, {Points: make([]float64, 4)}}
		}
	}
	return a
}

func pages(t *testing.T) *Pages {
	t.Helper()
	s := schema.Default()
	p := &Pages{Log: zap.NewNop(), Explorer: &explore.Explorer{Planner: explore.NewPlanner(&s),
		Now: func() time.Time { return noon }}}
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	p.Mount(server)
	return p
}

// get asks for an address as a client on this host.
func get(t *testing.T, p *Pages, address string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", address, nil).WithContext(t.Context())
	r.RemoteAddr = "127.0.0.1:1234"
	w := httptest.NewRecorder()
	handler := p.page
	switch name, _, _ := strings.Cut(address, "?"); name {
	case "/about":
		handler = p.about
	case "/progress.json":
		handler = p.progress
	case "/suggest":
		handler = p.suggest
	default:
		if suffix, isExport := strings.CutPrefix(name, "/explore."); isExport {
			handler = p.export(suffix, formats[suffix])
		}
	}
	p.admit(handler).ServeHTTP(w, r)
	return w
}

// Without a script a filter is completed by links.
func TestPage_suggest(t *testing.T) {
	p := pages(t)
	for filter, want := range map[string]string{
		"src.": `<a href="suggest?by=app&amp;filter=src.as&#43;"><code>src.as</code></a> <span ` +
			`class="small">Source AS`,
		"src.as ":  `<a href="suggest?by=app&amp;filter=src.as&#43;%3D&#43;"><code>=</code>`,
		"bytes > ": `<a href="explore?by=app&amp;filter=bytes&#43;%3E&#43;10M&#43;"><code>10M</code>`,
	} {
		w := get(t, p, "/suggest?by=app&filter="+url.QueryEscape(filter))
		if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, want) ||
			!strings.Contains(body, `name="filter" value="`+strings.ReplaceAll(filter, ">", "&gt;")+`"`) {
			t.Errorf("%s: %d, no %s in\n%s", filter, w.Code, want, body)
		}
	}
	if w := get(t, p, "/suggest?filter=src.as+%3D+1+nonsense"); w.Code != http.StatusBadRequest {
		t.Errorf("nothing to suggest: %d", w.Code)
	}
}

// Each view is a page without a script, and names stay texts.
func TestPage_views(t *testing.T) {
	for _, view := range explore.Views() {
		p := pages(t)
		a := answer(view)
		p.cache.put(cacheKey(a.Question), a, kept(a))
		w := get(t, p, "/explore?"+a.Question.Values().Encode())
		body := w.Body.String()
		csp := w.Header().Get("Content-Security-Policy")
		nonce := strings.TrimSuffix(after(csp, "script-src 'nonce-"), "'")
		if w.Code != http.StatusOK || len(nonce) < 20 ||
			!strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; ") {
			t.Errorf("%s: %d, %s", view, w.Code, csp)
		}
		// One script, of the nonce; figures of graphs are no script.
		rest := strings.Replace(body, `<script src="explore.js?v=`+version(scriptJS)+`" nonce="`+nonce+
			`" defer></script>`, "", 1)
		rest = strings.Replace(rest, `<script type="application/json">{`, "", 1)
		if len(rest) == len(body) || strings.Contains(rest, "<script") || strings.Contains(rest, "style=") {
			t.Errorf("%s: the page has a script or a style that its policy forbids", view)
		}
		checkPoints(t, body, a)
		if view != explore.Hours && !strings.Contains(body, "AS64500 &lt;script&gt;") {
			t.Errorf("%s: the name is not there:\n%s", view, body)
		}
		for _, want := range []string{"12\u202f345 datagrams (kernel: receive buffer) 25 %",
			"1 in 1000 for 90 % of the bits, 1 in 1 for 10 %", ">data_flow</span>",
			`<option value="` + string(view) + `" selected>`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q", view, want)
			}
		}
		if len(body) > 60_000 {
			t.Errorf("%s: the page has %d bytes", view, len(body))
		}
		for name, f := range formats {
			checkExport(t, name, f, a)
		}
		var text bytes.Buffer
		if err := a.Print(&text); err != nil || !strings.Contains(text.String(), "missing: 12") {
			t.Errorf("%s: %v in\n%s", view, err, text.String())
		}
	}
}

// after is the text up to the next semicolon behind the place.
func after(text, place string) string {
	_, rest, _ := strings.Cut(text, place)
	rest, _, _ = strings.Cut(rest, ";")
	return rest
}

// checkPoints reads the figures for the script as the script does.
func checkPoints(t *testing.T, body string, a *explore.Answer) {
	t.Helper()
	_, text, found := strings.Cut(body, `<script type="application/json">`)
	if found != a.Question.View.OverTime() {
		t.Errorf("%s: figures for the script: %t", a.Question.View, found)
	}
	if !found {
		return
	}
	text, _, _ = strings.Cut(text, "</script>")
	var p points
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if p.N != 4 || p.Lines[0].Label != a.Series[0].Label() || math.Abs(p.Scale*float64(p.All[2])-4e6) > 1000 ||
		p.Missing[0].Points[1] != 12345 || !strings.HasPrefix(p.Address, "explore?by=src.as") {
		t.Errorf("%+v", p)
	}
}

// checkExport reads what is exported as who takes it would.
func checkExport(t *testing.T, name string, f format, a *explore.Answer) {
	t.Helper()
	var out bytes.Buffer
	if err := f.write(&out, a); err != nil {
		t.Fatal(err)
	}
	var err error
	switch name {
	case "csv":
		_, err = csv.NewReader(&out).ReadAll()
	case "json":
		var x map[string]any
		err = json.Unmarshal(out.Bytes(), &x)
	case "svg":
		if strings.Contains(out.String(), "<script") {
			t.Error("the drawing has a script")
		}
		for d := xml.NewDecoder(&out); err == nil; {
			_, err = d.Token()
		}
		if err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		t.Errorf("%s of %s: %v", name, a.Question.View, err)
	}
}

// A filter that cannot be read is shown with its place, whatever stands in it.
func TestPage_problems(t *testing.T) {
	p := pages(t)
	for filter, want := range map[string]string{
		"src.sa = 1":           "<mark>src.sa</mark> = 1",
		"proto = " + evil:      "proto = <mark>&lt;</mark>script&gt;",
		"proto = x and":        "proto = x and<mark> </mark>",
		`dst = "` + evil + `"`: "dst = <mark>&#34;&lt;script&gt;alert(&#34;</mark>x",
	} {
		w := get(t, p, "/explore?filter="+url.QueryEscape(filter))
		if body := w.Body.String(); w.Code != http.StatusBadRequest || !strings.Contains(body, want) ||
			strings.Contains(body, "<script>") {
			t.Errorf("%s: %d, no %s in\n%s", filter, w.Code, want, body)
		}
	}
	if w := get(t, p, "/explore?view=pie"); w.Code != http.StatusBadRequest ||
		!strings.Contains(w.Body.String(), "none of") {
		t.Errorf("view=pie: %d", w.Code)
	}
	p.Off = "there is no store"
	if w := get(t, p, "/explore"); !strings.Contains(w.Body.String(), "there is no store") {
		t.Errorf("without a store: %s", w.Body.String())
	}
}

// Every address of the traffic is closed to who may not look; its style is not.
func TestPages_viewers(t *testing.T) {
	s := schema.Default()
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	p := &Pages{Log: zap.NewNop(), Viewers: access.Viewers{Users: &access.Users{}},
		Explorer: &explore.Explorer{Planner: explore.NewPlanner(&s), Now: time.Now}}
	p.Mount(server)
	addresses := []string{"/explore", "/about?as=1", "/suggest", "/suggest.json"}
	for name := range formats {
		addresses = append(addresses, "/explore."+name)
	}
	for _, address := range addresses {
		answer, err := http.Get(server.URL() + address)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", address, answer.Status)
		}
	}
}

// Answers are kept until their last step is over, and not more than so many.
func TestCache(t *testing.T) {
	c := newCache[*explore.Answer]()
	now := noon
	c.now = func() time.Time { return now }
	a := answer(explore.Table)
	a.Step = 10 * time.Second
	c.put(cacheKey(a.Question), a, kept(a))
	if got, _ := c.get(cacheKey(a.Question)); got != a {
		t.Error("an answer is not kept")
	}
	other := a.Question
	other.Filter = "proto = tcp"
	if _, found := c.get(cacheKey(other)); found {
		t.Error("another question has its answer")
	}
	now = now.Add(10 * time.Second)
	if _, found := c.get(cacheKey(a.Question)); found {
		t.Error("an answer is kept when its step is over")
	}
	for i := range 3 * mostCached {
		q := a.Question
		q.Top = i
		c.put(cacheKey(q), a, kept(a))
	}
	if len(c.values) > mostCached {
		t.Errorf("%d answers are kept", len(c.values))
	}
}

// Countries are coloured by how much they have; what has no shape is said.
func TestMap(t *testing.T) {
	a := answer(explore.Map)
	a.Series[0].Code, a.Series[0].Mean = "CH", 4e6
	a.Series = append(a.Series, explore.Series{Keys: []string{"Atlantis"}, Names: []string{""}, Rank: 2,
		Stats: explore.Stats{Mean: 1e6}})
	m := newMap(a, "explore")
	at := map[string][2]int{}
	for _, c := range m.Shapes {
		var x, y int
		place := c.X + " " + c.Y
		if c.Path != "" {
			place = strings.TrimPrefix(c.Path, "M")
		}
		if _, err := fmt.Sscanf(place, "%d %d", &x, &y); err != nil || x < 0 || y < 0 || x > mapWidth || y > mapHeight {
			t.Errorf("%s lies at %s: %v", c.Code, place, err)
		}
		if _, twice := at[c.Code]; twice {
			t.Errorf("%s stands twice", c.Code)
		}
		at[c.Code] = [2]int{x, y}
		if want := c.Code == "CH"; (c.Shade == 9) != want || (c.Link != "") != want {
			t.Errorf("%+v", c)
		}
	}
	if len(at) != 235 || m.Elsewhere != "1.00 Mbit/s" {
		t.Errorf("%d countries, elsewhere %s", len(at), m.Elsewhere)
	}
	if at["US"][0] >= at["CH"][0] || at["CH"][0] >= at["JP"][0] || at["NO"][1] >= at["CH"][1] ||
		at["CH"][1] >= at["ZA"][1] || at["GB"][0] >= at["DE"][0] || at["PT"][0] >= at["ES"][0] {
		t.Errorf("countries do not lie where they are: %v", at)
	}
	if last := m.Shapes[len(m.Shapes)-1]; last.Code != "CH" {
		t.Errorf("%s lies upon what has traffic", last.Code)
	}
}

// Answers that others were given are not those of a user who may see one scope.
func TestCache_scopes(t *testing.T) {
	c := newCache[*explore.Answer]()
	a := answer(explore.Table)
	c.put(cacheKey(a.Question), a, kept(a))
	limited := a.Question
	limited.Only = []string{"comm:lhcone"}
	if _, found := c.get(cacheKey(limited)); found {
		t.Error("who may see one scope got the answer of who may see all")
	}
	// How many rows were read counts those of other scopes.
	all, one := *a, *a
	all.Read, one.Read, one.Question = 123456, 123456, limited
	if text := took(&all); !strings.Contains(text, "123 k rows read") {
		t.Error(text)
	}
	if text := took(&one); strings.Contains(text, "123") {
		t.Errorf("who may see one scope is told: %s", text)
	}
}

// A peak leads to the flows of its step, however short that is, and of nothing that flows have no use for.
func TestPeak(t *testing.T) {
	for _, step := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 15 * time.Minute} {
		a := answer(explore.Stacked)
		a.Question.Before, a.Question.Step = explore.DayBefore, time.Hour
		a.Step, a.From = step, noon.Add(-4*step)
		row := pages(t).newRows(a, address)[0]
		for _, link := range []string{newPeak(a, address).Link, row.Peak} {
			at, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			q, err := explore.Parse(at.Query(), noon)
			if err != nil || !q.From.Equal(noon.Add(-2*step)) || q.To.Sub(q.From) != step || q.Ignored() != "" ||
				q.View != explore.Single {
				t.Errorf("steps of %s: %s, %v", step, link, err)
			}
		}
	}
}

// The page says the time that its figures are of, to the second, and whether that is more than was asked for.
func TestSpan(t *testing.T) {
	a := answer(explore.Table)
	for name, test := range map[string]struct {
		from, to time.Time
		widened  bool
		want     string
	}{
		"whole": {noon.Add(-time.Hour), noon, false, "Thu 5 Mar 2026 11:00 to 12:00 UTC"},
		"more":  {noon.Add(-time.Hour), noon, true, "Thu 5 Mar 2026 11:00 to 12:00 UTC, whole steps of 15m"},
		"seconds": {noon.Add(-10 * time.Second), noon, false,
			"Thu 5 Mar 2026 11:59:50 to 12:00:00 UTC"},
		"days": {noon.AddDate(0, 0, -1), noon, false, "Wed 4 Mar 2026 12:00 to Thu 5 Mar 2026 12:00 UTC"},
	} {
		a.From, a.To, a.Widened = test.from, test.to, test.widened
		if got := spanOf(a); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// What a view has no use for is said on the page and in the terminal.
func TestPage_ignored(t *testing.T) {
	const want = "This view has no earlier period (before)."
	for _, view := range []explore.View{explore.Sankey, explore.Matrix, explore.Hours, explore.Single, explore.Lost} {
		p, a := pages(t), answer(view)
		if a.Question.Before = explore.WeekBefore; view != explore.Sankey && view != explore.Matrix {
			a.Question.By, a.Question.Top = nil, 8
		}
		p.cache.put(cacheKey(a.Question), a, kept(a))
		var text bytes.Buffer
		if err := a.Print(&text); err != nil || !strings.Contains(text.String(), "\n"+want+"\n") {
			t.Errorf("%s: %v in\n%s", view, err, text.String())
		}
		if body := get(t, p, "/explore?"+a.Question.Values().Encode()).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s: the page does not say it", view)
		}
	}
}

// A parameter that is not known is said, and is a text.
func TestPage_strange(t *testing.T) {
	p, a := pages(t), answer(explore.Table)
	p.cache.put(cacheKey(a.Question), a, kept(a))
	body := get(t, p, "/explore?cmp=day&"+url.QueryEscape(evil)+"=1&"+a.Question.Values().Encode()).Body.String()
	if !strings.Contains(body, "not known here: &lt;script&gt;") || !strings.Contains(body, ", cmp.") {
		t.Error(body)
	}
}

// A drawn table has the earlier time where one is asked for.
func TestSheet_before(t *testing.T) {
	a := answer(explore.Table)
	a.Series[0].Earlier = 1e6
	var out bytes.Buffer
	if err := writeSVG(&out, a); err != nil || !strings.Contains(out.String(), ">before<") ||
		!strings.Contains(html.UnescapeString(out.String()), ">+100 %<") {
		t.Errorf("%v in\n%s", err, out.String())
	}
}

// A line without traffic is not full at all.
func TestPercent(t *testing.T) {
	for part, want := range map[float64]string{0: "0 %", 0.00001: "< 0.01 %", 0.0123: "1.2 %", 0.5: "50 %",
		1: "100 %"} {
		if got := explore.Percent(part); got != want {
			t.Errorf("%g is %s, want %s", part, got, want)
		}
	}
	line := explore.Series{Speed: 10e9}
	if got := line.Full(); got != "0 % of 10.0 Gbit/s" {
		t.Error(got)
	}
}

// Rates that are not known are no zeros, and two links of a row say what each is about.
func TestRows(t *testing.T) {
	p := pages(t)
	a := answer(explore.Table)
	a.Partial = true
	for i := range a.Series {
		s := &a.Series[i]
		for j := range s.Points[:len(s.Points)-1] {
			s.Points[j] = 0
		}
		s.Points[len(s.Points)-1] = 1
	}
	if !a.OnlyPartial() {
		t.Fatal("a rate is known")
	}
	rows := p.newRows(a, address)
	if all := newAll(a); rows[0].Mean != "–" || rows[0].Volume == "–" || all != nil && all.Mean != "–" {
		t.Errorf("%+v, %+v", rows[0], all)
	}
	if got := rows[0].About; len(got) != 2 || got[0].End != "source" || got[1].End != "destination" {
		t.Errorf("%+v", got)
	}
}
