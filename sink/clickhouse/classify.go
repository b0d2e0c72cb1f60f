package clickhouse

import (
	"errors"
	"net/http"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

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
func Classify(err error) sink.Class {
	var exception *chgo.Exception
	if errors.As(err, &exception) {
		return classifyCode(exception.Code, exception.Message)
	}
	var status *chgo.HTTPError
	if errors.As(err, &status) {
		return classifyStatus(status.StatusCode)
	}
	if tlsconfig.IsFailure(err) {
		return sink.Configuration
	}
	return sink.Retryable
}

func classifyCode(code int32, message string) sink.Class {
	if (code == codeTooManyParts || code == codeTooManyPartitions) &&
		strings.Contains(message, "partitions for single INSERT") {
		return sink.Permanent
	}
	if group, ok := codeClasses[code]; ok {
		return group.class
	}
	if strings.Contains(message, "No space left on device") { // from the file system, with several codes
		return sink.Retryable
	}
	return sink.Unknown
}

// classifyStatus classifies responses that are not the server's, such as a proxy's.
func classifyStatus(status int) sink.Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return sink.Configuration
	case status < 400, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return sink.Retryable
	case status == http.StatusRequestEntityTooLarge:
		return sink.Permanent
	}
	return sink.Unknown
}

// lossReason returns why an insert that failed with this class is lost.
func lossReason(class sink.Class) sink.Reason {
	if class == sink.Permanent {
		return sink.Rejected
	}
	return sink.Unexplained
}
