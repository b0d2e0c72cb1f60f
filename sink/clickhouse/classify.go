package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Class says what to do after a failed query or insert.
type Class int

const (
	// Retryable failures are temporary: the network, a restart, too many parts, memory.
	Retryable Class = iota
	// Permanent failures would be repeated with the same data: according to the server it does not fit the table or is
	// malformed.
	Permanent
	// Configuration failures last until somebody changes something: credentials, rights, a missing database.
	Configuration
	// Unknown failures have error codes that are not in errorClasses. They are retried like Retryable ones.
	Unknown
)

// String returns the class's name.
func (c Class) String() string {
	switch c {
	case Retryable:
		return "retryable"
	case Permanent:
		return "permanent"
	case Configuration:
		return "configuration"
	}
	return "unknown"
}

// codeClasses maps an error code to its group.
var codeClasses = func() map[int32]*errorClass {
	all := map[int32]*errorClass{}
	for i := range errorClasses {
		for _, e := range errorClasses[i].codes {
			all[e.code] = &errorClasses[i]
		}
	}
	return all
}()

// concernsAllRows reports whether no row at all can be stored in the present state.
func concernsAllRows(err error) bool {
	group := codeClasses[int32(errorCode(err))]
	return group != nil && group.allRows
}

// saysBroken reports whether the server says that it received a malformed block.
func saysBroken(err error) bool {
	var exception *chgo.Exception
	if !errors.As(err, &exception) {
		return false
	}
	group := codeClasses[exception.Code]
	return group != nil && group.broken
}

// Codes that also mean that an insert touches too many partitions. Its parts touch fewer.
const codeTooManyParts, codeTooManyPartitions = 252, 565

// Classify returns the class of an error of the driver. Errors that did not come from the server are the network's,
// unless they are about certificates.
func Classify(err error) Class {
	var exception *chgo.Exception
	if errors.As(err, &exception) {
		return classifyCode(exception.Code, exception.Message)
	}
	var status *chgo.HTTPError
	if errors.As(err, &status) {
		return classifyStatus(status.StatusCode)
	}
	if isCertificateError(err) {
		return Configuration
	}
	return Retryable
}

func classifyCode(code int32, message string) Class {
	if (code == codeTooManyParts || code == codeTooManyPartitions) &&
		strings.Contains(message, "partitions for single INSERT") {
		return Permanent
	}
	if group, ok := codeClasses[code]; ok {
		return group.class
	}
	if strings.Contains(message, "No space left on device") { // from the file system, with several codes
		return Retryable
	}
	return Unknown
}

// classifyStatus classifies responses that are not the server's, such as a proxy's.
func classifyStatus(status int) Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return Configuration
	case status < 400, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return Retryable
	case status == http.StatusRequestEntityTooLarge:
		return Permanent
	}
	return Unknown
}

func isCertificateError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        *net.OpError // what the server says about our certificate
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert) && alert.Op == "remote error"
}

// lossReason returns why an insert that failed with this class is lost.
func lossReason(class Class) Reason {
	if class == Permanent {
		return Rejected
	}
	return Unexplained
}
