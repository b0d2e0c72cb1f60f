package stream

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
)

// hour is how long certificates of tests are valid.
const hour = time.Hour

// pool has an authority's certificate.
func pool(t *testing.T, a *kafkatest.Authority) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(a.File())
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(data)
	return p
}

// secure is a listener with TLS of an authority, whose certificates are in files that may be replaced.
func secure(t *testing.T, a *kafkatest.Authority, clientCA string, log *zap.Logger) (*Listener, CertificateFiles) {
	t.Helper()
	dir := t.TempDir()
	files := CertificateFiles{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		ClientCAFile: clientCA}
	renew(t, a, files)
	return open(t, Options{TLS: []string{"127.0.0.1:0"}, Certificate: files, Log: log}), files
}

// renew writes another certificate.
func renew(t *testing.T, a *kafkatest.Authority, files CertificateFiles) {
	t.Helper()
	cert, key := a.Pair("127.0.0.1", time.Now().Add(hour), "")
	replace(t, cert, files.CertFile)
	replace(t, key, files.KeyFile)
}

// replace puts a copy of a file in another's place, with a time of its own however coarse the file system's clock is.
func replace(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	stamp := time.Now()
	if info, err := os.Stat(to); err == nil {
		stamp = info.ModTime().Add(time.Second)
	}
	if err := os.WriteFile(to+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(to+".new", stamp, stamp); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

func dialTLS(t *testing.T, l *Listener, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", l.Addresses(TLS)[0], config)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func TestTLS_messages(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			l, _ := secure(t, a, "", nil)
			g := receive(t, l)
			conn, err := dialTLS(t, l, &tls.Config{RootCAs: pool(t, a), MinVersion: version, MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint32(200) {
				write(t, conn, message(i, 1000+int(i)*300)[:500])
				write(t, conn, message(i, 1000+int(i)*300)[500:])
			}
			conn.Close()
			waitFor(t, "the end", func() bool { return g.endedCount() == 1 })
			if g.count() != 200 || ends(l, Ended) != 1 {
				t.Errorf("%d messages, ends %v", g.count(), l.Stats().Ended)
			}
		})
	}
}

func TestTLS_refusesOldVersions(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	l, _ := secure(t, a, "", nil)
	receive(t, l)
	old := &tls.Config{RootCAs: pool(t, a), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := dialTLS(t, l, old); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	waitFor(t, "the end", func() bool { return ends(l, Handshake) == 1 })
}

// With authorities of exporters one without their certificate cannot send.
func TestTLS_clientCertificates(t *testing.T) {
	ours, others := kafkatest.NewAuthority(t), kafkatest.NewAuthority(t)
	pair := func(a *kafkatest.Authority, until time.Time) []tls.Certificate {
		cert, err := tls.LoadX509KeyPair(a.Pair("router1", until, ""))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{cert}
	}
	tests := []struct {
		name  string
		certs []tls.Certificate
		taken bool
	}{
		{"of the authority", pair(ours, time.Now().Add(hour)), true},
		{"of another authority", pair(others, time.Now().Add(hour)), false},
		{"that has ended", pair(ours, time.Now().Add(-time.Minute)), false},
		{"none", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, _ := secure(t, ours, ours.File(), nil)
			g := receive(t, l)
			config := &tls.Config{RootCAs: pool(t, ours), Certificates: test.certs}
			if len(test.certs) > 0 { // also where the server says that it wants another
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &test.certs[0], nil
				}
			}
			conn, err := dialTLS(t, l, config)
			if err == nil { // TLS 1.3: the client is done before the server
				_, _ = conn.Write(message(1, 64))
			}
			if test.taken {
				waitFor(t, "the message", func() bool { return g.count() == 1 })
				return
			}
			waitFor(t, "the refusal", func() bool { return ends(l, Handshake) == 1 })
			if g.count() != 0 {
				t.Error("its message was taken")
			}
		})
	}
}

