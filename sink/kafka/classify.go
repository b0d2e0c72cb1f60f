package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

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
	case o.TLS.CertFile != "" && tlsconfig.IsFailure(err):
		if end, ok := o.TLS.NotAfter(); ok && time.Now().After(end) {
			return fmt.Errorf("our certificate %s has expired at %s: %w", o.TLS.CertFile,
				end.UTC().Format(time.RFC3339), err)
		}
	}
	return err
}

// Classify returns the class of a message's or a connection's error.
func Classify(err error) sink.Class {
	for _, e := range permanent {
		if errors.Is(err, e) {
			return sink.Permanent
		}
	}
	for _, e := range configuration {
		if errors.Is(err, e) {
			return sink.Configuration
		}
	}
	var firstRead *kgo.ErrFirstReadEOF
	var dns *net.DNSError
	if errors.As(err, &firstRead) || errors.As(err, &dns) && dns.IsNotFound || tlsconfig.IsFailure(err) {
		return sink.Configuration
	}
	return sink.Retryable
}
