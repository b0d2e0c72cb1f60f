package setup

import (
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/stream"
)

// Certificate returns the files for IPFIX over TLS.
func Certificate(cfg *config.Config) stream.CertificateFiles {
	t := &cfg.Listen.TLS
	return stream.CertificateFiles{CertFile: t.CertFile, KeyFile: t.KeyFile, ClientCAFile: t.ClientCAFile}
}
