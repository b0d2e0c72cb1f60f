package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/lookingglass"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// routesOf serves the routes of an MRT file, and returns the server's URL.
func routesOf(t *testing.T, viewers access.Viewers) string {
	t.Helper()
	var dump bytes.Buffer
	w, err := mrt.NewWriter(&dump, time.Unix(1, 0), 1, "", []mrt.Peer{{ID: 1,
		Address: flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), AS: 64500}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(route.Unicast, 0, route.PrefixFrom(netip.MustParsePrefix("198.51.100.0/24")), []mrt.Entry{{
		Attributes: &route.Attributes{Path: []route.Segment{{Kind: route.Sequence,
			AS: []uint32{64500, 64501}}}}}}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "routes")
	if err := os.WriteFile(file, dump.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	station, err := routing.Open(routing.Options{MRT: []routing.MRTFile{{Name: "198.51.100.9", File: file}},
		Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(station.Abort)
	testkit.WaitFor(t, "the file", func() bool {
		s := station.Stats()
		return !s.MRT[0].Loaded.IsZero() && s.RIB.Routes == 1
	})
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	g := &lookingglass.Glass{Station: station, Routes: enrich.RouteOptions{RIB: station.RIB()}, Viewers: viewers,
		Device: func(flow.Addr) (id, ref string) { return "", "" }, Log: zap.NewNop(),
		Exporters: func() []lookingglass.Exporter { return nil },
		Facts: func(now time.Time) *verdict.Routing {
			return &verdict.Routing{Now: now, Started: now, Stats: station.Stats()}
		}}
	g.Mount(server)
	return server.URL()
}

// runRoutes runs `collector routes`.
func runRoutes(t *testing.T, password string, args ...string) (out, problem string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program)
	c.Env = append(os.Environ(), runEnv+"="+strings.Join(append([]string{"routes"}, args...), "\x1f"),
		passwordVariable+"="+password)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && stderr.Len() == 0 {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String()
}

// `collector routes` prints tables, routes, reasons and JSON of a running collector, and writes MRT files.
func TestRoutes(t *testing.T) {
	url := routesOf(t, access.Viewers{LocalOnly: true})
	for _, test := range []struct {
		args         []string
		out, problem string
	}{
		{nil, "1 routes to 1 prefixes", ""},
		{nil, "mrt:198.51.100.9", ""},
		{[]string{"--json"}, `"name": "mrt:198.51.100.9"`, ""},
		{[]string{"198.51.100.7"}, "path 64500 64501", ""},
		{[]string{"198.51.100.7", "--json"}, `"as_path": "64500 64501"`, ""},
		{[]string{"198.51.100.7", "--view", "bgp"}, "no route to 198.51.100.7", ""},
		{[]string{"203.0.113.1", "--exporter", "198.51.100.9"}, "a flow of exporter 198.51.100.9 to 203.0.113.1: miss",
			""},
		{[]string{"198.51.100.7", "--exporter", "198.51.100.9"}, "a flow of exporter 198.51.100.9 to 198.51.100.7: ",
			""},
		{[]string{"198.51.100.7", "--exporter", "192.0.2.77"}, "set routing.agents", ""},
		{[]string{"there"}, "", `"there" is neither an address nor a prefix`},
		{[]string{"198.51.100.7", "--router", "core9"}, "", `no router "core9" has routes`},
		{[]string{"--router", "core9"}, "", "give the address"},
		{[]string{"198.51.100.7", "198.51.100.8"}, "", "one address"},
		{[]string{"198.51.100.7", "--mrt", "x"}, "", "give no address"},
		{[]string{"--mrt", filepath.Join(t.TempDir(), "x"), "--router", "core9"}, "", `no router "core9" has routes`},
	} {
		out, problem := runRoutes(t, "", append([]string{"--url", url}, test.args...)...)
		if !strings.Contains(out, test.out) || !strings.Contains(problem, test.problem) ||
			(test.problem == "") != (problem == "") || strings.Count(problem, "\n") > 1 {
			t.Errorf("%q: out %q, problem %q; want %q, %q", test.args, out, problem, test.out, test.problem)
		}
	}
	out, _ := runRoutes(t, "", "--url", url, "198.51.100.7", "--json")
	var a lookingglass.Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Routes) != 1 {
		t.Errorf("JSON: %v in %s", err, out)
	}
	file := filepath.Join(t.TempDir(), "routes.mrt.gz")
	if _, problem := runRoutes(t, "", "--url", url, "--mrt", file); problem != "" {
		t.Fatal(problem)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r := mrt.NewReader(z, route.NewHasher())
	for err == nil {
		err = r.Next(func(*mrt.Peer) *route.Batch { return &route.Batch{} })
	}
	if r.Routes != 1 || r.Bad != 0 {
		t.Errorf("the dump: %+v, %v", r.Counts, err)
	}
}

// A user's password comes from a variable, and is in no message.
func TestRoutes_users(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	// The password is "secret".
	if err := os.WriteFile(users,
		[]byte("alice:$2y$05$3KyJLAl5VeyAR7Gk8bJdUeq5Mxfqj8DwNDIcvArZwUaEsS6q7QT/2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := access.LoadUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	url := routesOf(t, access.Viewers{Users: known})
	if out, problem := runRoutes(t, "secret", "--url", url, "--user", "alice", "198.51.100.7"); !strings.Contains(out,
		"path 64500 64501") {
		t.Errorf("with the password: %q, %q", out, problem)
	}
	for _, args := range [][]string{{"--url", url, "198.51.100.7"}, {"--url", url, "--user", "alice", "198.51.100.7"},
		{"--url", "http://127.0.0.1:1", "--user", "alice", "198.51.100.7"}} {
		if out, problem := runRoutes(t, "hunter2", args...); out != "" || problem == "" ||
			strings.Contains(problem, "hunter2") {
			t.Errorf("%q: %q, %q", args, out, problem)
		}
	}
}
