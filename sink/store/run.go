package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
)

// run takes a place and a connection, runs the statement and writes its result.
func (s *server) run(ctx context.Context, q *request, a *answer) error {
	st, data, err := q.head()
	if err != nil {
		return err
	}
	a.expectNoMore()
	if err := s.refuse(st, q.readonly); err != nil {
		return err
	}
	if data, err = s.firstData(q, st, data, a); err != nil {
		return err
	}
	kind := s.placeOf(st, a.r)
	free, err := s.places.take(ctx, kind, st.text)
	if err != nil {
		return err
	}
	defer free()
	if ctx.Err() != nil {
		return errClientLeft
	}
	s.bound(q, st, a.r)
	s.yield(q, kind)
	if st.verb == "INSERT" && !q.deduplicates(st) {
		q.bound("deduplicate_insert", "disable")
	}
	c, leave, err := s.connection(q, st)
	if err != nil {
		return err
	}
	defer leave()
	defer s.marks.add(q.mark, q.id, a.r)()
	if st.insert {
		return s.insert(c, q, st, data, a)
	}
	if st.verb == "KILL" {
		if st.text, err = s.marks.restrictKill(st.text, a.r); err != nil {
			return err
		}
	}
	defer s.cancelWhenDone(ctx, q.mark)()
	return s.explain(s.query(ctx, c, q, st, a), q, st, kind)
}

