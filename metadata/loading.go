package metadata

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/lograte"
)

// fetchResult is the result of a download.
type fetchResult struct {
	round, source int
	err           error
}

// findSources adds sources that have something to read by now: an additions file can appear after the start.
func (r *Refresher) findSources() {
	for _, s := range r.options.Sources {
		if s.Find == nil {
			continue
		}
		found := s.Find()
		named := func(list []Source, name string) bool {
			return slices.ContainsFunc(list, func(s Source) bool { return s.Name == name })
		}
		if !slices.ContainsFunc(found, func(s Source) bool { return !named(r.options.Sources, s.Name) }) {
			return
		}
		for _, old := range r.options.Sources {
			if !named(found, old.Name) {
				found = append(found, old)
			}
		}
		r.addSources(found)
		return
	}
}

// startFetches starts the downloads that are due, each on its own: one that hangs delays only its source.
func (r *Refresher) startFetches(ctx context.Context, fetches *sync.WaitGroup) {
	for i := range r.options.Sources {
		s, state, round := r.options.Sources[i], &r.sources[i], r.round
		if s.Fetch == nil || state.fetching || !state.fetch.isDue(time.Now()) {
			continue
		}
		state.fetching, state.fetch.due = true, time.Time{}
		fetches.Go(func() {
			result := fetchResult{round: round, source: i, err: s.FetchNoted(ctx)}
			select {
			case r.fetched <- result:
			case <-ctx.Done():
			}
		})
	}
}

// takeFetched makes a downloaded source due for loading, and schedules its next download.
func (r *Refresher) takeFetched(f fetchResult) {
	if f.round != r.round {
		return
	}
	s, state := &r.options.Sources[f.source], &r.sources[f.source]
	state.fetching, state.fetchErr = false, f.err
	state.load.due = time.Now()
	state.fetch.done(s.Interval, f.err != nil)
	if f.err != nil {
		state.fetch.notBefore(time.Now().Add(s.RetryMin))
		var later *download.RetryAfterError
		if errors.As(f.err, &later) {
			state.fetch.notBefore(time.Now().Add(min(later.After, afterMost)))
		}
	}
}

// loadDue loads the sources that are due and rebuilds.
func (r *Refresher) loadDue(ctx context.Context) {
	loaded := false
	for i := range r.options.Sources {
		s, state := &r.options.Sources[i], &r.sources[i]
		if !state.load.isDue(time.Now()) {
			continue
		}
		state.files = look(s)
		written, readErr, loadErr := r.load(ctx, s, state)
		if ctx.Err() != nil {
			return
		}
		fetchErr := state.fetchErr
		nothing := errors.Is(readErr, source.ErrNotDownloaded)
		if fetchErr != nil && nothing {
			readErr = nil // fetchErr says why
		}
		state.fetchErr = nil
		r.sayLoaded(s, nothing, fetchErr, errors.Join(readErr, loadErr))
		// An unreadable file is read again when it changes.
		interval := s.Interval
		if s.Fetch != nil {
			interval = 0
		}
		state.load.done(interval, loadErr != nil || readErr != nil && s.Remote && s.Fetch == nil)
		r.refer(i, written)
		loaded, state.tried = true, true
	}
	if loaded {
		releaseMemory()
	}
	if loaded || r.look.isDue(time.Now()) {
		r.tryRebuild(ctx)
	}
}

// sayLoaded logs what went wrong with a source and keeps it for Problems. If only its download failed and files from
// before were loaded, that is a warning that names them with their dates. nothing: there was no file to read.
func (r *Refresher) sayLoaded(s *Source, nothing bool, fetchErr, loadErr error) {
	err := errors.Join(fetchErr, loadErr)
	if err == nil {
		r.problems.set("source "+s.Name, "")
		return
	}
	name, line := zap.String("source", s.Name), lograte.OneLine(err)
	if used := s.InUse(); fetchErr != nil && loadErr == nil && !nothing && len(used) > 0 {
		r.options.Log.Warn("download failed: the files from before are used", name, zap.Strings("files", used),
			zap.Error(line))
		r.problems.set("source "+s.Name, fmt.Sprintf("%s: download failed: %v; in use: %s", s.Name, line,
			strings.Join(used, ", ")))
		return
	}
	r.options.Log.Error("source not loaded", name, zap.Error(line))
	r.problems.set("source "+s.Name, fmt.Sprintf("%s: %v", s.Name, line))
}

