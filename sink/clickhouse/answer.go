package clickhouse

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Headers of ClickHouse's responses over HTTP.
const (
	exceptionHeader = "X-ClickHouse-Exception-Code"
	summaryHeader   = "X-ClickHouse-Summary"
	queryIDHeader   = "X-ClickHouse-Query-Id"
)

// NotClickHouseError is a response that did not come from a ClickHouse server: a proxy's page, a login, a redirect. It
// does not say whether the request succeeded, so the request is retried.
type NotClickHouseError struct {
	StatusCode int
	Location   string // the target of a redirect, which is not followed
	Body       string // the beginning of the response, in one line
}

func (e *NotClickHouseError) Error() string {
	text := fmt.Sprintf("answered %d but not ClickHouse", e.StatusCode)
	switch {
	case e.Location != "":
		return fmt.Sprintf("%s: a redirect to %s, which is not followed", text, e.Location)
	case e.Body != "":
		return fmt.Sprintf("%s: %q", text, e.Body)
	}
	return fmt.Sprintf("%s: it lacks the headers %s and %s", text, summaryHeader, queryIDHeader)
}

// UnconfirmedError is a ClickHouse server's response to an insert that says neither that the rows are stored nor why
// they are not.
type UnconfirmedError struct{ Body string }

func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("answered 200 with a body, which a stored insert does not have: %q", e.Body)
}

// strictTransport accepts a response as a success only if it is one. The driver accepts every response with status 200,
// follows redirects, and recognizes only one form of exception in a body. There are more:
//   - 200 with an exception's code in a header and no body (ClickHouse 23.x to 24.8, issue 65117);
//   - 200 with an exception as plain text, if the headers were sent first (send_progress_in_http_headers, issue 33205);
//   - a proxy's page with status 200, and redirects to one.
type strictTransport struct{ next http.RoundTripper }

// maxAnswer limits how much of a response without a result is read.
const maxAnswer = 64 << 10

