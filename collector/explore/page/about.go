package page

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
)

// about fills the template of a subject's page: its metadata and its traffic.
type about struct {
	What, Label string
	known
	Prefix   string // that holds an address
	SeenDays int
	Losses   *explore.Losses // of the first panel's time
	Full     string          // how full it was in the first panel's time; "" of what has no speed
	Sampling string
	Panels   []aboutPanel
	Problem  *problem
}

type aboutPanel struct {
	*panel
	More    string // the page of the question
	Problem *problem
}

// known is what is known of a subject beside its traffic.
type known struct {
	Facts       []explore.Fact
	First, Last string  // flows of the last days
	Speed       float64 // bits a second; 0 is not known
}

// seenDays is the number of days in which a subject's first and last flows are searched.
const seenDays = 7

// aboutAddress returns the address of a subject's page, relative to the collector's.
func aboutAddress(s explore.Subject) string {
	return "about?" + url.Values{string(s.Kind): {s.ID}}.Encode()
}

func (p *Pages) about(w http.ResponseWriter, r *http.Request) {
	v := &about{What: "Nothing", SeenDays: seenDays}
	status := http.StatusOK
	ctx, cancel := context.WithTimeout(r.Context(), p.Patience)
	defer cancel()
	if err := p.fillAbout(ctx, v, r.URL.Query()); err != nil {
		if r.Context().Err() != nil {
			return // nobody waits for it
		}
		v.Problem, status = &problem{Text: explore.Reason(err)}, explore.Status(err)
	}
	p.write(w, r, "about", v.Label, v, status)
}

// subjectOf returns the subject that the parameters name. Others are ignored, because proxies and mail programs add
// parameters of their own.
func subjectOf(values url.Values) (s explore.Subject, err error) {
	names := slices.Sorted(maps.Keys(values))
	for _, name := range append(names, "") {
		found, failed := explore.ParseSubject(name, values.Get(name))
		if failed == nil {
			return found, nil
		}
		if err == nil {
			err = failed
		}
	}
	return s, err
}

func (p *Pages) fillAbout(ctx context.Context, v *about, values url.Values) error {
	s, err := subjectOf(values)
	if err != nil {
		return err
	}
	if p.Off != "" {
		return p.off()
	}
	v.What, v.Label = s.Title(), s.Label()
	ref := ""
	if a, err := netip.ParseAddr(s.ID); err == nil && s.Kind == explore.SubjectAddress && p.Prefix != nil {
		if found, prefix, ok := p.Prefix(a); ok {
			ref, v.Prefix = found, prefix.String()
		}
	}
	questions := s.Questions()
	traffic := p.askPanels(ctx, v, questions)
	// The last question is the one about flows in either direction, see Subject.Questions.
	if v.known, err = p.askKnown(ctx, s, ref, questions[len(questions)-1].Question.Filter); err != nil {
		return err
	}
	if s.HasSpeed() && traffic != nil {
		v.Full = traffic.Fullness(v.Speed)
	}
	return nil
}

// askPanels asks the questions about a subject concurrently. Those that get no turn wait for one. It returns the answer
// that is drawn over time; nil if there is none.
func (p *Pages) askPanels(ctx context.Context, v *about, questions []explore.Titled) *explore.Answer {
	v.Panels = make([]aboutPanel, len(questions))
	first := slices.IndexFunc(questions, func(x explore.Titled) bool { return x.Question.View.OverTime() })
	answers, problems := make([]*explore.Answer, len(questions)), make([]error, len(questions))
	var all sync.WaitGroup
	for i, x := range questions {
		all.Go(func() {
			defer func() { // only the goroutine of a request recovers by itself, and this process receives datagrams
				if broken := recover(); broken != nil {
					problems[i] = &explore.Failure{Text: fmt.Sprintf("The collector failed at this: %v", broken),
						Code: http.StatusInternalServerError}
					p.Log.Error("a question cannot be answered", zap.Any("panic", broken), zap.Stack("stack"))
				}
			}()
			answers[i], problems[i] = p.ask(ctx, x.Question, i == first)
		})
	}
	all.Wait()
	for i, x := range questions {
		one := aboutPanel{More: x.Question.Address(address)}
		if err := problems[i]; err != nil {
			one.panel, one.Problem = new(panel), problemOf(x.Question, err)
		} else {
			one.panel = p.newPanel(answers[i])
			one.lighten()
		}
		one.Title = x.Title
		v.Panels[i] = one
	}
	if first < 0 || answers[first] == nil {
		return nil
	}
	if v.Losses = answers[first].Losses; v.Losses != nil {
		v.Sampling = v.Losses.Sampling(answers[first].From)
	}
	return answers[first]
}

// keepKnown is how long what is known of a subject is kept.
const keepKnown = time.Minute

// askKnown returns a subject's metadata, and when the first and the last flow began that pass a filter: from the cache,
// or from the store.
func (p *Pages) askKnown(ctx context.Context, s explore.Subject, ref, filter string) (known, error) {
	only := viewerOf(ctx).Scopes
	key := withScopes(aboutAddress(s)+"\x00"+ref, only)
	if k, found := p.known.get(key); found {
		return k, nil
	}
	leave, err := p.asking.take(ctx)
	if err != nil {
		return known{}, err
	}
	defer leave()
	facts, err := p.Explorer.Facts(ctx, s, ref)
	if err != nil {
		return known{}, err
	}
	k := known{Facts: facts}
	if k.Speed, err = p.Explorer.Speed(ctx, s); err != nil {
		return known{}, err
	}
	first, last, err := p.Explorer.Seen(ctx, filter, only, seenDays)
	if err != nil {
		return known{}, err
	}
	if !first.IsZero() {
		k.First, k.Last = first.Format(time.DateTime), last.Format(time.DateTime)
	}
	p.known.put(key, k, keepKnown)
	return k, nil
}
