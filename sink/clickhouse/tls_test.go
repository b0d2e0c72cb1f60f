package clickhouse

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// authority signs certificates for one test and writes them to files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file, _ = a.issue(name, template, true)
	return a
}

// issue signs a certificate, or the authority's own, and returns its file and that of its key.
func (a *authority) issue(name string, template *x509.Certificate, self bool) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if self {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if self {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(file, kind string, data []byte) string {
		path := filepath.Join(a.dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return write(name+".pem", "CERTIFICATE", der), write(name+".key", "EC PRIVATE KEY", keyDER)
}

// pair is a certificate for a server or client.
func (a *authority) pair(name string, hosts []string, notAfter time.Time) (certFile, keyFile string) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, NotAfter: notAfter,
		NotBefore:   time.Now().Add(-2 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return a.issue(name, template, false)
}

// server is a certificate for a server.
func (a *authority) server(name, host string, notAfter time.Time) *tls.Certificate {
	t := a.t
	t.Helper()
	certFile, keyFile := a.pair(name, []string{host}, notAfter)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// Against a real server with a user and a password, behind TLS.
func TestEngineTLS(t *testing.T) {
	backend := storetest.StartWith(t, store.Options{User: "joe", Password: "right"})
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	ahead := time.Now().Add(time.Hour)
	good := ours.server("good", "localhost", ahead)
	expired := ours.server("expired", "localhost", time.Now().Add(-time.Hour))
	elsewhere := ours.server("elsewhere", "clickhouse.example.net", ahead)
	clientCert, clientKey := ours.pair("client", nil, ahead)
	strangerCert, strangerKey := others.pair("stranger", nil, ahead)

	var serves atomic.Pointer[tls.Certificate]
	var wantsClient atomic.Bool
	proxy := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes that are to fail
	authorities := x509.NewCertPool()
	authorities.AddCert(ours.cert)
	proxy.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := &tls.Config{Certificates: []tls.Certificate{*serves.Load()}}
		if wantsClient.Load() {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, authorities
		}
		return c, nil
	}}
	serves.Store(good)
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	addr := "localhost:" + proxy.URL[strings.LastIndexByte(proxy.URL, ':')+1:]
	options := func(files TLS, password string) Options {
		files.Enabled = true
		return Options{Addrs: []string{addr}, Database: "flows", CreateDatabase: true, Username: "joe",
			Password: password, TLS: files}
	}
	conn, err := Open(context.Background(), options(TLS{CAFile: ours.file}, "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	run(t, conn, createFlow)

	rows := uint64(0)
	for _, c := range []struct {
		name     string
		serves   *tls.Certificate
		client   bool
		files    TLS
		password string
		want     []string // nothing: all is well
	}{
		{"all is well", good, false, TLS{CAFile: ours.file}, "right", nil},
		{"with a client certificate", good, true, TLS{CAFile: ours.file, CertFile: clientCert, KeyFile: clientKey},
			"right", nil},
		{"no authority", good, false, TLS{}, "right", []string{"unknown authority", "clickhouse.ca_file"}},
		{"another authority", good, false, TLS{CAFile: others.file}, "right",
			[]string{"unknown authority", others.file}},
		{"not verified", expired, false, TLS{SkipVerify: true}, "right", nil},
		{"expired", expired, false, TLS{CAFile: ours.file}, "right", []string{"expired", ours.file}},
		{"another host's", elsewhere, false, TLS{CAFile: ours.file}, "right",
			[]string{"clickhouse.example.net", "localhost"}},
		{"another host's, by name", elsewhere, false, TLS{CAFile: ours.file, ServerName: "clickhouse.example.net"},
			"right", nil},
		{"no client certificate", good, true, TLS{CAFile: ours.file}, "right", []string{"certificate required"}},
		{"a stranger's client certificate", good, true,
			TLS{CAFile: ours.file, CertFile: strangerCert, KeyFile: strangerKey}, "right",
			[]string{"certificate", strangerCert}},
		{"wrong password", good, false, TLS{CAFile: ours.file}, "wrong",
			[]string{`user "joe"`, "Authentication failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			serves.Store(c.serves)
			wantsClient.Store(c.client)
			proxy.CloseClientConnections()
			conn, err := Open(context.Background(), options(c.files, c.password))
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("error %v", err)
			}
			for _, want := range append(c.want, addr) {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if err != nil && (strings.ContainsAny(err.Error(), "\n") || Classify(err) != sink.Configuration) {
				t.Errorf("several lines, or %v: %q", Classify(err), err)
			}

			// The writer goes on taking rows, and delivers them once things are right.
			core, logs := observer.New(zapcore.WarnLevel)
			o := fast()
			o.Log = zap.New(core)
			lazy, err := New(options(c.files, c.password))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = lazy.Close() })
			w := NewWriter(lazy, o)
			w.Enqueue(&Insert{Query: flowQuery, Token: c.name, Rows: 1, Data: days(t, 1)})
			if len(c.want) > 0 {
				until(t, "it fails", func() bool { return w.Stats().Retried.Inserts > 1 })
				if n := logs.FilterMessage("ClickHouse insert failed").Len(); n != 1 {
					t.Errorf("%d lines, want one: %v", n, logs.All())
				}
			}
			if c.password == "right" && !c.client && c.files.CAFile == ours.file {
				serves.Store(good)
				if c.files.ServerName == "" {
					closeWriter(t, w)
					rows++
				}
			}
			done, cancel := context.WithCancel(context.Background())
			cancel()
			_ = w.Close(done)
		})
	}
	serves.Store(good)
	wantsClient.Store(false)
	if got := number(t, conn, "SELECT count() FROM data_flow"); got < rows || rows < 3 {
		t.Errorf("%d rows, want the %d that were delivered when the certificate was right", got, rows)
	}
}

// A client certificate that was renewed on disk is used without a restart (operations F20).
func TestRenewedClientCertificate(t *testing.T) {
	ours := newAuthority(t, "ours")
	server := ours.server("good", "localhost", time.Now().Add(time.Hour))
	authorities := x509.NewCertPool()
	authorities.AddCert(ours.cert)
	f := newFakeServer(t, nil)
	f.answer = func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) }
	front := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes that are to fail
	front.TLS = &tls.Config{Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: authorities}
	front.StartTLS()
	t.Cleanup(front.Close)

	cert, key := ours.pair("client", nil, time.Now().Add(-time.Hour))
	conn, err := New(Options{
		Addrs: []string{"localhost:" + front.URL[strings.LastIndexByte(front.URL, ':')+1:]},
		TLS:   TLS{Enabled: true, CAFile: ours.file, CertFile: cert, KeyFile: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	w := NewWriter(conn, fast())
	w.Enqueue(insertOf("t1"))
	until(t, "the old one is refused", func() bool {
		s := w.Stats()
		return s.LastError != nil &&
			Classify(s.LastError) == sink.Configuration
	})
	newCert, newKey := ours.pair("renewed", nil, time.Now().Add(time.Hour))
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the new one is used", func() bool { return w.Stats().Delivered.Inserts == 1 })
	closeWriter(t, w)
}