// CloseIdleConnections makes closing a connection close its sockets: http.Client calls this method of its transport.
func (t strictTransport) CloseIdleConnections() {
	if closer, can := t.next.(interface{ CloseIdleConnections() }); can {
		closer.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper. If the server says why it failed, the error is a *chgo.Exception.
func (t strictTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		discard(answer)
		return nil, &NotClickHouseError{StatusCode: answer.StatusCode, Location: answer.Header.Get("Location")}
	}
	ours := answer.Header.Get(summaryHeader) != "" || answer.Header.Get(queryIDHeader) != ""
	if answer.StatusCode != http.StatusOK {
		if ours || answer.Header.Get(exceptionHeader) != "" {
			return answer, nil // the driver makes an error of it
		}
		text, _ := readAnswer(answer)
		if match := exceptionText.FindStringSubmatch(text); match != nil {
			code, _ := strconv.Atoi(match[1])
			return nil, &chgo.HTTPError{StatusCode: answer.StatusCode, Err: exceptionOf(code, text)}
		}
		e := &NotClickHouseError{StatusCode: answer.StatusCode, Body: firstLine(text)}
		return nil, &chgo.HTTPError{StatusCode: answer.StatusCode, Err: e}
	}
	if code := exceptionCode(answer.Header); code != 0 {
		text, _ := readAnswer(answer) // the code alone is enough
		return nil, exceptionOf(code, text)
	}
	kind := kindOf(r)
	if !ours {
		text, _ := readAnswer(answer) // whatever could be read
		return nil, &NotClickHouseError{StatusCode: answer.StatusCode, Body: firstLine(text)}
	}
	if kind == withResult {
		return withBeginning(answer)
	}
	text, err := readAnswer(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if code := exceptionCode(answer.Trailer); code != 0 {
		return nil, exceptionOf(code, text)
	}
	if match := exceptionText.FindStringSubmatch(text); match != nil {
		code, _ := strconv.Atoi(match[1])
		return nil, exceptionOf(code, text)
	}
	if kind == insert && text != "" {
		return nil, &UnconfirmedError{firstLine(text)}
	}
	answer.Header.Del("Content-Encoding") // so that the driver does not decode it again
	answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return answer, nil
}

// withBeginning checks the beginning of a result for an exception. The driver finds those that come later.
func withBeginning(answer *http.Response) (*http.Response, error) {
	start := make([]byte, 4<<10)
	n, err := answer.Body.Read(start)
	start = start[:n]
	if at := exceptionText.FindSubmatchIndex(start); at != nil && at[0] == 0 {
		code, _ := strconv.Atoi(string(start[at[2]:at[3]]))
		discard(answer)
		return nil, exceptionOf(code, string(start))
	}
	rest := io.Reader(answer.Body)
	if err != nil {
		rest = failing{err} // including io.EOF
	}
	answer.Body = &readCloser{io.MultiReader(bytes.NewReader(start), rest), answer.Body}
	return answer, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// failing is a reader that returns an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What a request is for.
const (
	withResult    = iota // returns rows
	withoutResult        // an order, such as DDL
	insert               // stores rows
)

var (
	// isOrder matches statements that return nothing, or the results of other servers.
	isOrder = regexp.MustCompile(
		`(?i)^\s*(CREATE|ALTER|DROP|RENAME|EXCHANGE|TRUNCATE|ATTACH|DETACH|OPTIMIZE|SYSTEM` +
			`|GRANT|REVOKE|DELETE|UPDATE)\b`)
	isInsert   = regexp.MustCompile(`(?i)^\s*INSERT\b`)
	formatNull = regexp.MustCompile(`(?i)\bFORMAT\s+Null\s*;?\s*$`)
)

// kindOf returns what the statement is for. It is in the URL for inserts with data, else in the body.
func kindOf(r *http.Request) int {
	statement := r.URL.Query().Get("query")
	if statement == "" && r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			text, _ := io.ReadAll(io.LimitReader(body, 1<<20))
			_ = body.Close()
			statement = string(text)
		}
	}
	switch {
	case isInsert.MatchString(statement):
		return insert
	case isOrder.MatchString(statement), formatNull.MatchString(statement):
		return withoutResult
	}
	return withResult
}

// exceptionText matches ClickHouse's text of an exception: "Code: 241. DB::Exception: …", at the start of a line.
var exceptionText = regexp.MustCompile(`(?m)^\s*Code: (\d{1,9})\. (?:DB|Coordination|Poco|std)[\w:]*`)

// exceptionCode returns the code in a header or trailer; 0 if there is none. A malformed code is UNKNOWN_EXCEPTION.
func exceptionCode(h http.Header) int {
	text := h.Get(exceptionHeader)
	if text == "" {
		return 0
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return 1002
	}
	return code
}

// exceptionOf returns the error that a server's text describes.
func exceptionOf(code int, text string) error {
	e := &chgo.Exception{Code: int32(code), Name: "DB::Exception", Message: "no text came with it"}
	if at := strings.Index(text, fmt.Sprintf("Code: %d.", code)); at >= 0 {
		text = text[at:]
		text = strings.TrimSpace(text[strings.Index(text, ".")+1:])
		if end := strings.Index(text, "\r\n__exception__"); end >= 0 {
			// without the last line, which has a length and a tag
			text = text[:max(strings.LastIndex(text[:end], "\n"), 0)]
		}
		if name, message, found := strings.Cut(text, ": "); found && !strings.ContainsAny(name, " \n") {
			e.Name, text = name, message
		}
	}
	if text = strings.TrimSpace(text); text != "" {
		e.Message = text
	}
	return e
}

// readAnswer reads the body to its end, closes it, and returns its beginning.
func readAnswer(answer *http.Response) (string, error) {
	defer discard(answer)
	var body io.Reader = answer.Body
	switch encoding := answer.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil || len(raw) == 0 {
			return "", err
		}
		if body, err = gzip.NewReader(bytes.NewReader(raw)); err != nil {
			return string(raw), err
		}
	default:
		return "", errors.New("an encoding that nobody asked for: " + encoding)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	return string(text), err
}

// discard reads the rest of a body, up to a limit, so that the connection can be reused.
func discard(answer *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	_ = answer.Body.Close()
}

// firstLine returns the beginning of a text for people.
func firstLine(text string) string {
	const most = 120
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
