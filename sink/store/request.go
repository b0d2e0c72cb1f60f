package store

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/google/uuid"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// defaultMaxQuerySize is ClickHouse's max_query_size: how much of a request may be SQL, in bytes.
const defaultMaxQuerySize = 256 << 10

// request is what an HTTP request asks of the engine.
type request struct {
	id       string // X-ClickHouse-Query-Id
	mark     string // in log_comment, for cancelling
	comment  string // the client's log_comment
	query    string // the query of the URL; more of it may follow in body
	body     io.Reader
	database string
	format   string // X-ClickHouse-Format or default_format, "" without either
	params   []parameter
	settings []parameter
	bounded  map[string]bool // settings that the store added, by name
	// revision is client_protocol_version: the layout in which the client wants Native results, 0 for the plain one.
	revision     int
	maxQuerySize int
	// compressResult asks for ClickHouse's own block compression of the result (compress=1).
	compressResult bool
	wait           bool // wait_end_of_query: no byte of the answer before the query has ended
	httpCompress   bool // enable_http_compression
	cors           bool // add_http_cors_header
	literalValues  bool // data of the format Values is not evaluated as SQL
	readonly       bool
	// of the engine's setting readonly, where readonly: "1", or "2" for a POST request that asks for it
	progress bool // send_progress_in_http_headers

	sessionID                  string
	sessionCheck, sessionClose bool // the session must be there; it ends with this request
	sessionTimeout             time.Duration

	external      []external
	externalBytes int64
	heldBytes     int64 // what counts in total until release
	total         *heldBytes
	rules         *rules

	readonlyLevel string
}

// parseRequest reads the parameters of a request; the body is left to be read, decompressed. What it holds counts in
// total until the request's release.
func parseRequest(r *http.Request, total *heldBytes, rules *rules) (*request, error) {
	q := &request{body: r.Body, database: r.Header.Get("X-ClickHouse-Database"),
		format: r.Header.Get("X-ClickHouse-Format"),
		id:     uuid.NewString(), mark: newMark(), maxQuerySize: defaultMaxQuerySize, httpCompress: true,
		sessionTimeout: sessionTimeout, total: total, rules: rules}
	values := r.URL.Query()
	var err error
	if q.body, err = decodeBody(r.Body, r.Header.Get("Content-Encoding")); err != nil {
		return nil, err
	}
	if values.Get("decompress") == "1" {
		q.body = blockReader{compress.NewReader(q.body)}
	}
	if err := addForm(r, q, values); err != nil {
		return q, err
	}
	// ClickHouse lets nothing be changed by GET: a link in a page must not be able to drop a table.
	q.readonly, q.readonlyLevel = r.Method != http.MethodPost, "1"
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if q.describesExternal(name) {
			continue
		}
		if err := q.set(name, values.Get(name)); err != nil {
			return q, err
		}
	}
	return q, nil
}

// set takes one URL parameter: one of the interface's own, a query parameter, or a setting of the engine.
func (q *request) set(name, value string) error {
	switch name {
	case "query":
		q.query = value
	case "database":
		q.database = value
	case "default_format":
		if q.format == "" {
			q.format = value
		}
	case "query_id":
		if value != "" {
			q.id = value
		}
	case "compress":
		q.compressResult = value == "1"
	case "client_protocol_version":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "client_protocol_version %q is not a number", value)
		}
		q.revision = n
	case "wait_end_of_query":
		q.wait = value == "1" || value == "true"
	case "session_id":
		q.sessionID = value
	case "session_timeout":
		timeout, err := parseSessionTimeout(value)
		if err != nil {
			return err
		}
		q.sessionTimeout = timeout
	case "session_check":
		q.sessionCheck = value == "1"
	case "close_session":
		q.sessionClose = value == "1" || value == "true"
	case "user", "password", "quota_key", "decompress", "buffer_size", "stacktrace", "role", "readonly_session":
		// Credentials are checked before; roles and quotas do not exist here.
	case "readonly":
		if value != "0" && !q.readonly {
			q.readonly, q.readonlyLevel = true, value
		}
	default:
		if name, ok := strings.CutPrefix(name, "param_"); ok {
			q.params = append(q.params, parameter{name, value})
			return orNil(q.rules.text(value))
		}
		return q.setting(name, value)
	}
	return nil
}

// setting takes a setting of the engine; a few also mean something to the HTTP interface.
func (q *request) setting(name, value string) error {
	switch name {
	case valuesSettings[0], valuesSettings[1]:
		return nil // guardData decides
	case "log_comment":
		q.comment = value
		return nil
	case "enable_http_compression":
		q.httpCompress = value == "1" || value == "true"
	case "send_progress_in_http_headers":
		q.progress = value == "1" || value == "true"
	case "add_http_cors_header":
		q.cors = value == "1" || value == "true"
	case "max_query_size":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			q.maxQuerySize = n
		}
	}
	q.settings = append(q.settings, parameter{name, value})
	return orNil(q.rules.text(value))
}

// orNil is an error that is nil where there is no exception.
func orNil(e *exception) error {
	if e == nil {
		return nil
	}
	return e
}

