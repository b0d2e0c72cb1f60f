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

// running holds the ids of the questions that the store is answering. It is safe for concurrent use.
type running struct {
	mu  sync.Mutex
	ids map[string]string // cacheKey of the question: id of its queries

	asking turns // of requests for progress: one at a time
}

// start gives a question an id, which is valid until done is called.
func (x *running) start(ctx context.Context, q explore.Question) (_ context.Context, done func()) {
	id, key := rand.Text(), cacheKey(q)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids[key] = id
	return explore.WithID(ctx, id), func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.ids[key] == id { // else the same question was asked again meanwhile
			delete(x.ids, key)
		}
	}
}

// of returns the id of a question; "" if it is not being answered.
func (x *running) of(q explore.Question) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ids[cacheKey(q)]
}

// progressPatience is how long a request for progress waits while the store works on another one.
const progressPatience = time.Second

// progress answers the page's script, which shows the progress of the question that the user waits for. The answer is
// empty if the store is not working on it.
func (p *Pages) progress(w http.ResponseWriter, r *http.Request) {
	q, err := p.parse(r.URL.Query())
	if err != nil {
		fail(w, r, err)
		return
	}
	q.Only = viewerOf(r.Context()).Scopes
	id := p.running.of(q)
	if id == "" || len(q.Only) > 0 { // the rows that are read are of other scopes too
		w.WriteHeader(http.StatusNoContent)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), progressPatience)
	defer cancel()
	leave, err := p.running.asking.take(ctx)
	if err != nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	defer leave()
	found, err := p.Explorer.Progress(r.Context(), id)
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}
