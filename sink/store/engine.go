package store

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// engine is libchdb, the ClickHouse engine as a library, loaded into this process. It is bound here rather than through
// chdb-go, whose binding loads the library at import time, cuts a query at its first NUL byte, and has neither query
// parameters nor streamed inserts. Every pointer is either the engine's own memory or one of arguments'.
type engine struct {
	connect        func(argc int32, argv **byte) (conn **byte)
	closeConn      func(conn **byte)
	query          statementFunc
	streamQuery    statementFunc
	streamFetch    func(conn, stream *byte) (result *byte)
	streamCancel   func(conn, stream *byte)
	streamInsert   statementFunc
	streamAppend   func(stream, data *byte, size uint) (state int32)
	streamDone     func(stream *byte) (result *byte)
	insertError    func(stream *byte) string
	destroyInsert  func(stream *byte)
	destroyResult  func(result *byte)
	resultBuffer   func(result *byte) *byte
	resultLength   func(result *byte) uint
	resultError    func(result *byte) string
	rowsRead       func(result *byte) uint64
	bytesRead      func(result *byte) uint64
	storageRows    func(result *byte) uint64
	storageBytes   func(result *byte) uint64
	rowsWritten    func(result *byte) uint64
	bytesWritten   func(result *byte) uint64
	elapsed        func(result *byte) float64
	signalHandlers func(enabled int32)
}

// statementFunc is the engine's way to begin a statement: SQL, format, and the names and values of parameters, each
// with its length. It returns a result or a stream.
type statementFunc func(conn, query *byte, queryLen uint, format *byte, formatLen uint,
	names **byte, nameLens *uint, values **byte, valueLens *uint, n uint) *byte

// errNoEngine says what to do when the engine cannot be used.
var errNoEngine = errors.New("install the package flow-collector-engine, or run `make engine` in a clone, or set " +
	"STORE_ENGINE to a libchdb.so of version 26.7 or later, or configure a ClickHouse server")

// loadEngine loads libchdb from path. Errors are one line that says what to do.
func loadEngine(path string) (*engine, error) {
	if path == "" {
		return nil, fmt.Errorf("store has no engine: %w", errNoEngine)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("store engine: %w: %w", err, errNoEngine)
	}
	if err := checkEngineFile(path); err != nil {
		return nil, err
	}
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("store engine %s does not load: %w: %w", path, err, errNoEngine)
	}
	e := &engine{}
	for name, function := range map[string]any{
		"chdb_connect":                     &e.connect,
		"chdb_close_conn":                  &e.closeConn,
		"chdb_query_with_params_n":         &e.query,
		"chdb_stream_query_with_params_n":  &e.streamQuery,
		"chdb_stream_fetch_result":         &e.streamFetch,
		"chdb_stream_cancel_query":         &e.streamCancel,
		"chdb_stream_insert_with_params_n": &e.streamInsert,
		"chdb_stream_append":               &e.streamAppend,
		"chdb_stream_done":                 &e.streamDone,
		"chdb_stream_insert_error":         &e.insertError,
		"chdb_destroy_insert_stream":       &e.destroyInsert,
		"chdb_destroy_query_result":        &e.destroyResult,
		"chdb_result_buffer":               &e.resultBuffer,
		"chdb_result_length":               &e.resultLength,
		"chdb_result_error":                &e.resultError,
		"chdb_result_rows_read":            &e.rowsRead,
		"chdb_result_bytes_read":           &e.bytesRead,
		"chdb_result_storage_rows_read":    &e.storageRows,
		"chdb_result_storage_bytes_read":   &e.storageBytes,
		"chdb_result_rows_written":         &e.rowsWritten,
		"chdb_result_bytes_written":        &e.bytesWritten,
		"chdb_result_elapsed":              &e.elapsed,
		"chdb_set_signal_handlers_enabled": &e.signalHandlers,
	} {
		symbol, err := purego.Dlsym(library, name)
		if err != nil {
			return nil, fmt.Errorf("store engine %s is too old or no libchdb (it has no %s): %w", path, name,
				errNoEngine)
		}
		purego.RegisterFunc(function, symbol)
	}
	// The engine's own handlers would take SIGSEGV and others from the Go runtime, which needs them.
	e.signalHandlers(0)
	return e, nil
}

// conn is one connection to the engine: a session that runs one statement at a time. It is not safe for concurrent use.
type conn struct {
	e      *engine
	handle **byte
}

// open connects with the engine's command line arguments. The first connection of a process starts the engine with
// them; for later ones only the path matters. With the last connection the engine stops.
func (e *engine) open(args ...string) (*conn, error) {
	a := &arguments{}
	argv := []*byte{a.text("clickhouse")}
	for _, arg := range args {
		argv = append(argv, a.text(arg))
	}
	handle := e.connect(int32(len(argv)), &argv[0])
	runtime.KeepAlive(argv)
	runtime.KeepAlive(a)
	if handle == nil {
		return nil, errors.New("the engine refuses the connection")
	}
	return &conn{e: e, handle: handle}, nil
}

func (c *conn) close() { c.e.closeConn(c.handle) }

// parameter is a value for a {name:Type} placeholder, in ClickHouse's escaped text form; also a setting and its value.
type parameter struct{ name, value string }