// refer makes sources due again that refer to records just written, as their references can be resolved now. Sources of
// millions of records are only loaded again if they were loaded too early.
func (r *Refresher) refer(i, written int) {
	if written == 0 || r.options.ForceUpdate {
		return
	}
	for later := i + 1; later < len(r.sources); later++ {
		s, state := &r.options.Sources[later], &r.sources[later]
		if state.tried && (s.Fetch == nil || !r.sources[i].tried) {
			state.load.due = time.Now()
		}
	}
}

func (r *Refresher) tryRebuild(ctx context.Context) {
	err := r.rebuild(ctx)
	if err != nil && ctx.Err() == nil {
		r.options.Log.Error("the metadata in use stays", zap.Error(lograte.OneLine(err)))
	}
	r.look.done(r.options.Interval, err != nil)
}

// load reads a source and writes what is new in it. Both steps can fail in part.
func (r *Refresher) load(ctx context.Context, s *Source, state *sourceState) (written int, readErr, loadErr error) {
	read := s.ReadLocal
	if read == nil {
		read = s.Read
	}
	sets, readErr := read(ctx)
	l := NewLoader(r.options.Conn, r.options.Settings)
	l.ForceUpdate, l.AllowShrink = r.options.ForceUpdate, r.shrink.isAllowed(time.Now())
	lines := 0
	l.Report = func(p record.Problem) {
		if lines++; lines <= maxLines {
			r.options.Log.Warn("left out", zap.Stringer("problem", p))
		}
	}
	results, loadErr := l.Load(ctx, sets...)
	for _, result := range results {
		r.options.Log.Info("source loaded", zap.Stringer("result", result))
		written += result.Written
		r.shrink.refused = r.shrink.refused || result.VanishedRefused > 0
	}
	if errors.Is(loadErr, errNotOneGood) {
		r.shrink.refused = true
	}
	if lines > maxLines {
		r.options.Log.Warn("more left out", zap.String("source", s.Name), zap.Int("problems", lines-maxLines))
	}
	if readErr == nil {
		loadErr = errors.Join(loadErr, r.forgetGone(ctx, l, sets, state))
	}
	return written, readErr, loadErr
}

// forgetGone makes the records of a removed file vanish. If all files are gone at once, the disk is probably missing,
// and the records stay.
func (r *Refresher) forgetGone(ctx context.Context, l *Loader, sets []record.Set, when *sourceState) error {
	var has []string
	for _, s := range sets {
		has = append(has, s.Source)
	}
	if len(has) == 0 && len(when.had) > 0 && !l.AllowShrink {
		r.shrink.refused = true
		were := slices.Compact(slices.Clone(when.had))
		r.options.Log.Warn("no metadata file is left; their records stay in force; if that is right: SIGHUP twice "+
			"within ten minutes", zap.Strings("were", were))
		r.problems.set("gone", "no metadata file is left; their records stay in force: "+strings.Join(were, ", "))
		return nil
	}
	r.problems.set("gone", "")
	had := when.had
	when.had = has
	var errs []error
	for _, source := range had {
		if slices.Contains(when.had, source) {
			continue
		}
		n, err := l.Forget(ctx, source)
		if err != nil {
			when.had = append(when.had, source) // tried again next time
			errs = append(errs, fmt.Errorf("%s: forget its records: %w", source, err))
			continue
		}
		r.options.Log.Info("metadata file removed", zap.String("source", source), zap.Int("vanished", n))
	}
	return errors.Join(errs...)
}

// reloadDictionaries makes views and queries use the names of applications and AS that rows have from now on.
func (r *Refresher) reloadDictionaries(ctx context.Context) {
	for _, statement := range r.options.Settings.ReloadDictionaries() {
		if err := r.options.Conn.Exec(ctx, statement); err != nil {
			r.options.Log.Warn("a dictionary could not be reloaded and is unchanged until its lifetime ends",
				zap.Error(lograte.OneLine(err)))
		}
	}
}

// releaseMemory returns memory to the system: what was read from the sources, what the snapshot was built from, and the
// previous snapshot. Each is larger than the snapshot itself, and not needed again for an hour or a day.
func releaseMemory() { debug.FreeOSMemory() }
