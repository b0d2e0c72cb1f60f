package page

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// What is asked for compressed comes compressed, and is the same text.
func TestRespond_gzip(t *testing.T) {
	for header, want := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "": false,
		"deflate": false, "GZIP": true} {
		text := strings.Repeat("traffic ", 1000)
		r := httptest.NewRequest("GET", "/explore", nil)
		r.Header.Set("Accept-Encoding", header)
		w := httptest.NewRecorder()
		respond(w, r, http.StatusTeapot, []byte(text))
		var body io.Reader = w.Body
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("%q: compressed: %t", header, got)
		}
		if want {
			if w.Body.Len() > len(text)/10 {
				t.Errorf("%q: %d bytes of %d", header, w.Body.Len(), len(text))
			}
			var err error
			if body, err = gzip.NewReader(w.Body); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != text || w.Code != http.StatusTeapot {
			t.Errorf("%q: status %d, %d bytes, %v", header, w.Code, len(got), err)
		}
	}
}

// Browsers may keep the style and the script of this version for good, and no other one.
func TestAsset(t *testing.T) {
	for query, want := range map[string]string{"?v=" + version(scriptJS): "max-age=31536000, immutable",
		"?v=" + version(styleCSS): "no-cache", "": "no-cache"} {
		w := httptest.NewRecorder()
		asset(scriptJS, "text/javascript").ServeHTTP(w, httptest.NewRequest("GET", "/explore.js"+query, nil))
		if got := w.Header().Get("Cache-Control"); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// A store that is down, and one that never answers, have a page with the form, a sentence and the status of their kind.
func TestPage_storeFails(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer silent.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "60")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "Code: 60. DB::Exception: Unknown table expression identifier 'default.data_flow'. "+
			"(UNKNOWN_TABLE) (version 26.1.1.1)")
	}))
	defer broken.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		address, text string
		status        int
	}{
		"down":      {gone.URL, "The store does not answer", http.StatusServiceUnavailable},
		"silent":    {silent.URL, "does not answer in time", http.StatusGatewayTimeout},
		"no tables": {broken.URL, "The tables are not there yet", http.StatusServiceUnavailable},
	} {
		conn, err := clickhouse.New(clickhouse.Options{Addrs: []string{strings.TrimPrefix(test.address, "http://")}})
		if err != nil {
			t.Fatal(err)
		}
		p := pages(t)
		p.Explorer.Conn = conn
		if name == "silent" {
			p.Patience = 200 * time.Millisecond
		}
		for _, address := range []string{"/explore?by=src.as&filter=proto+%3D+tcp", "/explore.csv?by=src.as",
			"/about?as=64500"} {
			w := get(t, p, address)
			body := w.Body.String()
			if w.Code != test.status || !strings.Contains(body, test.text) {
				t.Errorf("%s %s: %d, %s", name, address, w.Code, body)
			}
			if (w.Header().Get("Retry-After") != "") != (test.status == http.StatusServiceUnavailable) {
				t.Errorf("%s %s: Retry-After is %q", name, address, w.Header().Get("Retry-After"))
			}
			if strings.HasPrefix(address, "/explore?") && !strings.Contains(body, `value="proto = tcp"`) {
				t.Errorf("%s: the form has lost the filter", name)
			}
		}
		_ = conn.Close()
	}
}

// Without a store there is nothing to explore, and the page says so.
func TestPage_off(t *testing.T) {
	p := pages(t)
	p.Off = "Flows go to Kafka alone: there is no store to ask."
	for _, address := range []string{"/explore", "/explore.csv", "/about?as=64500"} {
		w := get(t, p, address)
		if !strings.Contains(w.Body.String(), "there is no store to ask") ||
			w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", address, w.Code)
		}
	}
}

// The form has what the question has, also where the list of usual values has not.
func TestPage_form(t *testing.T) {
	p := pages(t)
	for query, want := range map[string]string{
		"top=10":   `<option value="10" selected>top 10</option>`,
		"last=12h": `<option value="12h" selected>last 12 hours</option>`,
		"last=1h":  `<option value="1h" selected>last hour</option>`,
		"from=2026-03-05T10:00&to=2026-03-05T11:00": `<option value="" selected>from … to</option>`,
		"from=2026-03-05T10:00":                     `name="from" value="2026-03-05T10:00"`,
		"last=yesterday":                            `<option value="yesterday" selected>yesterday</option>`,
		"unit=volume":                               `<option value="volume" selected>bytes</option>`,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := explore.Parse(values, noon)
		if err != nil {
			t.Fatal(err)
		}
		a := answer(explore.Table)
		a.Question = q
		p.cache.put(cacheKey(q), a, kept(a))
		body := get(t, p, "/explore?"+query).Body.String()
		if !strings.Contains(body, want) {
			t.Errorf("%s: no %s", query, want)
		}
		over := strings.Contains(query, "to=") || q.Day == explore.Yesterday
		if strings.Contains(body, ">later<") != over {
			t.Errorf("%s: a later time is offered: %t", query, !over)
		}
	}
}

// Progress is that of who asks, and none where the store has no such question.
func TestProgress(t *testing.T) {
	p := pages(t)
	q := explore.Question{Unit: explore.Bits, View: explore.Stacked, Top: 8, Last: time.Hour, Zone: time.UTC}
	if w := get(t, p, "/progress.json"); w.Code != http.StatusNoContent {
		t.Errorf("%d for nothing", w.Code)
	}
	ctx, done := p.running.start(t.Context(), q)
	_, doneAgain := p.running.start(ctx, q)
	done()
	if p.running.of(q) == "" {
		t.Error("a question that is asked twice is over with the first")
	}
	q.Only = []string{"other"}
	if p.running.of(q) != "" {
		t.Error("the progress of others is shown")
	}
	doneAgain()
	if len(p.running.ids) != 0 {
		t.Errorf("%v are kept", p.running.ids)
	}
	if w := get(t, p, "/progress.json?by=,&view=pie"); w.Code != http.StatusBadRequest {
		t.Errorf("%d for no question", w.Code)
	}
	if w := get(t, p, "/explore.json?view=pie"); json.Valid(w.Body.Bytes()) {
		t.Error("an error is JSON")
	}
}
