package kafka

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// sayAfter is how long brokers may refuse messages before this is logged: an election takes less.
	sayAfter = 3 * time.Second
	// downAfter is how long nothing must be delivered, while there are failures, for Down to report it.
	downAfter = 5 * time.Second
)

// trouble is why nothing is delivered at the moment. A delivery ends it.
type trouble struct {
	mu    sync.Mutex
	cause error // the latest; nil: no trouble
	since time.Time
}

// note remembers the latest cause and returns when the trouble began.
func (t *trouble) note(cause error) (since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause == nil {
		t.since = time.Now()
	}
	t.cause = cause
	return t.since
}

func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cause = nil
}

// get returns when the trouble began and its latest cause; nil: there is none.
func (t *trouble) get() (since time.Time, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since, t.cause
}

// Down returns why messages are waiting and none was delivered for some seconds; nil if that is not the case. It is
// safe for concurrent use.
func (p *Producer) Down() error {
	since, cause := p.trouble.get()
	if cause == nil || time.Since(since) < downAfter {
		return nil
	}
	if s := p.Stats(); s.Queued.Messages == 0 && s.Spool.Waiting.Rows == 0 {
		return nil
	}
	return cause
}

// clientLog receives what franz-go reports only in its log: the brokers' responses to messages that it retries itself.
type clientLog struct{ p *Producer }

// Level is the level at which franz-go logs each response to a produce request.
func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelDebug }

// Log looks for refused messages. The text is "topic[partition{retrying@offset,count(ERROR_NAME: its meaning)}]".
func (l clientLog) Log(_ kgo.LogLevel, message string, pairs ...any) {
	if message != "produced" {
		return
	}
	for i := 1; i < len(pairs); i += 2 {
		text, ok := pairs[i].(string)
		if !ok || pairs[i-1] != "to" || !strings.Contains(text, "retrying@") {
			continue
		}
		if found := refusal.FindStringSubmatch(text); found != nil {
			l.p.refused(errorNamed(found[1]))
		}
	}
}

var refusal = regexp.MustCompile(`retrying@-?[0-9]+,[0-9]+\(([A-Z_]+): `)

// errorNamed returns Kafka's error with a name.
func errorNamed(name string) error {
	for code := int16(-1); code < 200; code++ {
		var known *kerr.Error
		if err := kerr.ErrorForCode(code); errors.As(err, &known) && known.Message == name {
			return known
		}
	}
	return errors.New(name)
}

// refused notes that a broker refused messages, which franz-go will retry.
func (p *Producer) refused(err error) {
	if since := p.trouble.note(err); time.Since(since) >= sayAfter {
		p.counters.failed(err)
		p.log.refused(time.Since(since), Classify(err), err)
	}
}
