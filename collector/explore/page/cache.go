package page

import (
	"strings"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// mostCached is the maximum number of answers in the cache.
const mostCached = 64

// cache keeps each answer for one step of its graph, at least a second and at most a minute. It is safe for concurrent
// use.
type cache struct {
	mu      sync.Mutex
	answers map[string]cached
	now     func() time.Time
}

type cached struct {
	answer *explore.Answer
	until  time.Time
}

func newCache() *cache { return &cache{answers: map[string]cached{}, now: time.Now} }

// cacheKey identifies a question with the scopes that its viewer may see.
func cacheKey(q explore.Question) string {
	return q.Address("") + "\x00" + strings.Join(q.Only, "\x00")
}

// get returns an answer, which must not be changed, or nil.
func (c *cache) get(q explore.Question) *explore.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.answers[cacheKey(q)]
	if !ok || !c.now().Before(x.until) {
		return nil
	}
	return x.answer
}

func (c *cache) put(q explore.Question, a *explore.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for key, x := range c.answers {
		if !now.Before(x.until) {
			delete(c.answers, key)
		}
	}
	for key := range c.answers {
		if len(c.answers) < mostCached {
			break
		}
		delete(c.answers, key)
	}
	c.answers[cacheKey(q)] = cached{a, now.Add(min(max(a.Step, time.Second), time.Minute))}
}