// refuse says why a statement is not run.
func (s *server) refuse(st statement, readonly bool) error {
	switch {
	case st.multi:
		return newException(codeSyntaxError, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
	case st.early:
		return newException(codeSyntaxError, "SYNTAX_ERROR",
			"You have excessive ';' symbol before data for INSERT: it begins right behind FORMAT %s", st.format)
	case st.outfile:
		return newException(codeOutfileNotAllowed, "INTO_OUTFILE_NOT_ALLOWED",
			"INTO OUTFILE and FROM INFILE are not allowed")
	}
	return orNil(s.rules.statement(st, readonly))
}

// firstData waits for the first piece of an insert's data, and returns all of it. It is called before a place is taken:
// a client that sends nothing must not block others.
func (s *server) firstData(q *request, st statement, data io.Reader, a *answer) (io.Reader, error) {
	if st.insert {
		a.expectRead()
	}
	if !s.rules.confined {
		guarded, err := q.guardData(st, data)
		if err != nil {
			return nil, err
		}
		data = guarded
	}
	if !st.insert {
		return data, nil
	}
	if strings.EqualFold(q.insertFormat(st), "Values") {
		data = &valuesReader{r: data}
	}
	data, err := firstPiece(q.held(data), data)
	if err != nil {
		return nil, asReadError(err)
	}
	a.expectNoMore()
	return data, nil
}

// deduplicates is true for an insert with a deduplication token or with insert_deduplicate. Tables of this store
// remember inserts, as replicated tables do. An insert without either is stored each time that it is sent, as by a
// server.
func (q *request) deduplicates(st statement) bool {
	if strings.Contains(st.text, "deduplicat") { // in a SETTINGS clause
		return true
	}
	for _, s := range q.settings {
		if s.name == "insert_deduplication_token" && s.value != "" || s.name == "insert_deduplicate" && s.value != "0" {
			return true
		}
	}
	return false
}

// ownAgent is in the User-Agent of the collector's own connections (sink/clickhouse).
const ownAgent = "flow-collector/"

func isOwnAgent(r *http.Request) bool { return strings.Contains(r.UserAgent(), ownAgent) }

func (s *server) placeOf(st statement, r *http.Request) placeKind {
	switch own := isOwnAgent(r); {
	case st.verb == "KILL":
		return killPlaces
	case st.insert && own:
		return ownInsertPlaces
	case st.insert:
		return insertPlaces
	case own:
		return ownPlaces
	}
	return queryPlaces
}

// connection is the connection that a request's statement runs on. leave must be called when the statement has ended.
func (s *server) connection(q *request, st statement) (c *conn, leave func(), err error) {
	if q.sessionID != "" {
		return s.sessionConnection(q, st)
	}
	c, err = s.connect(q)
	if err != nil {
		return nil, nil, err
	}
	return c, c.close, nil
}

// connect opens a connection with the settings, the database and the external tables of the request.
func (s *server) connect(q *request) (*conn, error) {
	c, err := s.engine.open("--path=" + s.o.Path)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return c.run(useDatabase(q.database)) },
		func() error { return c.run(q.setup()) },
		func() error { return q.loadExternal(c) },
		func() error { return c.run(q.confineToReading()) },
	} {
		if err := step(); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func useDatabase(name string) string {
	if name == "" || name == "default" {
		return ""
	}
	return "USE " + quoteName(name)
}

// insertPiece is how much of an insert's data is read at once, in bytes.
const insertPiece = 256 << 10

// firstPiece waits for the beginning of an insert's data, which it reads from first, and returns all of the data. What
// has come to its end is not read again: a decompressor may then start again.
func firstPiece(first, rest io.Reader) (io.Reader, error) {
	buf := make([]byte, insertPiece)
	n, err := fill(first, buf)
	switch {
	case err == io.EOF:
		return bytes.NewReader(buf[:n]), nil
	case err != nil:
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(buf[:n]), rest), nil
}

// asReadError is what a client is told whose data cannot be read.
func asReadError(err error) error {
	var full *exception
	if errors.As(err, &full) {
		return full
	}
	return newException(codeBadArguments, "BAD_ARGUMENTS", "Cannot read the data of the insert: %v", err)
}

// insert streams the data of an INSERT into the engine.
func (s *server) insert(c *conn, q *request, st statement, data io.Reader, a *answer) error {
	in, err := c.insert(st.text, q.insertFormat(st), q.params)
	if err != nil {
		return err
	}
	defer in.close()
	buf := make([]byte, insertPiece)
	for {
		a.expectRead()
		n, err := fill(data, buf)
		if !in.append(buf[:n]) || err == io.EOF {
			break // when append failed, done says why
		}
		if err != nil {
			return asReadError(err)
		}
	}
	n, err := in.done()
	if err != nil {
		return err
	}
	a.summary(n)
	a.begin("text/plain; charset=UTF-8", "")
	return nil
}

// fill reads until buf is full. Unlike io.ReadFull it distinguishes the end of the data from truncated data.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

// query runs any other statement, block by block where statement and format allow it.
func (s *server) query(ctx context.Context, c *conn, q *request, st statement, a *answer) error {
	name := q.resultFormat(st)
	f := formatOf(name)
	a.reframe = q.revision > 0 && strings.EqualFold(name, "Native")
	if q.inPieces(st) {
		return s.stream(ctx, c, q, st, name, f, a)
	}
	return c.query(st.text, name, q.params, func(result []byte, n counts) error {
		result, err := a.layout(result)
		if err != nil {
			return err
		}
		a.summary(n)
		a.begin(f.contentType, name)
		return a.write(result)
	})
}

// resultFormat is the format of a statement's result.
func (q *request) resultFormat(st statement) string {
	for _, name := range []string{st.format, q.format} {
		if name != "" {
			return name
		}
	}
	return "TabSeparated"
}

func (st statement) selects() bool {
	return st.verb == "SELECT" || st.verb == "WITH" || st.verb == "FROM"
}

// inPieces is true for a result that is sent block by block.
func (q *request) inPieces(st statement) bool {
	return formatOf(q.resultFormat(st)).pieces && st.selects() && !st.totals && !q.wait
}

// stream sends a SELECT's result as the engine produces it. The status is decided by the first block.
func (s *server) stream(ctx context.Context, c *conn, q *request, st statement, name string, f format,
	a *answer) error {
	rs, err := c.stream(st.text, name, q.params)
	if err != nil {
		return err
	}
	ended := false
	defer func() { rs.close(!ended) }()
	for !ended {
		var clientErr error
		err := rs.next(func(piece []byte, n counts) error {
			if a.begun {
				piece = piece[f.headerLength(piece):]
			}
			ended = n.resultRows == 0 && len(piece) == 0
			if piece, clientErr = a.layout(piece); clientErr != nil {
				return nil
			}
			if !a.begun {
				a.summary(n)
				a.begin(f.contentType, name)
			}
			clientErr = a.write(piece)
			return nil
		})
		switch {
		case err != nil:
			ended = true // by the engine itself
			return err
		case clientErr != nil:
			return clientErr
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}
