package page

import (
	"strings"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// mostCached is the maximum number of values in a cache.
const mostCached = 64

// cache keeps values for some time. It is safe for concurrent use.
type cache[V any] struct {
	mu     sync.Mutex
	values map[string]cached[V]
	now    func() time.Time
}

type cached[V any] struct {
	value V
	until time.Time
}

func newCache[V any]() *cache[V] { return &cache[V]{values: map[string]cached[V]{}, now: time.Now} }

// cacheKey identifies a question with the scopes that its viewer may see.
func cacheKey(q explore.Question) string { return withScopes(q.Address(""), q.Only) }

func withScopes(key string, only []string) string { return key + "\x00" + strings.Join(only, "\x00") }

// get returns a value, which must not be changed; false if there is none.
func (c *cache[V]) get(key string) (value V, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, found := c.values[key]
	if !found || !c.now().Before(x.until) {
		return value, false
	}
	return x.value, true
}

// put keeps a value for a time.
func (c *cache[V]) put(key string, value V, keep time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for key, x := range c.values {
		if !now.Before(x.until) {
			delete(c.values, key)
		}
	}
	for key := range c.values {
		if len(c.values) < mostCached {
			break
		}
		delete(c.values, key)
	}
	c.values[key] = cached[V]{value, now.Add(keep)}
}

// kept is how long an answer is kept: for one step of its graph, at least a second and at most a minute.
func kept(a *explore.Answer) time.Duration { return min(max(a.Step, time.Second), time.Minute) }
