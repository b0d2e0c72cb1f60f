package explore

import (
	"context"
	"errors"
	"net/http"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/collector/status"
)

// Refused is the error of a question that cannot be asked: it names the parameter.
type Refused string

func (r Refused) Error() string { return string(r) }

// Failure is an error with the HTTP status that it has on a page.
type Failure struct {
	Text string
	Code int
}

func (f *Failure) Error() string { return f.Text }

// The store's codes of errors that mean something to who asks.
const (
	codeUnknownTable    = 60  // UNKNOWN_TABLE
	codeUnknownDatabase = 81  // UNKNOWN_DATABASE
	codeTooMuch         = 158 // TOO_MANY_ROWS
	codeTimeout         = 159 // TIMEOUT_EXCEEDED
	codeTooSlow         = 160 // TOO_SLOW
	codeTooMany         = 202 // TOO_MANY_SIMULTANEOUS_QUERIES
	codeMemory          = 241 // MEMORY_LIMIT_EXCEEDED
	codeTooBytes        = 307 // TOO_MANY_BYTES
	codeNotOpen         = 439 // CANNOT_SCHEDULE_TASK: the local store says it while it opens
	codeUnknownUser     = 192 // UNKNOWN_USER
	codeWrongPassword   = 193 // WRONG_PASSWORD
	codeNoRight         = 497 // ACCESS_DENIED
	codeNotKnown        = 516 // AUTHENTICATION_FAILED
)

// Reason is an error message for the user: the store's error in one line, and what to do about it.
func Reason(err error) string {
	text, _ := explained(err)
	return text
}

// Status is the HTTP status of an answer with that error.
func Status(err error) int {
	_, code := explained(err)
	return code
}

func explained(err error) (text string, code int) {
	var bad *filter.Error
	var no Refused
	var failure *Failure
	var refused *chgo.Exception
	switch {
	case errors.As(err, &bad):
		return bad.Text, http.StatusBadRequest
	case errors.As(err, &no):
		return string(no), http.StatusBadRequest
	case errors.As(err, &failure):
		return failure.Text, failure.Code
	case errors.As(err, &refused):
		return explainedByStore(refused, err)
	case errors.Is(err, context.DeadlineExceeded):
		return "The store does not answer in time: choose a shorter time, a filter, or fewer dimensions, or try again.",
			http.StatusGatewayTimeout
	}
	return "The store does not answer: " + status.StoreError(err, 300) + ". Rows that arrive are kept until it does; " +
		"try again.", http.StatusServiceUnavailable
}

func explainedByStore(refused *chgo.Exception, err error) (text string, code int) {
	switch refused.Code {
	case codeTimeout, codeTooSlow:
		return "The store takes too long over this: choose a shorter time, a filter, or fewer dimensions.",
			http.StatusGatewayTimeout
	case codeMemory, codeTooMuch, codeTooBytes:
		return "This takes more memory, or reads more rows, than a question may: choose a shorter time, a filter, or " +
			"dimensions with fewer values.", http.StatusUnprocessableEntity
	case codeNotOpen:
		return "The store is not open yet, or has no thread free: try again in some seconds.",
			http.StatusServiceUnavailable
	case codeTooMany:
		return "The store answers others: try again.", http.StatusServiceUnavailable
	case codeUnknownTable, codeUnknownDatabase:
		return "The tables are not there yet: the collector makes them when the store answers. Try again in some " +
			"seconds.", http.StatusServiceUnavailable
	case codeUnknownUser, codeWrongPassword, codeNotKnown:
		return "The store does not know the user that asks, or the password is wrong: see http.explore_username and " +
			"http.explore_password, or clickhouse.username.", http.StatusBadGateway
	case codeNoRight:
		return "The user of the store may not read this: " + status.StoreError(err, 300), http.StatusBadGateway
	}
	return status.StoreError(err, 300), http.StatusBadGateway
}
