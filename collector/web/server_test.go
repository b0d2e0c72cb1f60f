package web

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func listenForTest(t *testing.T, o Options) *Server {
	t.Helper()
	o.Address, o.Log = "127.0.0.1:0", zap.NewNop()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// get asks for a path and returns the answer with its body.
func get(t *testing.T, s *Server, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return do(t, request)
}

func do(t *testing.T, request *http.Request) (*http.Response, string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestServer_health(t *testing.T) {
	s := listenForTest(t, Options{})
	if answer, body := get(t, s, "/healthz"); answer.StatusCode != 200 || body != "alive\n" {
		t.Errorf("/healthz: %s %q", answer.Status, body)
	}
	if answer, body := get(t, s, "/readyz"); answer.StatusCode != 503 || body != "starting\n" {
		t.Errorf("/readyz before the start: %s %q", answer.Status, body)
	}
	if answer, body := get(t, s, "/collecting"); answer.StatusCode != 503 || body != "starting\n" {
		t.Errorf("/collecting before the start: %s %q", answer.Status, body)
	}
	blocking, losing := []string{"the tables are not made"}, []string{"the spool is 95 % full"}
	s.Ready(func() ([]string, []string) { return blocking, losing })
	if answer, body := get(t, s, "/readyz"); answer.StatusCode != 503 ||
		body != "the tables are not made\nthe spool is 95 % full\n" {
		t.Errorf("/readyz with problems: %s %q", answer.Status, body)
	}
	if answer, body := get(t, s, "/collecting"); answer.StatusCode != 200 || body != "collecting\n" {
		t.Errorf("/collecting: %s %q", answer.Status, body)
	}
	blocking = nil
	if answer, body := get(t, s, "/readyz"); answer.StatusCode != 200 ||
		body != "ready\nlosing: the spool is 95 % full\n" {
		t.Errorf("/readyz of a collector that is busy: %s %q", answer.Status, body)
	}
	losing = nil
	if answer, body := get(t, s, "/readyz"); answer.StatusCode != 200 || body != "ready\n" {
		t.Errorf("/readyz: %s %q", answer.Status, body)
	}
	s.Stopping()
	for _, path := range []string{"/readyz", "/collecting"} {
		if answer, body := get(t, s, path); answer.StatusCode != 503 || body != "stopping\n" {
			t.Errorf("%s of a collector that stops: %s %q", path, answer.Status, body)
		}
	}
	if answer, _ := get(t, s, "/healthz"); answer.StatusCode != 200 {
		t.Errorf("/healthz of a collector that stops: %s", answer.Status)
	}
}

func TestServer_changesNothing(t *testing.T) {
	s := listenForTest(t, Options{})
	s.Handle("/anything",
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request that writes came through") }))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		request, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/anything", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if answer, _ := do(t, request); answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}

func TestServer_headers(t *testing.T) {
	s := listenForTest(t, Options{})
	answer, _ := get(t, s, "/healthz")
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if csp := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
}

func TestServer_profilerBehindASwitch(t *testing.T) {
	for on, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		s := listenForTest(t, Options{PProf: on})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1"} {
			if answer, _ := get(t, s, path); answer.StatusCode != want {
				t.Errorf("%s with the switch %v: %s", path, on, answer.Status)
			}
		}
	}
}

func TestListen_portInUse(t *testing.T) {
	s := listenForTest(t, Options{})
	_, err := Listen(Options{Address: strings.TrimPrefix(s.URL(), "http://"), Log: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), "another program has this port") ||
		!strings.Contains(err.Error(), "http.listen") {
		t.Errorf("got %v", err)
	}
}
