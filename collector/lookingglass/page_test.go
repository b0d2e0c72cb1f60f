package lookingglass

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// serve mounts a glass on a server.
func serve(t *testing.T, g *Glass) string {
	t.Helper()
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	g.Mount(server)
	return server.URL()
}

func get(t *testing.T, url string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// lookUp has one flow of each exporter looked up, of which so many have counts of their own. The first one is to an
// address without a route, and the second one in a VRF without a table.
func lookUp(g *Glass, most int, exporters ...string) {
	g.LookUps = enrich.NewLookUps(most)
	o := g.Routes
	o.LookUps = g.LookUps
	e := enrich.New(enrich.Options{Routes: o})
	snapshot, _ := enrich.NewBuilder().Build()
	var row enrich.Row
	for i, exporter := range exporters {
		r := flow.Record{Exporter: addr(exporter), DstAddr: addr("198.51.100.7")}
		switch i {
		case 0:
			r.DstAddr = addr("203.0.113.1")
		case 1:
			r.MPLSRD = [8]byte{7: 7}
		}
		e.Begin()
		e.Enrich(snapshot, &r, &row)
		e.End()
	}
}

// The page shows sessions to everybody, and routes to those who may look at the traffic.
func TestPages(t *testing.T) {
	g := twoRouters(t)
	g.Viewers = access.Viewers{LocalOnly: true}
	g.Exporters = func() []Exporter {
		return []Exporter{{Address: netip.MustParseAddr("127.0.0.2"), FlowsPerSecond: 12},
			{Address: netip.MustParseAddr("203.0.113.1"), Device: "<b>lost</b>"}}
	}
	lookUp(g, 1, "127.0.0.2", "127.0.0.2", "127.0.0.2", "203.0.113.8")
	at := serve(t, g)
	elsewhere := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.1") }
	status, text, header := get(t, at+"/routing", elsewhere)
	for _, want := range []string{"192.0.2.2", "core3", "ipv4 unicast", "up for", "let its router connect",
		"&lt;b&gt;lost", `http-equiv="refresh"`, "no such prefix 33.3 %",
		"no table of the VRF, so a route of the global one 33.3 %", `data-label="Own route">66.7 %<`,
		`data-label="No route">33.3 %<`, "1 looked up", "no router 100.0 %"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if status != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") ||
		strings.Contains(text, "<script") {
		t.Errorf("the page: %d %v", status, header)
	}
	status, text, _ = get(t, at+"/routing?address=198.51.100.7&exporter=127.0.0.2")
	for _, want := range []string{"64501 64502 64502", "64500:1 no-export", "its address is that of a session"} {
		if !strings.Contains(text, want) {
			t.Errorf("the look-up does not have %q", want)
		}
	}
	if status != http.StatusOK || strings.Contains(text, `http-equiv="refresh"`) {
		t.Errorf("the look-up: %d", status)
	}
	for path, want := range map[string]int{
		"/routing.json": http.StatusOK, "/routes.json?address=192.0.2.1": http.StatusOK, "/routing.css": http.StatusOK,
		"/routes.mrt": http.StatusOK, "/routes.json?address=here": http.StatusBadRequest,
		"/routing?address=here": http.StatusBadRequest, "/routes.mrt?router=core9": http.StatusBadRequest,
	} {
		if status, text, _ := get(t, at+path); status != want {
			t.Errorf("%s: %d %.200s", path, status, text)
		}
	}
	for _, path := range []string{"/routing?address=192.0.2.1", "/routes.json?address=192.0.2.1", "/routes.mrt"} {
		if status, _, _ := get(t, at+path, elsewhere); status != http.StatusForbidden {
			t.Errorf("%s from elsewhere: %d", path, status)
		}
		if status, _,
			_ := get(t, at+path, func(r *http.Request) { r.Host = "evil.example" }); status != http.StatusForbidden {
			t.Errorf("%s under another name: %d", path, status)
		}
	}
	status, text, _ = get(t, serve(t, &Glass{Log: zap.NewNop()})+"/routing")
	if status != http.StatusOK || !strings.Contains(text, "Routing is off") {
		t.Errorf("without routes: %d %s", status, text)
	}
}

// Users of some policy scopes see no routes: these are of no scope.
func TestPages_users(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	// The password of both is "secret".
	const hash = "$2y$05$3KyJLAl5VeyAR7Gk8bJdUeq5Mxfqj8DwNDIcvArZwUaEsS6q7QT/2"
	if err := os.WriteFile(users, []byte("all:"+hash+"\nsome:"+hash+":comm:lhcone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := access.LoadUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	g := twoRouters(t)
	g.Viewers = access.Viewers{Users: known}
	at := serve(t, g)
	as := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	for name, want := range map[string]int{"all": http.StatusOK, "some": http.StatusForbidden} {
		if status, _, _ := get(t, at+"/routes.json?address=192.0.2.1", as(name, "secret")); status != want {
			t.Errorf("%s: %d, want %d", name, status, want)
		}
	}
	if status, _, _ := get(t, at+"/routes.json?address=192.0.2.1",
		as("all", "wrong")); status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", status)
	}
}

// The texts for terminals have what the JSON has.
func TestText(t *testing.T) {
	g := twoRouters(t)
	var out strings.Builder
	WriteAnswer(&out, ask(t, g, "address=198.51.100.7&exporter=127.0.0.3"))
	for _, want := range []string{"a flow of exporter 127.0.0.3 to 198.51.100.7: default",
		"router 192.0.2.2 AS64500, table unicast",
		"path 64501 64502 64502", "communities 64500:1 no-export", "extended communities RT:64500:7", "path id 1",
		"from BGP session of 127.0.0.2, session up for", "best, iBGP", "(empty: the router's own AS)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	out.Reset()
	if err := WriteSummary(&out, g.Summary()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 routes to 3 prefixes", "core3", "3 ipv4 unicast"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
