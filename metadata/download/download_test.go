package download

import (
	"context"
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
		{"redirect loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, Options{}, nil, "more than 5 redirects"},
		{"body cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		}, Options{}, nil, "after 4 bytes: unexpected EOF"},
		{"too big, announced", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100)) }, Options{MaxBytes: 50}, nil, "more than the 50 bytes allowed"},
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
		{"a file that the check refuses", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, Options{},
			func(string) error { return errors.New("not a zip") }, "the file is not usable, the old one stays: not a zip"},
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
			if changed || err == nil || !strings.HasPrefix(err.Error(), address+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
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
	_, err := client(Options{}).File(context.Background(), server.URL+"/a", filepath.Join(t.TempDir(), "file"), Auth{}, nil)
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
	changed, err := client(o).File(context.Background(), server.URL, filepath.Join(t.TempDir(), "file"), Auth{"account", "key"}, nil)
	if !changed || err != nil || calls.Load() != 3 || done != int64(len("at last")) {
		t.Errorf("%v, %v after %d calls, progress %d", changed, err, calls.Load(), done)
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
	defer server.Close()
	server.Config.ErrorLog = nil
	path := filepath.Join(t.TempDir(), "file")
	if _, err := client(Options{}).File(context.Background(), server.URL, path, Auth{}, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, want an error about the certificate", err)
	}
	o := Options{Transport: server.Client().Transport}
	if _, err := client(o).File(context.Background(), server.URL, path, Auth{}, nil); err != nil {
		t.Errorf("with the server's authority: %v", err)
	}
}
