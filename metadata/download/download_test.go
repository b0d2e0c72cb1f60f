package download

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func client(o Options) *Client {
	o.WaitMin = time.Millisecond
	if o.Retries == 0 {
		o.Retries = 2
	}
	return New(o)
}

// TestFailures has what goes wrong on the way; the file that is there stays and the error is one line with the address.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		options Options
		check   func(string) error
		want    string
	}{
		{"HTTP 500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, Options{}, nil, "HTTP 500"},
		{"HTTP 404", http.NotFound, Options{}, nil, "not found (HTTP 404)"},
		{"HTTP 401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, Options{}, nil, "HTTP 401"},
		{"redirect loop", func(w http.ResponseWriter,
			r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, Options{}, nil, "more than 5 redirects"},
		{"body cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		}, Options{}, nil, "after 4 bytes: unexpected EOF"},
		{"too big, announced", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100)) },
			Options{MaxBytes: 50}, nil, "more than the 50 bytes allowed"},
		{"too big, not announced", func(w http.ResponseWriter, _ *http.Request) {
			for range 10 {
				fmt.Fprint(w, strings.Repeat("x", 10))
				w.(http.Flusher).Flush()
			}
		}, Options{MaxBytes: 50}, nil, "more than the 50 bytes allowed"},
		{"a body that stops", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "start")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Options{Timeout: 50 * time.Millisecond}, nil, "no data for 50ms"},
		{"a body that trickles", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		}, Options{Total: 100 * time.Millisecond}, nil, "not done after 100ms"},
		{"a server that never answers", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			Options{Total: 100 * time.Millisecond}, nil, "not done after 100ms"},
		{"retry after an hour", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		}, Options{}, nil, "HTTP 503 Service Unavailable, Retry-After 1h0m0s"},
		{"a packed bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 1<<20))
			_ = z.Close()
		}, Options{MaxBytes: 64 << 10}, nil, "more than the 65536 bytes allowed"},
		{"a file that the check refuses", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			Options{},
			func(string) error { return errors.New("not a zip") },
			"the file is not usable, the old one is kept: not a zip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("good"), 0o600); err != nil {
				t.Fatal(err)
			}
			address := server.URL + "/set"
			changed, err := client(c.options).File(context.Background(), address, path, Auth{}, c.check)
			if changed || err == nil || !strings.HasPrefix(err.Error(), address+": ") ||
				!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, %v, want %q", changed, err, c.want)
			}
			if got, _ := os.ReadFile(path); string(got) != "good" {
				t.Errorf("the file is %q, want the old one", got)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFileIsFetchedOnlyWhenItChanged(t *testing.T) {
	var etag atomic.Value
	etag.Store(`"1"`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag.Load().(string))
		if r.Header.Get("If-None-Match") == etag.Load().(string) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "content of ", etag.Load())
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "below", "file")
	get := func(address string) bool {
		t.Helper()
		changed, err := client(Options{}).File(context.Background(), address, path, Auth{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if !get(server.URL) {
		t.Error("want the first one to be new")
	}
	old := time.Now().Add(-24 * time.Hour)
	for _, name := range []string{path, validatorsPath(path)} {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if get(server.URL) {
		t.Error("want the second one not to be new")
	}
	if confirmed, err := Confirmed(path); err != nil || time.Since(confirmed) > time.Hour {
		t.Errorf("the file was confirmed at %v, %v", confirmed, err)
	}
	etag.Store(`"2"`)
	if !get(server.URL) {
		t.Error("a changed file was not fetched")
	}
	if got, _ := os.ReadFile(path); string(got) != `content of "2"` {
		t.Errorf("%s", got)
	}
	if !get(server.URL + "/other") {
		t.Error("another address must not use the validators of the first one")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !get(server.URL + "/other") {
		t.Error("a file that was removed was not fetched again")
	}
}

func TestRedirectLoopIsNotTriedAgain(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	}))
	defer server.Close()
	_, err := client(Options{}).File(context.Background(), server.URL+"/a", filepath.Join(t.TempDir(), "file"), Auth{},
		nil)
	if err == nil || calls.Load() != maxRedirects {
		t.Errorf("%d calls, %v, want %d", calls.Load(), err, maxRedirects)
	}
}

// TestIfModifiedSince has a server that knows dates only.
func TestIfModifiedSince(t *testing.T) {
	changed := time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "set", changed, strings.NewReader("content"))
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "file")
	for n, want := range []bool{true, false} {
		got, err := client(Options{}).File(context.Background(), server.URL, path, Auth{}, nil)
		if got != want || err != nil {
			t.Errorf("request %d: changed %v, %v", n+1, got, err)
		}
	}
}

