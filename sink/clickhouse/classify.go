package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Class says what to do about a failed query or insert.
type Class int

const (
	// Retryable failures pass: the network, a restart, too many parts, memory.
	Retryable Class = iota
	// Permanent failures come back with the same data: it does not fit the table or is malformed.
	Permanent
	// Configuration failures last until somebody changes something: credentials, rights, a missing database.
	Configuration
	// Unknown failures are errors of the server that no list here has.
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

// Error codes of ClickHouse's ErrorCodes.cpp.
var codeClass = map[int32]Class{
	74:  Retryable, // CANNOT_READ_FROM_FILE_DESCRIPTOR
	75:  Retryable, // CANNOT_WRITE_TO_FILE_DESCRIPTOR
	76:  Retryable, // CANNOT_OPEN_FILE
	95:  Retryable, // CANNOT_READ_FROM_SOCKET
	96:  Retryable, // CANNOT_WRITE_TO_SOCKET
	159: Retryable, // TIMEOUT_EXCEEDED
	160: Retryable, // TOO_SLOW
	198: Retryable, // DNS_ERROR
	201: Retryable, // QUOTA_EXCEEDED
	202: Retryable, // TOO_MANY_SIMULTANEOUS_QUERIES
	203: Retryable, // NO_FREE_CONNECTION
	209: Retryable, // SOCKET_TIMEOUT
	210: Retryable, // NETWORK_ERROR
	225: Retryable, // NO_ZOOKEEPER
	236: Retryable, // ABORTED
	241: Retryable, // MEMORY_LIMIT_EXCEEDED
	242: Retryable, // TABLE_IS_READ_ONLY
	243: Retryable, // NOT_ENOUGH_SPACE
	252: Retryable, // TOO_MANY_PARTS
	285: Retryable, // TOO_FEW_LIVE_REPLICAS
	286: Retryable, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
	319: Retryable, // UNKNOWN_STATUS_OF_INSERT
	394: Retryable, // QUERY_WAS_CANCELLED
	425: Retryable, // SYSTEM_ERROR
	439: Retryable, // CANNOT_SCHEDULE_TASK
	473: Retryable, // DEADLOCK_AVOIDED
	499: Retryable, // S3_ERROR
	999: Retryable, // KEEPER_EXCEPTION

	2:   Permanent, // UNSUPPORTED_PARAMETER
	6:   Permanent, // CANNOT_PARSE_TEXT
	7:   Permanent, // INCORRECT_NUMBER_OF_COLUMNS
	8:   Permanent, // THERE_IS_NO_COLUMN
	9:   Permanent, // SIZES_OF_COLUMNS_DOESNT_MATCH
	10:  Permanent, // NOT_FOUND_COLUMN_IN_BLOCK
	15:  Permanent, // DUPLICATE_COLUMN
	16:  Permanent, // NO_SUCH_COLUMN_IN_TABLE
	20:  Permanent, // NUMBER_OF_COLUMNS_DOESNT_MATCH
	26:  Permanent, // CANNOT_PARSE_QUOTED_STRING
	27:  Permanent, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	32:  Permanent, // ATTEMPT_TO_READ_AFTER_EOF
	33:  Permanent, // CANNOT_READ_ALL_DATA
	38:  Permanent, // CANNOT_PARSE_DATE
	41:  Permanent, // CANNOT_PARSE_DATETIME
	42:  Permanent, // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
	43:  Permanent, // ILLEGAL_TYPE_OF_ARGUMENT
	44:  Permanent, // ILLEGAL_COLUMN
	46:  Permanent, // UNKNOWN_FUNCTION
	47:  Permanent, // UNKNOWN_IDENTIFIER
	50:  Permanent, // UNKNOWN_TYPE
	53:  Permanent, // TYPE_MISMATCH
	62:  Permanent, // SYNTAX_ERROR
	69:  Permanent, // ARGUMENT_OUT_OF_BOUND
	70:  Permanent, // CANNOT_CONVERT_TYPE
	72:  Permanent, // CANNOT_PARSE_NUMBER
	73:  Permanent, // UNKNOWN_FORMAT
	117: Permanent, // INCORRECT_DATA
	128: Permanent, // TOO_LARGE_ARRAY_SIZE
	130: Permanent, // CANNOT_READ_ARRAY_FROM_TEXT
	131: Permanent, // TOO_LARGE_STRING_SIZE
	153: Permanent, // ILLEGAL_DIVISION
	321: Permanent, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349: Permanent, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	395: Permanent, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
	407: Permanent, // DECIMAL_OVERFLOW
	469: Permanent, // VIOLATED_CONSTRAINT
	691: Permanent, // UNKNOWN_ELEMENT_OF_ENUM

	36:  Configuration, // BAD_ARGUMENTS: what a view says of a dictionary that is not there
	60:  Configuration, // UNKNOWN_TABLE
	81:  Configuration, // UNKNOWN_DATABASE
	115: Configuration, // UNKNOWN_SETTING
	164: Configuration, // READONLY
	180: Configuration, // THERE_IS_NO_PROFILE
	192: Configuration, // UNKNOWN_USER
	193: Configuration, // WRONG_PASSWORD
	194: Configuration, // REQUIRED_PASSWORD
	195: Configuration, // IP_ADDRESS_NOT_ALLOWED
	452: Configuration, // SETTING_CONSTRAINT_VIOLATION
	497: Configuration, // ACCESS_DENIED
	516: Configuration, // AUTHENTICATION_FAILED
}

// structural are the permanent failures for which the data does not matter, only its columns: all rows have them alike.
var structural = []int{2, 7, 8, 10, 15, 16, 20, 42, 43, 44, 46, 47, 50, 62, 73}

// concernsAllRows reports whether no row can be stored as things are.
func concernsAllRows(err error) bool { return slices.Contains(structural, errorCode(err)) }

// codeTooManyParts also stands for an insert that touches too many partitions, which no waiting mends.
const codeTooManyParts = 252

// Classify says what a failure of the driver means. Failures that did not come from the server are the network's,
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
	if code == codeTooManyParts && strings.Contains(message, "partitions for single INSERT") {
		return Permanent
	}
	if class, ok := codeClass[code]; ok {
		return class
	}
	if strings.Contains(message, "No space left on device") { // of the file system, under several codes
		return Retryable
	}
	return Unknown
}

// classifyStatus is for answers that are not the server's own, such as a proxy's.
func classifyStatus(status int) Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return Configuration
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
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
		alert        *net.OpError // what the server says of our certificate
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert) && alert.Op == "remote error"
}

// lossReason names why an insert with a failure of that class was given up.
func lossReason(class Class) Reason {
	if class == Permanent {
		return Rejected
	}
	return Unexplained
}
