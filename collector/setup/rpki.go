package setup

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

// RPKI begins to fetch validated ROA payloads; nil where that is off.
func RPKI(cfg *config.Config, log *zap.Logger) (*rpki.Client, error) {
	r := &cfg.Routing.RPKI
	if !r.On() {
		return nil, nil
	}
	o := rpki.Options{Caches: r.Caches, File: r.File, Refresh: r.Refresh, Retry: r.Retry, Expire: r.Expire,
		Log: log.Named("rpki")}
	var err error
	if o.TLS, err = RPKICertificates(cfg); err != nil {
		return nil, err
	}
	return rpki.Open(o), nil
}

// RPKICertificates are what connections to caches with TLS need.
func RPKICertificates(cfg *config.Config) (*tls.Config, error) {
	r := &cfg.Routing.RPKI
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read routing.rpki.ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("routing.rpki.ca_file: %s has no certificate", r.CAFile)
		}
	}
	if r.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("routing.rpki.cert_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// Validation is what rows are validated with: nothing unless the flow extension rpki is on.
func Validation(cfg *config.Config, c *rpki.Client) enrich.RPKIOptions {
	if c == nil || !slices.Contains(cfg.Schema.FlowExtensions, "rpki") {
		return enrich.RPKIOptions{}
	}
	return enrich.RPKIOptions{Current: c.Current(),
		Covers: cfg.Kafka.Topic != "" && cfg.Kafka.Format == message.PmacctJSON}
}
