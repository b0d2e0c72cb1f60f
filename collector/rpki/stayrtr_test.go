package rpki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

const patience = 5 * time.Minute // on a loaded host stayrtr takes half a minute for its 100,000 payloads

// exported is what stayrtr fetches, in the form of rpki-client's JSON.
type exported struct {
	mu   sync.Mutex
	roas []map[string]any
}

func (e *exported) set(prefixes ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roas = nil
	for _, p := range prefixes {
		e.roas = append(e.roas, map[string]any{"prefix": p, "maxLength": netip.MustParsePrefix(p).Bits(), "asn": 64500,
			"ta": "test"})
	}
	for i := range 100_000 { // as much as takes several packets
		e.roas = append(e.roas, map[string]any{"prefix": fmt.Sprintf("20.%d.%d.0/24", i>>8&0xff, i&0xff),
			"maxLength": 24, "asn": 100 + i>>16, "ta": "test"})
	}
}

func (e *exported) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"buildtime": "2026-01-01T00:00:00Z"},
		"roas": e.roas})
}

// stayrtr runs a cache. stop ends it.
func stayrtr(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	path, err := exec.LookPath("stayrtr")
	if err != nil {
		t.Skip("NOT TESTED: stayrtr (Debian: apt-get install stayrtr)")
	}
	out := &strings.Builder{}
	command := exec.Command(path, append(args, "-checktime=false", "-refresh", "1", "-metrics.addr",
		storetest.FreePort(t))...)
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("stayrtr says:\n%s", out.String()[:min(out.Len(), 4000)])
		}
	})
	return stop
}

func eventually(t *testing.T, within time.Duration, f func() string) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}

// certificate makes a certificate of 127.0.0.1 and says where it and its key are.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	parsed, _ := x509.ParseCertificate(der)
	pool.AddCert(parsed)
	return certFile, keyFile, pool
}

// Debian's stayrtr as the cache: payloads that come and go, a restart, and the cache down until the data expires.
func TestStayRTR(t *testing.T) {
	if os.Getenv("ROUTING_TEST") == "" {
		t.Skip("make test-routing runs this")
	}
	tests := []struct {
		name     string
		protocol string
		tls      bool
		version  uint8
	}{{"version 0", "0", false, 0}, {"version 1", "1", false, 1}, {"version 2 is not ours", "2", false, 1},
		{"TLS", "1", true, 1}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := &exported{}
			data.set("10.0.0.0/8")
			server := httptest.NewServer(data)
			defer server.Close()
			address := storetest.FreePort(t)
			args := []string{"-cache", server.URL, "-protocol", test.protocol}
			o := Options{Caches: []string{address}, Log: zap.NewNop()}
			if test.tls {
				cert, key, pool := certificate(t)
				args = append(args, "-bind", "", "-tls.bind", address, "-tls.cert", cert, "-tls.key", key)
				o.Caches[0], o.TLS = "tls://"+address, &tls.Config{RootCAs: pool}
			} else {
				args = append(args, "-bind", address)
			}
			stop := stayrtr(t, args...)
			c := Open(o)
			defer c.Close()
			is := func(want string) func() string {
				return func() string {
					table, got := c.Current().Table(), "no data"
					if table != nil {
						got = fmt.Sprint(table.Validate(netip.MustParsePrefix("10.0.0.0/8"), 64500), " ",
							table.Validate(netip.MustParsePrefix("11.0.0.0/8"), 64500), " ",
							table.Validate(netip.MustParsePrefix("20.1.2.0/24"), 1))
					}
					if got != want {
						return fmt.Sprintf("%s, want %s: %+v", got, want, c.Stats())
					}
					return ""
				}
			}
			eventually(t, patience, is("valid unknown invalid"))
			if x := c.Stats().Sources[0]; x.Version != test.version || x.Payloads != 100_001 {
				t.Errorf("%+v", x)
			}
			before := c.Stats().Sources[0].Errors // of the time before stayrtr listened
			began := time.Now()
			data.set("10.0.0.0/8", "11.0.0.0/8")
			eventually(t, patience, is("valid valid invalid"))
			t.Logf("a payload was added and counted after %s", time.Since(began))
			began = time.Now()
			data.set("11.0.0.0/8")
			eventually(t, patience, is("unknown valid invalid"))
			t.Logf("a payload was removed and this counted after %s", time.Since(began))
			if x := c.Stats().Sources[0]; x.Updates < 3 || x.Errors > before {
				t.Errorf("%+v", x)
			}
			stop()
			eventually(t, patience, func() string {
				if x := c.Stats().Sources[0]; x.State != stateDown || !x.InUse {
					return fmt.Sprintf("%+v", x)
				}
				return ""
			})
			data.set("10.0.0.0/8")
			stop = stayrtr(t, args...) // with another session number
			eventually(t, patience, is("valid unknown invalid"))
			stop()
		})
	}
	t.Run("expiry", func(t *testing.T) {
		data := &exported{}
		data.set("10.0.0.0/8")
		server := httptest.NewServer(data)
		defer server.Close()
		address := storetest.FreePort(t)
		stop := stayrtr(t, "-cache", server.URL, "-bind", address)
		c := Open(Options{Caches: []string{address}, Expire: 10 * time.Second, Log: zap.NewNop()})
		defer c.Close()
		state := func() string {
			if table := c.Current().Table(); table != nil {
				return table.Validate(netip.MustParsePrefix("10.0.0.0/8"), 64500).String()
			}
			return "none"
		}
		eventually(t, patience, func() string {
			if got := state(); got != "valid" {
				return got
			}
			return ""
		})
		stop()
		eventually(t, patience, func() string {
			if got := state(); got != "unknown" || !c.Stats().Expired {
				return fmt.Sprintf("%s, %+v", got, c.Stats())
			}
			return ""
		})
	})
}
