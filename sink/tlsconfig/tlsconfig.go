// Package tlsconfig has the TLS settings of all sinks' connections: which certificate authorities are trusted and which
// client certificate is sent. The files are read again for each connection, so that renewed ones are used without a
// restart. It imports nothing of this project.
package tlsconfig

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/youmark/pkcs8"
)

// Options configure whether and how connections are encrypted. Files are PEM.
type Options struct {
	Enabled     bool
	CAFile      string // empty: the system's authorities
	CertFile    string // with KeyFile: the client's certificate and the intermediate ones
	KeyFile     string // PKCS#8, also encrypted, PKCS#1 or EC
	KeyPassword string
	ServerName  string // empty: the host of each address
	SkipName    bool   // accept any name in the server's certificate
	SkipVerify  bool   // accept any certificate
}

// Source returns the configuration of each connection. It is safe for concurrent use.
type Source struct {
	o      Options
	server string // the server's name in errors

	mu    sync.Mutex
	roots *x509.CertPool   // the latest that could be read; nil: the system's
	cert  *tls.Certificate // the latest that could be read; nil: none
}

// New reads the files. Its errors name the file that cannot be used. server is the name of the other side in errors,
// such as "ClickHouse". Without TLS it returns nil.
func New(o Options, server string) (*Source, error) {
	if !o.Enabled {
		return nil, nil
	}
	s := &Source{o: o, server: server}
	if err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// reload reads the files. If one cannot be read, or does not match the other because it is just being renewed, the
// previous ones stay.
func (s *Source) reload() error {
	roots, rootsErr := s.readRoots()
	cert, certErr := s.readCertificate()
	s.mu.Lock()
	defer s.mu.Unlock()
	if rootsErr == nil {
		s.roots = roots
	}
	if certErr == nil {
		s.cert = cert
	}
	if rootsErr != nil {
		return rootsErr
	}
	return certErr
}

func (s *Source) readRoots() (*x509.CertPool, error) {
	if s.o.CAFile == "" {
		return nil, nil
	}
	data, err := os.ReadFile(s.o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%s CA certificate: %w", s.server, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s CA certificate: %s holds no PEM certificate", s.server, s.o.CAFile)
	}
	return roots, nil
}

func (s *Source) readCertificate() (*tls.Certificate, error) {
	if s.o.CertFile == "" && s.o.KeyFile == "" {
		return nil, nil
	}
	cert, err := s.o.certificate()
	if err != nil {
		return nil, fmt.Errorf("%s client certificate %q with key %q: %w", s.server, s.o.CertFile, s.o.KeyFile, err)
	}
	return cert, nil
}

// Config returns the configuration of one connection to host, with the present files.
func (s *Source) Config(host string) *tls.Config {
	_ = s.reload() // after an error the previous files stay
	return s.current(host)
}

func (s *Source) current(host string) *tls.Config {
	s.mu.Lock()
	roots := s.roots
	s.mu.Unlock()
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: s.o.ServerName, RootCAs: roots,
		InsecureSkipVerify: s.o.SkipVerify, //nolint:gosec // asked for by the operator
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if s.o.SkipName && !s.o.SkipVerify {
		config.InsecureSkipVerify = true // because the library's own verification always checks the name
		config.VerifyConnection = verifyChain(roots)
	}
	if s.o.CertFile != "" || s.o.KeyFile != "" {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			_ = s.reload() // a configuration may be used for a long time
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.cert, nil
		}
	}
	return config
}

// Dial connects to address and completes the handshake within timeout. If that fails and the files cannot be read
// either, the error says so too.
func (s *Source) Dial(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return s.Handshake(ctx, raw, address)
}

// Handshake encrypts a connection to address, or closes it.
func (s *Source) Handshake(ctx context.Context, raw net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	reloadErr := s.reload()
	conn := tls.Client(raw, s.current(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // its error adds nothing to err
		if reloadErr != nil {
			return nil, fmt.Errorf("%w; %w", err, reloadErr)
		}
		return nil, err
	}
	return conn, nil
}

// verifyChain verifies everything about the server's certificate except its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

// certificate reads the client's certificate and key.
func (o *Options) certificate() (*tls.Certificate, error) {
	chain, err := os.ReadFile(o.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(o.KeyFile)
	if err != nil {
		return nil, err
	}
	if o.KeyPassword != "" {
		if key, err = decrypt(key, o.KeyPassword); err != nil {
			return nil, err
		}
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &cert, nil
}

// NotAfter returns when the client's certificate in the files expires; false if none can be read.
func (o *Options) NotAfter() (time.Time, bool) {
	if o.CertFile == "" {
		return time.Time{}, false
	}
	cert, err := o.certificate()
	if err != nil {
		return time.Time{}, false
	}
	return cert.Leaf.NotAfter, true
}

// decrypt returns the key of a PEM file, decrypted. An unencrypted key is returned unchanged.
func decrypt(data []byte, password string) ([]byte, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return data, nil
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
			if err != nil {
				return nil, errors.New("the key cannot be decrypted: is the password right?")
			}
			return encodeKey(key)
		//lint:ignore SA1019 it is what openssl wrote for years
		case x509.IsEncryptedPEMBlock(block):
			//lint:ignore SA1019 the same
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if err != nil {
				return nil, errors.New("the key cannot be decrypted: is the password right?")
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
		}
	}
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
