package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":8080":          "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080",
		"192.0.2.1:8080": "192.0.2.1:8080",
		"[::1]:8080":     "[::1]:8080",
		"host:8080":      "host:8080",
		"off":            "off",
	} {
		if got := Reachable(listen); got != want {
			t.Errorf("%q: %q, want %q", listen, got, want)
		}
	}
}

// An answer of another status is an error, and its text is there: what is not ready says why.
func TestGet_status(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	text, err := Get(t.Context(), server.URL, "/metrics")
	if string(text) != "/metrics" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	text, err = Get(t.Context(), server.URL, "/readyz")
	var status *StatusError
	if string(text) != "/readyz" || !errors.As(err, &status) || status.Status != "503 Service Unavailable" {
		t.Errorf("%q, %v", text, err)
	}
	server.Close()
	if _, err = Get(t.Context(), server.URL, "/metrics"); err == nil ||
		!strings.Contains(err.Error(), "no collector answers at "+server.URL) {
		t.Errorf("got %v", err)
	}
}
