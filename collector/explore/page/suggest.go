package page

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
)

// suggestPatience is the time limit for suggestions.
const suggestPatience = 4 * time.Second

// suggestions completes a filter. One request at a time uses the store.
func (p *Pages) suggestions(ctx context.Context, text string, at int) ([]explore.Suggestion, error) {
	if p.Off != "" {
		return nil, p.off()
	}
	ctx, cancel := context.WithTimeout(ctx, suggestPatience)
	defer cancel()
	leave, err := p.suggesting.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return p.Explorer.Suggest(ctx, text, at, viewerOf(ctx).Scopes)
}

// suggestJSON answers the script.
func (p *Pages) suggestJSON(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("filter")
	at, err := strconv.Atoi(r.URL.Query().Get("at"))
	if err != nil {
		at = len(text)
	}
	found, err := p.suggestions(r.Context(), text, at)
	if err != nil {
		fail(w, r, err)
		return
	}
	if found == nil {
		found = []explore.Suggestion{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}

// suggest answers with the page and completions at the end of the filter, for browsers without a script.
func (p *Pages) suggest(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	status := http.StatusOK
	q, err := p.parse(values)
	v := p.view(q, nil)
	p.addViews(v, viewerOf(r.Context()), q)
	text := values.Get("filter") // a space at its end says that a word is over
	v.Filter = text
	if err == nil {
		var found []explore.Suggestion
		if found, err = p.suggestions(r.Context(), text, len(text)); err == nil {
			for _, s := range found {
				v.Suggests = append(v.Suggests, newSuggested(s, values))
			}
			if len(found) == 0 {
				err = explore.Refused("Nothing is known that could stand at the end of this filter.")
			}
		}
	}
	if err != nil {
		v.Problem, status = &problem{Text: explore.Reason(err)}, explore.Status(err)
	}
	p.write(w, r, "explore", "Complete a filter", v, status)
}