// A renewed certificate is in use for the next connection; files that do not fit each other change nothing.
func TestTLS_renewal(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	core, logs := observer.New(zap.InfoLevel)
	l, files := secure(t, a, "", zap.New(core))
	g := receive(t, l)
	serial := func() string {
		conn, err := dialTLS(t, l, &tls.Config{RootCAs: pool(t, a)})
		if err != nil {
			t.Fatal(err)
		}
		write(t, conn, message(1, 64))
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if again := serial(); again != first {
		t.Fatalf("the certificate changed from %s to %s by itself", first, again)
	}
	_, otherKey := a.Pair("127.0.0.1", time.Now().Add(hour), "")
	replace(t, otherKey, files.KeyFile)
	if half := serial(); half != first {
		t.Errorf("with half of the files replaced the certificate is %s, want %s", half, first)
	}
	if logs.FilterMessageSnippet("cannot be read again").Len() != 1 {
		t.Errorf("the log does not say so: %v", logs.All())
	}
	renew(t, a, files)
	if second := serial(); second == first {
		t.Error("the renewed certificate is not in use")
	}
	if err := os.Remove(files.CertFile); err != nil {
		t.Fatal(err)
	}
	serial()
	waitFor(t, "all messages", func() bool { return g.count() == 5 })
}

func TestTLS_stop(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	l, _ := secure(t, a, "", nil)
	conn, err := dialTLS(t, l, &tls.Config{RootCAs: pool(t, a)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(100) { // less in all than the kernel takes while nobody reads
		write(t, conn, message(i, 300))
	}
	waitFor(t, "the handshake and a message", func() bool { return len(l.parts) > 0 })
	raw, err := net.Dial("tcp", l.Addresses(TLS)[0]) // is still to shake hands
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	waitFor(t, "the connections", func() bool { return openConnections(l) == 2 })
	waitFor(t, "the kernel to have all", func() bool {
		return unacknowledged(t, conn.NetConn().(*net.TCPConn)) == 0
	})
	l.Close()
	g := receive(t, l)
	<-g.done
	if g.count() != 100 || ends(l, Stopping) != 2 {
		t.Errorf("%d messages of 100, ends %v", g.count(), l.Stats().Ended)
	}
}

// Whoever does not shake hands in time, or in another language, loses the connection.
func TestTLS_handshakes(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	for name, sent := range map[string][]byte{"nothing": nil, "IPFIX": message(1, 64)} {
		t.Run(name, func(t *testing.T) {
			cert, key := a.Pair("127.0.0.1", time.Now().Add(hour), "")
			o := Options{TLS: []string{"127.0.0.1:0"}, Certificate: CertificateFiles{CertFile: cert, KeyFile: key}}
			o.times.handshake = 100 * time.Millisecond
			l := open(t, o)
			g := receive(t, l)
			conn, err := net.Dial("tcp", l.Addresses(TLS)[0])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			write(t, conn, sent)
			if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			waitFor(t, "the end", func() bool { return g.endedCount() == 1 && ends(l, Handshake) == 1 })
		})
	}
}

func TestTLS_filesThatCannotBeUsed(t *testing.T) {
	a := kafkatest.NewAuthority(t)
	cert, key := a.Pair("127.0.0.1", time.Now().Add(hour), "")
	_, other := a.Pair("127.0.0.1", time.Now().Add(hour), "")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		files CertificateFiles
		want  string
	}{
		"none":           {CertificateFiles{}, "cert_file and key_file"},
		"a missing file": {CertificateFiles{CertFile: cert + ".gone", KeyFile: key}, cert + ".gone"},
		"another's key":  {CertificateFiles{CertFile: cert, KeyFile: other}, other},
		"no certificate": {CertificateFiles{CertFile: empty, KeyFile: key}, empty},
		"no authority":   {CertificateFiles{CertFile: cert, KeyFile: key, ClientCAFile: empty}, empty},
		"a missing CA": {CertificateFiles{CertFile: cert, KeyFile: key, ClientCAFile: cert + ".gone"},
			cert + ".gone"},
		"all that it has": {CertificateFiles{CertFile: cert, KeyFile: key, ClientCAFile: a.File()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(Options{TLS: []string{"127.0.0.1:0"}, Certificate: test.files})
			if err == nil {
				l.Abort()
			}
			if test.want == "" && err != nil || test.want != "" &&
				(err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
