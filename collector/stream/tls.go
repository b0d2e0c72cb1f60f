package stream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// CertificateFiles are PEM files.
type CertificateFiles struct {
	CertFile string // the certificate and the intermediate ones
	KeyFile  string // its key
	// ClientCAFile has the CAs of exporters' certificates: exporters without such a certificate cannot connect. "": all
	// can.
	ClientCAFile string
}

// Load reads the files, and returns when the certificate expires. The error names the file that cannot be used.
func (f *CertificateFiles) Load() (*tls.Config, time.Time, error) {
	if f.CertFile == "" || f.KeyFile == "" {
		return nil, time.Time{}, fmt.Errorf("listen.tls needs a certificate and its key: set cert_file and key_file")
	}
	cert, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("certificate %s with key %s: %w", f.CertFile, f.KeyFile, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if f.ClientCAFile != "" {
		data, err := os.ReadFile(f.ClientCAFile)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("authorities of exporters: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(data) {
			return nil, time.Time{}, fmt.Errorf("authorities of exporters: %s holds no PEM certificate", f.ClientCAFile)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, cert.Leaf.NotAfter, nil
}

// stamps identify a version of the files.
type stamps [3]stamp

type stamp struct {
	size int64
	mod  time.Time
}

func (f *CertificateFiles) stamps() (s stamps) {
	for i, path := range []string{f.CertFile, f.KeyFile, f.ClientCAFile} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

// certificates returns the configuration of each connection. Changed files are read again, so that renewed ones are
// used without a restart.
type certificates struct {
	files CertificateFiles
	log   *zap.Logger

	mu      sync.Mutex
	current *tls.Config // of the latest files that could be read
	read    stamps      // of the files at the latest attempt
}

func newCertificates(files CertificateFiles, log *zap.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log, read: files.stamps()}
	config, _, err := files.Load()
	if err != nil {
		return nil, err
	}
	c.current = config
	return c, nil
}

// config returns the configuration of one connection. If the files cannot be read, or do not match because they are
// just being renewed, the previous ones are used.
func (c *certificates) config() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.files.stamps()
	if now == c.read {
		return c.current
	}
	config, end, err := c.files.Load()
	if err != nil {
		c.log.Warn("the certificate for IPFIX over TLS cannot be read again: the previous one is used", zap.Error(err))
		return c.current // the files are tried again with the next connection
	}
	c.current, c.read = config, now
	c.log.Info("the certificate for IPFIX over TLS was read again", zap.Time("valid until", end))
	return c.current
}
