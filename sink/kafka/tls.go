package kafka

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/youmark/pkcs8"
)

// TLS says whether and how connections are encrypted. Files are PEM.
type TLS struct {
	Enabled     bool
	CAFile      string // empty: the system's authorities
	CertFile    string // with KeyFile: the client's certificate, and what is between it and the authority
	KeyFile     string // PKCS#8, also encrypted, PKCS#1 or EC
	KeyPassword string
	ServerName  string // empty: the host of each broker's address
	SkipName    bool   // any name in the broker's certificate will do
	SkipVerify  bool   // any certificate will do
}

// config builds the TLS configuration; nil without TLS. The client's certificate is read again at each connection, so that a new
// one is in use without a restart.
func (t *TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify} //nolint:gosec // asked for by the operator
	if t.CAFile != "" {
		data, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka CA certificate: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("kafka CA certificate: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.SkipName && !t.SkipVerify {
		config.InsecureSkipVerify = true // the library's own verification always has the name in it
		config.VerifyConnection = verifyChain(config.RootCAs)
	}
	if t.CertFile != "" || t.KeyFile != "" {
		if _, err := t.certificate(); err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate() }
	}
	return config, nil
}

// verifyChain verifies all of the broker's certificate but its name.
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
func (t *TLS) certificate() (*tls.Certificate, error) {
	wrap := func(err error) error {
		return fmt.Errorf("kafka client certificate %q with key %q: %w", t.CertFile, t.KeyFile, err)
	}
	chain, err := os.ReadFile(t.CertFile)
	if err != nil {
		return nil, wrap(err)
	}
	keyPEM, err := os.ReadFile(t.KeyFile)
	if err != nil {
		return nil, wrap(err)
	}
	if t.KeyPassword != "" {
		if keyPEM, err = decrypt(keyPEM, t.KeyPassword); err != nil {
			return nil, wrap(err)
		}
	}
	cert, err := tls.X509KeyPair(chain, keyPEM)
	if err != nil {
		return nil, wrap(err)
	}
	return &cert, nil
}

// decrypt returns the key of a PEM file without its password. A key that has none stays as it is.
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
