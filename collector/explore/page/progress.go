package page

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// running are the questions that the store works on, by their keys in the cache, with the ids of their queries. It is
// safe for concurrent use.
type running struct {
	mu  sync.Mutex
	ids map[string]string

	asking chan struct{} // has the request for progress that the store works on
}

// start gives a question an id, which it has until done is called.
func (x *running) start(ctx context.Context, q explore.Question) (_ context.Context, done func()) {
	id, key := rand.Text(), cacheKey(q)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids[key] = id
	return explore.WithID(ctx, id), func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.ids[key] == id { // the same question may have been asked again
			delete(x.ids, key)
		}
	}
}

func (x *running) of(q explore.Question) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ids[cacheKey(q)]
}

// progressPatience is how long a client waits for its progress while another one asks for its own.
const progressPatience = time.Second

// progress answers the script, which shows how far the store is with the page that somebody waits for: with nothing
// where the store has no such question.
func (p *Pages) progress(w http.ResponseWriter, r *http.Request) {
	q, err := explore.Parse(r.URL.Query())
	if err != nil {
		fail(w, r, err)
		return
	}
	q.Only = viewerOf(r).Scopes
	id := p.running.of(q)
	if id == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), progressPatience)
	defer cancel()
	select {
	case p.running.asking <- struct{}{}:
		defer func() { <-p.running.asking }()
	case <-ctx.Done():
		w.WriteHeader(http.StatusNoContent)
		return
	}
	found, err := p.Explorer.Progress(r.Context(), id)
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}
