package store

import (
	"context"
	"fmt"
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

// marks are the running statements by mark, each with the query id that its client knows it by: the engine has ids of
// its own, by which no client can kill. It is safe for concurrent use.
type marks struct {
	mu  sync.Mutex
	ids map[string]string
}

func newMarks() *marks { return &marks{ids: map[string]string{}} }

func (m *marks) add(mark, id string) (remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[mark] = id
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.ids, mark)
	}
}

// byQueryID returns a KILL QUERY statement that compares the clients' query ids where the given one compares the
// engine's.
func (m *marks) byQueryID(statement string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var known, ids []string
	for mark, id := range m.ids {
		known, ids = append(known, quoteText(mark)), append(ids, quoteText(id))
	}
	if len(known) == 0 {
		return statement
	}
	id := fmt.Sprintf("transform(splitByChar(' ', Settings['log_comment'])[1], [%s], [%s], query_id)",
		strings.Join(known, ", "), strings.Join(ids, ", "))
	var b strings.Builder
	done := 0
	for l := (lexer{src: statement}); ; {
		token := l.next()
		if token == "" {
			return b.String() + statement[done:]
		}
		if nameOf(token) == "query_id" && (isWordByte(token[0]) || token[0] == '`' || token[0] == '"') {
			b.WriteString(statement[done:l.start] + id)
			done = l.pos
		}
	}
}
