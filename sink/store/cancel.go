package store

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// The engine has no call that ends a running statement from outside, and numbers statements itself. So each carries a
// mark in the setting log_comment, by which KILL QUERY finds it.

// markSeparator stands between a statement's mark and the log_comment that its client gave it.
const markSeparator = " "

func newMark() string { return "store-" + uuid.NewString() }

// markedComment is the log_comment of a statement.
func markedComment(mark, comment string) string {
	return strings.TrimSuffix(mark+markSeparator+comment, markSeparator)
}

// cancelInterval is how long a cancelled statement may take to end before it is cancelled again: it may not have begun.
const cancelInterval = 200 * time.Millisecond

// cancelWhenDone cancels the marked statement when ctx ends, which is when its client has left. stop must be called
// when the statement has ended.
func (s *server) cancelWhenDone(ctx context.Context, mark string) (stop func()) {
	ended := make(chan struct{})
	detach := context.AfterFunc(ctx, func() {
		for wait := cancelInterval; ; wait = min(2*wait, 10*time.Second) {
			if err := s.kill(mark); err != nil {
				s.o.Log.Warn("store: a statement whose client has left cannot be cancelled", zap.Error(err))
			}
			select {
			case <-ended:
				return
			case <-time.After(wait):
			}
		}
	})
	var once sync.Once
	return func() {
		once.Do(func() {
			detach()
			close(ended)
		})
	}
}

// kill ends the statements that have the mark, as far as the engine can: it looks now and then whether it should.
func (s *server) kill(mark string) error {
	c, err := s.engine.open("--path=" + s.o.Path)
	if err != nil {
		return err
	}
	defer c.close()
	return c.run(fmt.Sprintf("KILL QUERY WHERE startsWith(Settings['log_comment'], %s) ASYNC", quoteText(mark)))
}

// marks are the running statements by mark. It is safe for concurrent use.
type marks struct {
	mu  sync.Mutex
	all map[string]marked
}

// marked is a running statement: the query id that its client knows it by, as the engine has ids of its own by which no
// client can kill, and its client.
type marked struct {
	id     string
	client *http.Request
}

func newMarks() *marks { return &marks{all: map[string]marked{}} }

func (m *marks) add(mark, id string, client *http.Request) (remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[mark] = marked{id, client}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.all, mark)
	}
}

// of returns the marks of a client's statements, with their query ids.
func (m *marks) of(client *http.Request) (known, ids []string) {
	m.mu.Lock()
	running := maps.Clone(m.all)
	m.mu.Unlock()
	own := identityOf(client)
	for mark, x := range running {
		if x.client == client || identityOf(x.client) == own {
			known, ids = append(known, quoteText(mark)), append(ids, quoteText(x.id))
		}
	}
	return known, ids
}

// identity is who sends a request, as far as it can be told: all clients have one name and password.
type identity struct {
	host      string // the address of the other end
	uid       int    // the user of a client on this host
	uidKnown  bool
	collector bool
}

func identityOf(r *http.Request) identity {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	who := identity{host: host, collector: isOwnAgent(r)}
	if c, ok := r.Context().Value(connectionKey{}).(*net.TCPConn); ok {
		who.uid, who.uidKnown = peerUser(c)
	}
	return who
}

// restrictKill returns a KILL QUERY statement that ends no statements but those of the same client, and compares the
// clients' query ids where the given one compares the engine's. Others are returned as they are.
func (m *marks) restrictKill(statement string, client *http.Request) (string, error) {
	l := lexer{src: statement}
	if l.next(); !strings.EqualFold(l.next(), "QUERY") {
		return statement, nil
	}
	known, ids := m.of(client)
	mark := "splitByChar(' ', Settings['log_comment'])[1]"
	var b strings.Builder
	done, depth, where := 0, 0, false
	for {
		token := l.next()
		atTop := depth == 0
		switch token {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		switch word := strings.ToUpper(token); {
		case depth < 0:
			return "", newException(codeSyntaxError, "SYNTAX_ERROR",
				"Syntax error: a bracket is closed that is not open")
		case !where && atTop && word == "WHERE":
			where = true
			fmt.Fprintf(&b, "%s %s IN [%s] AND (", statement[done:l.pos], mark, strings.Join(known, ", "))
			done = l.pos
		case where && atTop && (token == "" || slices.Contains([]string{"SYNC", "ASYNC", "TEST", "FORMAT", "SETTINGS"},
			word)):
			// A comment in the condition ends with its line.
			return b.String() + statement[done:l.start] + "\n) " + statement[l.start:], nil
		case token == "":
			return statement, nil // a syntax error for the engine
		case where && nameOf(token) == "query_id" && isName(token):
			fmt.Fprintf(&b, "%stransform(%s, [%s], [%s], query_id)", statement[done:l.start], mark,
				strings.Join(known, ", "), strings.Join(ids, ", "))
			done = l.pos
		}
	}
}