// arguments keeps what a call to the engine points at. The engine sees plain addresses, which the garbage collector
// does not: it must be kept alive until the call is over.
type arguments struct {
	texts               [][]byte
	names, values       []*byte
	nameLens, valueLens []uint
}

// text is the address of a copy of s with a NUL byte behind it.
func (a *arguments) text(s string) *byte {
	b := append([]byte(s), 0)
	a.texts = append(a.texts, b)
	return &b[0]
}

// call begins a statement.
func (c *conn) call(function statementFunc, statement, format string, params []parameter) *byte {
	a := &arguments{}
	for _, p := range params {
		a.names, a.nameLens = append(a.names, a.text(p.name)), append(a.nameLens, uint(len(p.name)))
		a.values, a.valueLens = append(a.values, a.text(p.value)), append(a.valueLens, uint(len(p.value)))
	}
	var names, values **byte
	var nameLens, valueLens *uint
	if len(params) > 0 {
		names, nameLens, values, valueLens = &a.names[0], &a.nameLens[0], &a.values[0], &a.valueLens[0]
	}
	r := function(*c.handle, a.text(statement), uint(len(statement)), a.text(format), uint(len(format)),
		names, nameLens, values, valueLens, uint(len(params)))
	runtime.KeepAlive(a)
	return r
}

// counts is what the engine says of a statement. Times are seconds.
type counts struct {
	readRows, readBytes, writtenRows, writtenBytes, resultRows, resultBytes uint64
	elapsed                                                                 float64
}

// take reads a result, hands its bytes to use, and frees it. The bytes are the engine's, and gone when use returns.
func (e *engine) take(result *byte, use func([]byte, counts) error) error {
	if result == nil {
		return use(nil, counts{})
	}
	defer e.destroyResult(result)
	if s := e.resultError(result); s != "" {
		return errors.New(s)
	}
	var data []byte
	if p := e.resultBuffer(result); p != nil {
		data = unsafe.Slice(p, e.resultLength(result))
	}
	return use(data, counts{readRows: e.storageRows(result), readBytes: e.storageBytes(result),
		writtenRows:  e.rowsWritten(result),
		writtenBytes: e.bytesWritten(result), resultRows: e.rowsRead(result), resultBytes: e.bytesRead(result),
		elapsed: e.elapsed(result)})
}

// query executes a statement and hands its whole result to use.
func (c *conn) query(statement, format string, params []parameter, use func([]byte, counts) error) error {
	return c.e.take(c.call(c.e.query, statement, format, params), use)
}

// run executes a statement that has no result; an empty one is none.
func (c *conn) run(statement string) error {
	if statement == "" {
		return nil
	}
	return c.query(statement, "Null", nil, func([]byte, counts) error { return nil })
}

// resultStream is a SELECT whose result is fetched block by block.
type resultStream struct {
	c      *conn
	handle *byte
}

// stream begins a SELECT. The connection takes nothing else until close.
func (c *conn) stream(statement, format string, params []parameter) (*resultStream, error) {
	s := &resultStream{c: c, handle: c.call(c.e.streamQuery, statement, format, params)}
	if s.handle == nil {
		return nil, errors.New("the engine gives no result")
	}
	if message := c.e.resultError(s.handle); message != "" {
		c.e.destroyResult(s.handle)
		return nil, errors.New(message)
	}
	return s, nil
}

// next hands the next piece of the result to use; after the last it is called with none.
func (s *resultStream) next(use func([]byte, counts) error) error {
	return s.c.e.take(s.c.e.streamFetch(*s.c.handle, s.handle), use)
}

// close frees the stream; one that has not come to its end must be cancelled.
func (s *resultStream) close(cancel bool) {
	if cancel {
		s.c.e.streamCancel(*s.c.handle, s.handle)
	}
	s.c.e.destroyResult(s.handle)
}

// insertStream is an INSERT whose rows are appended as bytes of its input format.
type insertStream struct {
	e      *engine
	handle *byte
}

// insert begins an INSERT: statement is the text before its FORMAT clause. The connection takes nothing else until
// close.
func (c *conn) insert(statement, format string, params []parameter) (*insertStream, error) {
	s := &insertStream{e: c.e, handle: c.call(c.e.streamInsert, statement, format, params)}
	if s.handle == nil {
		return nil, errors.New("the engine takes no data")
	}
	if message := c.e.insertError(s.handle); message != "" {
		s.close()
		return nil, errors.New(message)
	}
	return s, nil
}

// append hands data over, which the engine copies; it waits while the engine is behind. When it returns false the
// insert has failed: done says why.
func (s *insertStream) append(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	state := s.e.streamAppend(s.handle, &data[0], uint(len(data)))
	runtime.KeepAlive(data)
	return state == 0
}

// done ends the data and waits until the rows are written.
func (s *insertStream) done() (n counts, err error) {
	err = s.e.take(s.e.streamDone(s.handle), func(_ []byte, c counts) error { n = c; return nil })
	return n, err
}

// close frees the insert; one that is not done is cancelled, and what it had not written is not.
func (s *insertStream) close() { s.e.destroyInsert(s.handle) }
