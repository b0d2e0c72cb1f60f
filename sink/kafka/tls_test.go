package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/youmark/pkcs8"
)

// authority signs certificates for a test.
type authority struct {
	t      testing.TB
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// file writes a PEM file and returns its path.
func (a *authority) file(name string, blocks ...*pem.Block) string {
	a.t.Helper()
	var data []byte
	for _, b := range blocks {
		data = append(data, pem.EncodeToMemory(b)...)
	}
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// caFile is the authority's certificate.
func (a *authority) caFile() string {
	return a.file("ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// sign returns a certificate of that name that is valid until then, and its key.
func (a *authority) sign(name string, until time.Time) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	a.serial++
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses, template.DNSNames = []net.IP{ip}, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// pair writes a certificate and its key, the latter with a password where that is not empty.
func (a *authority) pair(name string, until time.Time, password string) (certFile, keyFile string) {
	a.t.Helper()
	der, key := a.sign(name, until)
	certFile = a.file(fmt.Sprintf("%s-%d.pem", name, a.serial), &pem.Block{Type: "CERTIFICATE", Bytes: der})
	block := &pem.Block{Type: "PRIVATE KEY"}
	var err error
	if password == "" {
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(key)
	} else {
		block.Type = "ENCRYPTED PRIVATE KEY"
		block.Bytes, err = pkcs8.MarshalPrivateKey(key, []byte(password), nil)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return certFile, a.file(fmt.Sprintf("%s-%d.key", name, a.serial), block)
}

// server is the TLS configuration of a broker of that name, which asks for a client certificate of the authority.
func (a *authority) server(name string, until time.Time) *tls.Config {
	der, key := a.sign(name, until)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	ca := a.caFile()
	cert, key := a.pair("collector", later, "")
	lockedCert, lockedKey := a.pair("collector", later, "secret")
	oldCert, oldKey := a.pair("collector", past, "")
	other := newAuthority(t).caFile()
	for _, test := range []struct {
		name    string
		server  *tls.Config
		client  TLS
		problem string // empty: it works
	}{
		{"mutual", a.server("127.0.0.1", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key}, ""},
		{"a key with a password", a.server("127.0.0.1", later), TLS{CAFile: ca, CertFile: lockedCert, KeyFile: lockedKey, KeyPassword: "secret"}, ""},
		{"a name that is given", a.server("kafka.example.net", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "kafka.example.net"}, ""},
		{"any name", a.server("kafka.example.net", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key, SkipName: true}, ""},
		{"any certificate", a.server("kafka.example.net", past), TLS{CertFile: cert, KeyFile: key, SkipVerify: true}, ""},
		{"another name", a.server("kafka.example.net", later), TLS{CAFile: ca, CertFile: cert, KeyFile: key}, "127.0.0.1"},
		{"another authority", a.server("127.0.0.1", later), TLS{CAFile: other, CertFile: cert, KeyFile: key}, "unknown authority"},
		{"any name of another authority", a.server("127.0.0.1", later), TLS{CAFile: other, CertFile: cert, KeyFile: key, SkipName: true}, "unknown authority"},
		{"the broker's certificate has expired", a.server("127.0.0.1", past), TLS{CAFile: ca, CertFile: cert, KeyFile: key}, "expired"},
		{"ours has expired", a.server("127.0.0.1", later), TLS{CAFile: ca, CertFile: oldCert, KeyFile: oldKey}, "expired"},
		{"none of ours", a.server("127.0.0.1", later), TLS{CAFile: ca}, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cluster(t, kfake.TLS(test.server))
			test.client.Enabled = true
			p, logs := producer(t, Options{Brokers: c.ListenAddrs(), TLS: test.client, DeliveryTimeout: time.Second})
			enqueue(p, 0, 10, false)
			if test.problem == "" {
				if err := closeWithin(t, p, 20*time.Second); err != nil {
					t.Fatal(err)
				}
				reader := TLS{Enabled: true, CertFile: cert, KeyFile: key, SkipVerify: true}
				config, err := reader.config()
				if err != nil {
					t.Fatal(err)
				}
				expect(t, consume(t, 10, kgo.SeedBrokers(c.ListenAddrs()...), kgo.DialTLSConfig(config)), 10, false)
				return
			}
			waitFor(t, "the messages to be given up", func() bool { return p.Stats().Lost[Undelivered].Messages == 10 })
			lines := append(logs.FilterMessage("Kafka broker does not take us").All(), logs.FilterMessage("Kafka messages failed").All()...)
			if len(lines) != 1 || lines[0].ContextMap()["class"] != "configuration" ||
				!strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), test.problem) {
				t.Errorf("said %v", lines)
			}
		})
	}
}

// A certificate that was renewed on disk is in use without a restart.
func TestTLS_renewed(t *testing.T) {
	a := newAuthority(t)
	later := time.Now().Add(time.Hour)
	cert, key := a.pair("collector", time.Now().Add(-time.Hour), "")
	c := cluster(t, kfake.TLS(a.server("127.0.0.1", later)))
	p, _ := producer(t, Options{Brokers: c.ListenAddrs(), TLS: TLS{Enabled: true, CAFile: a.caFile(), CertFile: cert, KeyFile: key}})
	enqueue(p, 0, 10, false)
	waitFor(t, "the old one to be refused", func() bool { return p.Stats().LastError != nil })
	newCert, newKey := a.pair("collector", later, "")
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the messages to be delivered", func() bool { return p.Stats().Delivered.Messages == 10 })
}

func TestTLS_files(t *testing.T) {
	a := newAuthority(t)
	later := time.Now().Add(time.Hour)
	cert, key := a.pair("collector", later, "secret")
	_, otherKey := a.pair("other", later, "")
	for _, test := range []struct {
		name, want string
		tls        TLS
	}{
		{"no such authority", "no such file", TLS{CAFile: "/nonexistent/ca.pem"}},
		{"an authority that is none", "holds no PEM certificate", TLS{CAFile: key}},
		{"no such certificate", "no such file", TLS{CertFile: "/nonexistent/cert.pem", KeyFile: key}},
		{"a certificate without its key", "", TLS{CertFile: cert}},
		{"another key", "does not match", TLS{CertFile: cert, KeyFile: otherKey}},
		{"the wrong password", "is the password right?", TLS{CertFile: cert, KeyFile: key, KeyPassword: "wrong"}},
		{"no password", "", TLS{CertFile: cert, KeyFile: key}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.tls.Enabled = true
			_, err := NewProducer(Options{Brokers: []string{"127.0.0.1:1"}, Topic: topic, TLS: test.tls})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
		})
	}
}