// addForm reads the parts of a multipart form: fields, which some clients send instead of URL parameters, and external
// tables.
func addForm(r *http.Request, q *request, values url.Values) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return newException(codeBadArguments, "BAD_ARGUMENTS", "multipart form: %v", err)
	}
	q.body = strings.NewReader("")
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "multipart form: %v", err)
		}
		name := part.FormName()
		if part.FileName() != "" || values.Get(name+"_structure") != "" || values.Get(name+"_types") != "" {
			if err := q.readExternal(part, values); err != nil {
				return err
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(q.held(part), defaultMaxQuerySize))
		if err != nil {
			return newException(codeBadArguments, "BAD_ARGUMENTS", "multipart form, field %q: %v", part.FormName(), err)
		}
		values.Set(part.FormName(), string(value))
	}
}

// describesExternal is true for parameters that say what an external table is.
func (q *request) describesExternal(name string) bool {
	for _, x := range q.external {
		if rest, ok := strings.CutPrefix(name, x.name); ok &&
			slices.Contains([]string{"_format", "_structure", "_types"}, rest) {
			return true
		}
	}
	return false
}

// blockReader reads ClickHouse's compressed blocks; its data ends where a block ends.
type blockReader struct{ r *compress.Reader }

func (b blockReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// head reads the SQL of the request. The data of an INSERT stays unread.
func (q *request) head() (statement, io.Reader, error) {
	if q.query != "" {
		if st := parseStatement(q.query); st.insert && st.complete {
			data := q.body
			if inline := skipLine([]byte(q.query[st.data:])); len(bytes.TrimSpace(inline)) > 0 {
				data = io.MultiReader(bytes.NewReader(append(inline, '\n')), q.body)
			}
			return st, data, nil
		}
	}
	source := q.body
	if q.query != "" {
		source = io.MultiReader(strings.NewReader(q.query+"\n"), q.body)
	}
	buf, err := io.ReadAll(io.LimitReader(q.held(source), int64(q.maxQuerySize)+1))
	var full *exception
	switch {
	case errors.As(err, &full):
		return statement{}, nil, full
	case err != nil:
		return statement{}, nil, newException(codeBadArguments, "BAD_ARGUMENTS", "Cannot read the request: %v", err)
	}
	st := parseStatement(string(buf))
	if st.insert && st.complete && (st.data < len(buf) || len(buf) <= q.maxQuerySize) { // the name is not cut off
		inline := skipLine(buf[st.data:])
		return st, io.MultiReader(strings.NewReader(string(inline)), source), nil
	}
	if len(buf) > q.maxQuerySize {
		return statement{}, nil, newException(codeSyntaxError, "SYNTAX_ERROR",
			"Max query size exceeded: %d bytes (max_query_size)", q.maxQuerySize)
	}
	if strings.TrimSpace(st.text) == "" {
		return statement{}, nil, newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error: Empty query")
	}
	return st, strings.NewReader(""), nil
}

// guardData decides whether data of the format Values may hold expressions, where the kernel does not confine the
// engine: if there is no more of it than may be SQL and the guard has nothing against it. It returns the data to read
// instead.
func (q *request) guardData(st statement, data io.Reader) (io.Reader, error) {
	q.literalValues = true
	if !st.insert || !strings.EqualFold(q.insertFormat(st), "Values") {
		return data, nil
	}
	buf, err := io.ReadAll(io.LimitReader(q.held(data), int64(q.maxQuerySize)+1))
	if err != nil {
		return nil, newException(codeBadArguments, "BAD_ARGUMENTS", "Cannot read the data of the insert: %v", err)
	}
	if len(buf) <= q.maxQuerySize {
		if e := q.rules.values(string(buf)); e != nil {
			return nil, e
		}
		q.literalValues = false
	}
	return io.MultiReader(bytes.NewReader(buf), data), nil
}

// insertFormat is the format of an insert's data.
func (q *request) insertFormat(st statement) string {
	for _, name := range []string{st.format, q.format} {
		if name != "" {
			return name
		}
	}
	return "Values"
}

// skipLine skips spaces and one line end between the name of a format and its data, as ClickHouse does.
func skipLine(b []byte) []byte {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\f') {
		i++
	}
	if i < len(b) && b[i] == '\r' {
		i++
	}
	if i < len(b) && b[i] == '\n' {
		i++
	}
	return b[i:]
}

// setup is the statement that gives a connection the settings of the request.
func (q *request) setup() string {
	list := []string{"log_comment = " + quoteText(markedComment(q.mark, q.comment))}
	for _, s := range q.settings {
		list = append(list, quoteName(s.name)+" = "+quoteText(s.value))
	}
	if q.literalValues {
		for _, name := range valuesSettings {
			list = append(list, name+" = 0")
		}
	}
	return "SET " + strings.Join(list, ", ")
}

// confineToReading returns the statement that makes the request's connection read-only; "" where it may write.
func (q *request) confineToReading() string {
	if !q.readonly {
		return ""
	}
	return "SET readonly = " + quoteText(q.readonlyLevel)
}

// sets is true where the request has a setting.
func (q *request) sets(name string) bool {
	return slices.ContainsFunc(q.settings, func(s parameter) bool { return s.name == name })
}

// value is what the request sets a setting to, "" without.
func (q *request) value(name string) string {
	for _, s := range q.settings {
		if s.name == name {
			return s.value
		}
	}
	return ""
}

// bound sets a setting that the request does not.
func (q *request) bound(name, value string) {
	if q.sets(name) {
		return
	}
	if q.bounded == nil {
		q.bounded = map[string]bool{}
	}
	q.bounded[name] = true
	q.settings = append(q.settings, parameter{name, value})
}

func quoteText(s string) string { return sqltext.Text(s) }

func quoteName(s string) string { return sqltext.Name(s) }
