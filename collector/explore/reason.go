package explore

import (
	"errors"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/collector/status"
)

// The store's codes of errors that a smaller question does not have.
const (
	codeTimeout  = 159 // TIMEOUT_EXCEEDED
	codeTooSlow  = 160 // TOO_SLOW
	codeTooMany  = 202 // TOO_MANY_SIMULTANEOUS_QUERIES
	codeMemory   = 241 // MEMORY_LIMIT_EXCEEDED
	codeTooMuch  = 158 // TOO_MANY_ROWS
	codeTooBytes = 307 // TOO_MANY_BYTES
)

// Reason is an error message for the user: the store's error in one line, and what to do about it.
func Reason(err error) string {
	var refused *chgo.Exception
	if errors.As(err, &refused) {
		switch refused.Code {
		case codeTimeout, codeTooSlow:
			return "The store takes too long over this: choose a shorter time, a filter, or fewer dimensions."
		case codeMemory, codeTooMuch, codeTooBytes:
			return "This takes more memory than a question may: choose a shorter time, a filter, or dimensions with " +
				"fewer values."
		case codeTooMany:
			return "The store answers others: try again."
		}
	}
	return status.StoreError(err, 300)
}