func TestRetriesWhatMayPass(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "account" || password != "key" {
			t.Errorf("credentials %q %q", user, password)
		}
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, "at last")
	}))
	defer server.Close()
	var done int64
	o := Options{Progress: func(_ string, n, _ int64) { done = n }}
	changed, err := client(o).File(context.Background(), server.URL, filepath.Join(t.TempDir(), "file"),
		Auth{"account", "key"}, nil)
	if !changed || err != nil || calls.Load() != 3 || done != int64(len("at last")) {
		t.Errorf("%v, %v after %d calls, progress %d", changed, err, calls.Load(), done)
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		fmt.Fprint(w, "x")
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	path := filepath.Join(t.TempDir(), "file")
	if _, err := client(Options{}).File(context.Background(), server.URL, path, Auth{}, nil); err == nil ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want an error about the certificate", err)
	}
	o := Options{Transport: server.Client().Transport}
	if _, err := client(o).File(context.Background(), server.URL, path, Auth{}, nil); err != nil {
		t.Errorf("with the server's authority: %v", err)
	}
}

// TestRetryAfter: a server's wish for hours is not slept through, and reaches who plans the next load.
func TestRetryAfter(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	_, err := client(Options{}).File(context.Background(), server.URL, filepath.Join(t.TempDir(), "file"), Auth{}, nil)
	var later *RetryAfterError
	if !errors.As(err, &later) || later.After != time.Hour || calls.Load() != 1 {
		t.Errorf("%v after %d calls, want one call and an hour", err, calls.Load())
	}
}

// TestWithoutRetries is for servers that count what they are asked.
func TestWithoutRetries(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	if _, err := client(Options{}).With(100, -1).File(context.Background(), server.URL,
		filepath.Join(t.TempDir(), "file"), Auth{}, nil); err == nil || calls.Load() != 1 {
		t.Errorf("%v after %d calls, want an error after one", err, calls.Load())
	}
}

func TestWithoutSecrets(t *testing.T) {
	for address, want := range map[string]string{
		"https://h/a.json": "https://h/a.json",
		"https://user:hunter2@h/a?x=y&access_token=hunter2": "https://user:xxxxx@h/a?x=y&access_token=xxxxx",
		"https://hunter2@h/a":                               "https://xxxxx@h/a",
		"https://h/a?apikey=hunter2&page=2#hunter2":         "https://h/a?apikey=xxxxx&page=2",
		"https://h/a?t=hunter2hunter2hunter2hunter2":        "https://h/a?t=xxxxx",
		"https://h/a?hunter2hunter2hunter2hunter2":          "https://h/a?xxxxx",
		"https://h/\x7f?token=hunter2":                      "https://h/\x7f?xxxxx",
		"/var/lib/scireg.json":                              "/var/lib/scireg.json",
	} {
		if got := WithoutSecrets(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}

// TestFilesAreNotForAll: what is downloaded may be licensed, and its address may name who downloads it.
func TestFilesAreNotForAll(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		fmt.Fprint(w, "x")
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "caches", "file")
	if _, err := client(Options{}).File(context.Background(), server.URL+"?token=hunter2", path, Auth{},
		nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o750, path: 0o640,
		validatorsPath(path): 0o640} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
	if said, err := os.ReadFile(validatorsPath(path)); err != nil || strings.Contains(string(said), "hunter2") {
		t.Errorf("%s, %v", said, err)
	}
}

// Headers go to the server that they are for, and not on to another host; its certificate is verified by the file that
// the operator names.
func TestSending(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("X-Token") != "")
		fmt.Fprint(w, "elsewhere")
	}))
	defer other.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Token") != "secret":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/away":
			http.Redirect(w, r, strings.Replace(other.URL, "http:", "https:", 1), http.StatusFound)
		default:
			fmt.Fprint(w, "data")
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o644); err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"X-Token": "secret"}
	for _, test := range []struct {
		name     string
		requests Requests
		path     string
		want     string // in the error; "": it works
	}{
		{"the system's authorities", Requests{Headers: headers}, "/", "certificate"},
		{"the operator's authority", Requests{Headers: headers, CAFile: ca}, "/", ""},
		{"no verification", Requests{Headers: headers, SkipVerify: true}, "/", ""},
		{"no token", Requests{CAFile: ca}, "/", "403"},
		{"a redirect", Requests{Headers: headers, SkipVerify: true}, "/away", "HTTP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, err := New(Options{Retries: -1}).Sending(test.requests)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.With(1<<20, -1).File(t.Context(), server.URL+test.path, filepath.Join(t.TempDir(), "f"),
				Auth{}, nil)
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(Options{}).Sending(Requests{CAFile: filepath.Join(dir, "none")}); err == nil {
		t.Error("a file of authorities that is not there is taken")
	}
	plain := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer plain.Close()
	client, err := New(Options{}).Sending(Requests{Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.File(t.Context(), plain.URL, filepath.Join(dir, "g"), Auth{}, nil); err != nil {
		t.Error(err)
	}
	if leaked.Load() {
		t.Error("another host got the token")
	}
}
