package tlsconfig

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/kafka/kafkatest"
)

// tlsServer answers one byte on each connection, with the configuration that is current.
func tlsServer(t *testing.T, current func() *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Write([]byte("x")) // the handshake comes first
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// talk connects and reads the byte: with TLS 1.3 only that tells whether the server took our certificate.
func talk(t *testing.T, s *Source, address string) error {
	conn, err := s.Dial(t.Context(), "tcp", address, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// install puts files in the place of others, as a renewal does.
func install(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A renewed certificate, and another authority, are in use at the next connection. While the files are being written
// what was read before stays in use.
func TestRenewal(t *testing.T) {
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	first, second := kafkatest.NewAuthority(t), kafkatest.NewAuthority(t)
	serve := first.Server("127.0.0.1", later)
	address := tlsServer(t, func() *tls.Config { return serve })
	o := Options{Enabled: true, CAFile: first.File()}
	o.CertFile, o.KeyFile = first.Pair("collector", past, "")
	s, err := New(o, "ClickHouse")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, s, address); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("our certificate has expired, but: %v", err)
	}
	cert, key := first.Pair("collector", later, "")
	install(t, cert, o.CertFile)
	install(t, key, o.KeyFile)
	if err := talk(t, s, address); err != nil {
		t.Errorf("after the renewal: %v", err)
	}

	// The server's authority changes.
	serve = second.Server("127.0.0.1", later)
	if err := talk(t, s, address); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("the authority is another, but: %v", err)
	}
	install(t, second.File(), o.CAFile)
	cert, key = second.Pair("collector", later, "")
	install(t, cert, o.CertFile)
	install(t, key, o.KeyFile)
	if err := talk(t, s, address); err != nil {
		t.Errorf("with the new authority: %v", err)
	}

	// Halves of a renewal.
	for _, file := range []string{o.CAFile, o.CertFile, o.KeyFile} {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func() error{
			"empty": func() error { return os.WriteFile(file, nil, 0o600) },
			"half":  func() error { return os.WriteFile(file, whole[:len(whole)/2], 0o600) },
			"gone":  func() error { return os.Remove(file) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if err := talk(t, s, address); err != nil {
				t.Errorf("%s %s: %v", file, what, err)
			}
		}
		serve = first.Server("127.0.0.1", later)
		if err := talk(t, s, address); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("an error while %s cannot be read does not name it: %v", file, err)
		}
		serve = second.Server("127.0.0.1", later)
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A server that takes the connection and says nothing does not hold up anybody for ever.
func TestDial_timeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s, err := New(Options{Enabled: true}, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := s.Dial(t.Context(), "tcp", listener.Addr().String(), 50*time.Millisecond); err == nil {
		_ = conn.Close()
		t.Error("no error")
	}
}

// What openssl wrote before PKCS#8 is decrypted too.
func TestDecrypt_traditional(t *testing.T) {
	_, keyFile := kafkatest.NewAuthority(t).Pair("collector", time.Now().Add(time.Hour), "")
	data, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := pem.Decode(data)
	//lint:ignore SA1019 there are such files
	locked, err := x509.EncryptPEMBlock(rand.Reader, plain.Type, plain.Bytes, []byte("secret"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decrypt(pem.EncodeToMemory(locked), "secret")
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %v, %q", err, got)
	}
	if _, err := decrypt(pem.EncodeToMemory(locked), "wrong"); err == nil ||
		!strings.Contains(err.Error(), "is the password right?") {
		t.Errorf("got %v", err)
	}
}
