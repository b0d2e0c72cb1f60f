package store

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A session is what a client keeps between its requests under one session_id: temporary tables, settings (SET) and the
// current database (USE). Most clients send an id with every request and keep nothing, so a session has a connection to
// the engine only from the first statement on that leaves something behind.
type session struct {
	id     string
	c      *conn // nil while there is nothing to keep
	busy   bool
	dead   bool        // the store stops
	expiry *time.Timer // forgets the session; stopped while it is busy
}

const (
	sessionTimeout    = time.Minute // session_timeout where the client names none, as in ClickHouse
	maxSessionTimeout = time.Hour   // and the most that it may be
	maxSessions       = 10_000      // that are known; each is some hundred bytes
	maxKept           = 64          // that have a connection
)

// sessions are the sessions of a store. It is safe for concurrent use.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
	kept int // that have a connection
}

func newSessions() *sessions { return &sessions{byID: map[string]*session{}} }

// take finds or makes the session of a request. A session runs one statement at a time.
func (s *sessions) take(id string, check bool) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.byID[id]
	switch {
	case known == nil && check:
		return nil, newException(codeSessionNotFound, "SESSION_NOT_FOUND", "Session %s not found", id)
	case known != nil && known.busy:
		return nil, newException(codeSessionIsLocked, "SESSION_IS_LOCKED",
			"Session %s is locked by a concurrent client", id)
	case known == nil && len(s.byID) >= maxSessions:
		return nil, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"The local store knows %d sessions and takes no more", maxSessions)
	case known == nil:
		known = &session{id: id}
		s.byID[id] = known
	}
	if known.expiry != nil {
		known.expiry.Stop()
	}
	known.busy = true
	return known, nil
}

// keep reports whether the session may have a connection.
func (s *sessions) keep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept >= maxKept {
		return newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"The local store keeps temporary tables and settings of %d sessions at once and takes no more", maxKept)
	}
	s.kept++
	return nil
}

// unkeep takes keep back, for a session that got no connection.
func (s *sessions) unkeep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept--
}

// give ends a request's use of its session. The session expires after timeout; 0 closes it now.
func (s *sessions) give(one *session, timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.busy = false
	if timeout <= 0 || one.dead {
		s.forget(one)
		return
	}
	one.expiry = time.AfterFunc(timeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !one.busy { // otherwise give sets another time
			s.forget(one)
		}
	})
}

// forget must be called with the lock held.
func (s *sessions) forget(one *session) {
	if s.byID[one.id] != one {
		return
	}
	delete(s.byID, one.id)
	if one.c != nil {
		one.c.close()
		one.c = nil
		s.kept--
	}
}

// close forgets all sessions that run nothing.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.byID {
		if one.busy {
			one.dead = true
			continue
		}
		one.expiry.Stop()
		s.forget(one)
	}
}

// leavesSomething is true for statements that change the session's state.
func (st statement) leavesSomething() bool {
	switch st.verb {
	case "SET", "USE":
		return true
	case "CREATE", "REPLACE", "ATTACH":
		l := lexer{src: st.text}
		for range 5 { // CREATE OR REPLACE TEMPORARY TABLE
			if strings.EqualFold(l.next(), "TEMPORARY") {
				return true
			}
		}
	}
	return false
}

