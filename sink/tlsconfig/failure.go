package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
)

// IsFailure reports whether a connection failed because of certificates, ours or the other side's, or because the other
// side does not use TLS. Such failures last until somebody changes something.
func IsFailure(err error) bool {
	if err == nil {
		return false
	}
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
		remote       *net.OpError // what the other side says of our certificate
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &remote) && remote.Op == "remote error" ||
		strings.Contains(err.Error(), "remote error: tls:") || strings.Contains(err.Error(), "tls alert record")
}
