package clickhouse

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink"
)

func TestOpenErrorsNameWhatIsWrong(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		exception(w, 403, 516, "joe: Authentication failed")
	}))
	t.Cleanup(denied.Close)
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake that is to fail
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }

	cases := []struct {
		name    string
		options Options
		want    []string
		class   sink.Class
	}{
		{"no address", Options{}, []string{"no address"}, sink.Retryable},
		{"no CA file", Options{Addrs: []string{"a:1"}, TLS: TLS{Enabled: true, CAFile: "/nonexistent/ca.pem"}},
			[]string{"CA certificate", "/nonexistent/ca.pem"}, sink.Retryable},
		{"CA file without a certificate", Options{Addrs: []string{"a:1"}, TLS: TLS{Enabled: true, CAFile: noPEM}},
			[]string{noPEM, "no PEM"}, sink.Retryable},
		{"no key file", Options{Addrs: []string{"a:1"}, TLS: TLS{Enabled: true, CertFile: noPEM}},
			[]string{"client certificate", noPEM}, sink.Retryable},
		{"nobody listens", Options{Addrs: []string{host(closed)}, Database: "flows"},
			[]string{host(closed), "flows", "refused"}, sink.Retryable},
		{"wrong password", Options{Addrs: []string{host(denied)}, Username: "joe", Password: "x"},
			[]string{host(denied), `user "joe"`, "Authentication failed"}, sink.Configuration},
		{"creating the database", Options{Addrs: []string{host(denied)}, Database: "flows", CreateDatabase: true},
			[]string{`create database "flows"`, host(denied)}, sink.Configuration},
		{"unknown authority", Options{Addrs: []string{host(encrypted)}, TLS: TLS{Enabled: true}},
			[]string{host(encrypted), "certificate"}, sink.Configuration},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			conn, err := Open(ctx, c.options)
			if err == nil {
				_ = conn.Close()
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if got := Classify(err); got != c.class {
				t.Errorf("class %v, want %v", got, c.class)
			}
			if strings.ContainsAny(err.Error(), "\n?") {
				t.Errorf("error has several lines or a URL with all settings: %q", err)
			}
		})
	}
}

func TestOpenOverTLS(t *testing.T) {
	f := &fakeServer{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]TLS{
		"CA file":     {Enabled: true, CAFile: ca},
		"server name": {Enabled: true, CAFile: ca, ServerName: "example.com"},
		"skip verify": {Enabled: true, SkipVerify: true},
	} {
		conn, err := Open(context.Background(), Options{Addrs: []string{f.Listener.Addr().String()}, TLS: o})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = conn.Close()
	}
}

func TestOpenTakesTheAddressThatAnswers(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	f := newFakeServer(t, nil)
	conn, err := Open(context.Background(),
		Options{Addrs: []string{closed.Listener.Addr().String(), f.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
