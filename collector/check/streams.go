package check

import (
	"fmt"
	"time"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/stream"
)

// streams tries the addresses of IPFIX over TCP and TLS, and the certificate.
func (c *checker) streams() {
	tls := &c.cfg.Listen.TLS
	for _, address := range c.cfg.Listen.TCP {
		c.tcpPort("listen.tcp.addresses", "listen", "TCP", address)
	}
	for _, address := range tls.Addresses {
		c.tcpPort("listen.tls.addresses", "listen", "TLS", address)
	}
	if len(tls.Addresses) > 0 && !c.cfg.Wrong("listen.tls.") {
		c.certificate(time.Now())
	}
	if c.cfg.Listen.Streams() && len(c.cfg.Forward.To) > 0 {
		c.say(checkWarning, "forward", "datagrams are forwarded, but not what comes over TCP and TLS")
	}
}

// certificateSoon is how long before its expiry a certificate should be renewed.
const certificateSoon = 14 * 24 * time.Hour

func (c *checker) certificate(now time.Time) {
	files := setup.Certificate(c.cfg)
	_, end, err := files.Load()
	switch date := end.UTC().Format(time.DateTime); {
	case err != nil:
		c.say(checkProblem, "listen.tls", "%v", err)
	case now.After(end):
		c.say(checkProblem, "listen.tls", "the certificate %s expired at %s UTC: exporters refuse it", files.CertFile,
			date)
	case end.Sub(now) < certificateSoon:
		c.say(checkWarning, "listen.tls", "the certificate %s expires at %s UTC: renew it", files.CertFile, date)
	default:
		c.say(checkOK, "listen.tls", "the certificate %s is valid until %s UTC%s", files.CertFile, date,
			clients(files))
	}
}

func clients(files stream.CertificateFiles) string {
	if files.ClientCAFile == "" {
		return "; exporters need none"
	}
	return fmt.Sprintf("; exporters need one of %s", files.ClientCAFile)
}
