package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Class says what to do after a failure.
type Class int

const (
	// Retryable failures are temporary: the network, a restarting broker, an election.
	Retryable Class = iota
	// Permanent failures would be repeated with the same message: it is too large or malformed.
	Permanent
	// Configuration failures last until somebody changes something: a missing topic, credentials, rights, certificates.
	Configuration
)

// String returns the class's name.
func (c Class) String() string {
	switch c {
	case Permanent:
		return "permanent"
	case Configuration:
		return "configuration"
	}
	return "retryable"
}

var (
	permanent     = []error{kerr.MessageTooLarge, kerr.InvalidRecord, kerr.CorruptMessage, kerr.RecordListTooLarge}
	configuration = []error{
		kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.IllegalSaslState,
		kerr.InvalidRequiredAcks, kerr.UnsupportedCompressionType, kerr.PolicyViolation, kerr.InvalidTimestamp,
		kerr.SecurityDisabled, kerr.UnsupportedVersion, errLogin,
	}
)

// errLogin is the error of brokers that close the connection at login without saying why.
var errLogin = errors.New("closed the connection at login")

// explain adds to a failure to connect what the other side does not say.
func (o *Options) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case o.SASL.Mechanism != "" && errors.Is(err, io.EOF):
		return fmt.Errorf("%w: are the mechanism %s, the user %q and its password right?", errLogin, o.SASL.Mechanism,
			o.SASL.Username)
	case o.TLS.CertFile != "" && isTLSError(err):
		if end, ok := o.TLS.NotAfter(); ok && time.Now().After(end) {
			return fmt.Errorf("our certificate %s has expired at %s: %w", o.TLS.CertFile,
				end.UTC().Format(time.RFC3339), err)
		}
	}
	return err
}

// Classify returns the class of a message's or a connection's error.
func Classify(err error) Class {
	for _, e := range permanent {
		if errors.Is(err, e) {
			return Permanent
		}
	}
	for _, e := range configuration {
		if errors.Is(err, e) {
			return Configuration
		}
	}
	var firstRead *kgo.ErrFirstReadEOF
	var dns *net.DNSError
	if errors.As(err, &firstRead) || errors.As(err, &dns) && dns.IsNotFound || isTLSError(err) {
		return Configuration
	}
	return Retryable
}

// isTLSError reports whether the failure is about certificates, ours or the broker's, or the other side does not use
// TLS.
func isTLSError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) ||
		errors.As(err, &record) || errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:") ||
		strings.Contains(err.Error(), "tls alert record")
}