// parseSessionTimeout reads session_timeout.
func parseSessionTimeout(text string) (time.Duration, error) {
	if text == "" {
		return sessionTimeout, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || time.Duration(n)*time.Second > maxSessionTimeout {
		return 0, newException(codeInvalidSessionTimeout, "INVALID_SESSION_TIMEOUT",
			"Session timeout %q is not between 0 and %d seconds", text, int(maxSessionTimeout/time.Second))
	}
	return time.Duration(n) * time.Second, nil
}

// openKept opens a connection that a session keeps.
func (s *server) openKept() (*conn, error) {
	if err := s.sessions.keep(); err != nil {
		return nil, err
	}
	c, err := s.engine.open("--path=" + s.o.Path)
	if err != nil {
		s.sessions.unkeep()
		return nil, err
	}
	return c, nil
}

// sessionConnection is the connection of a request that has a session: the session's own, or one for this request
// alone. leave must be called when the statement has ended.
func (s *server) sessionConnection(q *request, st statement) (c *conn, leave func(), err error) {
	one, err := s.sessions.take(q.sessionID, q.sessionCheck)
	if err != nil {
		return nil, nil, err
	}
	timeout := q.sessionTimeout
	if q.sessionClose {
		timeout = 0
	}
	give := func() { s.sessions.give(one, timeout) }
	if one.c == nil && !st.leavesSomething() {
		c, err := s.connect(q)
		if err != nil {
			give()
			return nil, nil, err
		}
		return c, func() { c.close(); give() }, nil
	}
	if one.c == nil {
		if one.c, err = s.openKept(); err != nil {
			give()
			return nil, nil, err
		}
	}
	restore, err := s.prepareKept(one.c, q, st)
	if err != nil {
		give()
		return nil, nil, err
	}
	return one.c, func() {
		if err := restore(); err != nil {
			s.o.Log.Warn("store: a session cannot be set back after a statement and is forgotten", zap.Error(err))
			timeout = 0
		}
		give()
	}, nil
}

// prepareKept gives a session's connection the settings, database and external tables of one request. restore takes
// them back: in ClickHouse they hold for the request alone. What the statement itself sets stays.
func (s *server) prepareKept(c *conn, q *request, st statement) (restore func() error, err error) {
	var undo []string
	restore = func() error {
		for i := len(undo) - 1; i >= 0; i-- {
			if err := c.run(undo[i]); err != nil {
				return err
			}
		}
		return nil
	}
	defer func() {
		if err != nil {
			if e := restore(); e != nil {
				s.o.Log.Warn("store: a session cannot be set back", zap.Error(e))
			}
		}
	}()
	if use := useDatabase(q.database); use != "" && st.verb != "USE" {
		now, err := c.text("SELECT currentDatabase()")
		if err != nil {
			return restore, err
		}
		if err := c.run(use); err != nil {
			return restore, err
		}
		undo = append(undo, "USE "+quoteName(now))
	}
	// The engine's readonly cannot be taken back: here the guard alone keeps a request that may only read from changing
	// anything, by the statement's first word.
	setup := q.setup()
	var names []string
	for _, p := range append([]parameter{{name: "log_comment"}, {name: valuesSettings[0]}, {name: valuesSettings[1]}},
		q.settings...) {
		if p.name == niceSetting { // each statement has its own; the engine's default is none that can be set
			continue
		}
		if st.verb != "SET" || !strings.Contains(st.text, p.name) {
			names = append(names, quoteText(p.name))
		}
	}
	was, err := c.text("SELECT arrayStringConcat(groupArray(name || ' = ' || quoteValue), ', ') FROM (SELECT name, " +
		`'\'' || replaceAll(replaceAll(value, '\\', '\\\\'), '\'', '\\\'') || '\'' AS quoteValue FROM ` +
		`system.settings WHERE name IN (` +
		strings.Join(names, ", ") + "))")
	if err != nil {
		return restore, err
	}
	undo = append(undo, "SET "+was)
	if err := c.run(setup); err != nil {
		return restore, err
	}
	for _, x := range q.external {
		undo = append(undo, "DROP TEMPORARY TABLE IF EXISTS "+quoteName(x.name))
	}
	return restore, q.loadExternal(c)
}

// text is the result of a statement as one text.
func (c *conn) text(statement string) (text string, err error) {
	err = c.query(statement, "TSVRaw", nil, func(b []byte, _ counts) error {
		text = strings.TrimSuffix(string(b), "\n")
		return nil
	})
	return text, err
}
