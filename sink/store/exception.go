package store

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Codes of exceptions that the store itself raises, as in ClickHouse's ErrorCodes.
const (
	codeBadArguments          = 36
	codeNotImplemented        = 48
	codeSyntaxError           = 62
	codeTooManyRows           = 158
	codeTimeout               = 159
	codeTooSlow               = 160
	codeReadonly              = 164
	codeRequiredPassword      = 194
	codeTooManyQueries        = 202
	codeQueryTooLarge         = 229
	codeMemoryLimit           = 241
	codeTooManyBytes          = 307
	codeOutfileNotAllowed     = 358
	codeSessionNotFound       = 372
	codeSessionIsLocked       = 373
	codeInvalidSessionTimeout = 374
	codeTooManyRowsOrBytes    = 396
	codeCannotSchedule        = 439
	codeAccessDenied          = 497
	codeAuthenticationFailed  = 516
	codeUnsupportedMediaType  = 779
	codeUnknown               = 1002
)

// exception is an error as ClickHouse's HTTP interface gives it.
type exception struct {
	code    int
	message string // "Code: 60. DB::Exception: … (UNKNOWN_TABLE)", without the version
}

func (e *exception) Error() string { return e.message }

func newException(code int, name, format string, args ...any) *exception {
	return &exception{code, fmt.Sprintf("Code: %d. DB::Exception: %s (%s)", code, fmt.Sprintf(format, args...), name)}
}

var (
	exceptionCode    = regexp.MustCompile(`Code: (\d+)\. `)
	exceptionVersion = regexp.MustCompile(` \(version [^()]*(\([^()]*\))?\)\s*$`)
)

// asException gives an error of the engine its code; one without a code becomes UNKNOWN_EXCEPTION.
func asException(err error) *exception {
	if e, ok := err.(*exception); ok {
		return e
	}
	text := strings.TrimSpace(err.Error())
	at := exceptionCode.FindStringSubmatchIndex(text)
	if at == nil {
		return newException(codeUnknown, "UNKNOWN_EXCEPTION", "%s", text)
	}
	code, _ := strconv.Atoi(text[at[2]:at[3]])
	return &exception{code, exceptionVersion.ReplaceAllString(text[at[0]:], "")}
}

// status is the HTTP status that ClickHouse gives with the exception (exceptionCodeToHTTPStatus).
func (e *exception) status() int {
	switch e.code {
	case codeRequiredPassword:
		return http.StatusUnauthorized
	// UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, SET_NON_GRANTED_ROLE
	case 192, 193, codeAccessDenied, 512, codeAuthenticationFailed:
		return http.StatusForbidden
	case 6, 8, 15, 25, 26, 27, codeBadArguments, 37, 38, 41, 44, 53, codeSyntaxError, 72, 117, 123, 167, 168, 223, 321,
		376, 427, 441, 675, 676:
		// CANNOT_PARSE_…, SYNTAX_ERROR, TYPE_MISMATCH, INCORRECT_DATA and the like
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511: // UNKNOWN_TABLE and all other UNKNOWN_…
		return http.StatusNotFound
	case codeQueryTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotImplemented:
		return http.StatusNotImplemented
	case 76, 209, codeCannotSchedule: // CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
		return http.StatusServiceUnavailable
	case 381: // HTTP_LENGTH_REQUIRED
		return http.StatusLengthRequired
	case codeTimeout:
		return http.StatusRequestTimeout
	case codeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	}
	return http.StatusInternalServerError
}
