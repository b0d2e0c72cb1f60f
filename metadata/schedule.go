package metadata

import (
	"time"

	"go.uber.org/zap"
)

// sourceState is Run's state of a source.
type sourceState struct {
	load     schedule // of reading and loading
	fetch    schedule // of downloading
	fetching bool
	fetchErr error    // of the latest download
	tried    bool     // it was loaded once, or failed
	had      []string // the names of its sets when it was last read completely
	files    string   // the state of its files when they were read
}

// schedule is when something is due next.
type schedule struct {
	due    time.Time // zero: not by time
	failed int       // failures in a row
}

const (
	settleTime = time.Second      // after the last change of a file, for editors and copies to finish
	pollTime   = time.Minute      // between two checks of the files, because not every change is an event
	afterMost  = 24 * time.Hour   // the longest Retry-After that is followed
	retryGap   = 30 * time.Second // after a failure, doubled for each further one
	retryMax   = time.Hour
	maxLines   = 20 // problems of a load that are logged one by one
)

// done sets when it is due next: after the interval, if there is one, or after a failure, if it is to be retried.
func (s *schedule) done(interval time.Duration, again bool) {
	s.due = time.Time{}
	if !again {
		s.failed = 0
		if interval > 0 {
			s.due = time.Now().Add(interval)
		}
		return
	}
	s.due = time.Now().Add(min(retryGap<<min(s.failed, 10), retryMax))
	s.failed++
}

// notBefore postpones what is due earlier.
func (s *schedule) notBefore(t time.Time) {
	if !s.due.IsZero() && s.due.Before(t) {
		s.due = t
	}
}

func (s *schedule) isDue(now time.Time) bool { return !s.due.IsZero() && !now.Before(s.due) }

func (r *Refresher) byName() map[string]sourceState {
	all := map[string]sourceState{}
	for i := range r.sources {
		all[r.options.Sources[i].Name] = r.sources[i]
	}
	return all
}

// due makes a source due now, after a download if it has one. A download that failed recently, maybe in an earlier run,
// waits.
func (r *Refresher) due(i int, now time.Time) {
	s, state := &r.options.Sources[i], &r.sources[i]
	if s.Fetch == nil {
		state.load.due = now
		return
	}
	state.fetch.due = now
	if wait := s.UntilRetry(now); wait > 0 {
		state.fetch.due, state.load.due = now.Add(wait), now // the local files meanwhile
		r.options.Log.Info("a failed download is not retried yet, because the server limits downloads",
			zap.String("source", s.Name),
			zap.Duration("next try in", wait.Round(time.Second)),
			zap.String("at once with", "collector metadata load "+s.Name))
	}
}

func (r *Refresher) earliest() time.Time {
	first := r.look.due
	for i := range r.sources {
		for _, due := range []time.Time{r.sources[i].load.due, r.sources[i].fetch.due} {
			if !due.IsZero() && (first.IsZero() || due.Before(first)) {
				first = due
			}
		}
	}
	return first
}
