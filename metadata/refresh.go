package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
)

// RefresherOptions configure a Refresher.
type RefresherOptions struct {
	Conn     driver.Conn
	Settings schema.Settings
	Sources  []Source
	// Snapshot is where workers read the snapshot in use. It is replaced as a whole.
	Snapshot *atomic.Pointer[enrich.Snapshot]
	// File is the snapshot file, read at the start and replaced with each snapshot; "": none.
	File string
	// Interval is how often the tables are checked for changes by other programs; 0: never.
	Interval time.Duration
	// ForceUpdate writes a new version of every record in every load.
	ForceUpdate bool
	Log         *zap.Logger
}

// Refresher keeps the snapshot up to date. It loads each source at its interval and when one of its files changes, and
// builds a new snapshot when the tables have changed. Failures are reported and retried; the snapshot in use stays.
type Refresher struct {
	options  RefresherOptions
	again    chan struct{}
	hangups  atomic.Int64                  // number of calls of Reload
	next     atomic.Pointer[Configuration] // for Run to take over
	loaded   chan struct{}                 // closed when local files have been loaded once
	complete chan struct{}                 // closed when every source has been tried once
	state    string                        // of the tables that the snapshot in use was built from
	settle   time.Duration
	poll     time.Duration // time between two checks of the files
	nextLook time.Time     // time of the next check of the files
	sources  []sourceState
	fetched  chan fetchResult
	round    int      // number of the configuration: downloads of an earlier one are ignored
	look     schedule // of checking the tables
	current  atomic.Int64
	shrink   shrinkGuard
	problems problemList
	watching watching
}

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

// fetchResult is the result of a download.
type fetchResult struct {
	round, source int
	err           error
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

// NewRefresher returns a Refresher. It does nothing until Run.
func NewRefresher(o RefresherOptions) *Refresher {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Refresher{
		options: o, again: make(chan struct{}, 1), loaded: make(chan struct{}), complete: make(chan struct{}),
		fetched: make(chan fetchResult), settle: settleTime, poll: pollTime,
	}
}

// Configuration is what can change while a Refresher runs.
type Configuration struct {
	Sources     []Source
	Interval    time.Duration
	ForceUpdate bool
}

// Configure makes Run use another configuration; all sources are loaded again. It does not wait.
func (r *Refresher) Configure(c Configuration) {
	r.next.Store(&c)
	r.wake()
}

// takeOver puts a new configuration, if there is one, in use. What the former sources read is remembered, so that files
// which are no longer read are noticed.
func (r *Refresher) takeOver() {
	c := r.next.Swap(nil)
	if c == nil {
		return
	}
	r.options.Interval, r.options.ForceUpdate = c.Interval, c.ForceUpdate
	r.replaceSources(c.Sources)
}

// replaceSources puts other sources in use. All of them are due.
func (r *Refresher) replaceSources(sources []Source) {
	before := r.byName()
	r.options.Sources, r.sources = sources, make([]sourceState, len(sources))
	r.round++
	now := time.Now()
	for i := range r.sources {
		r.sources[i].had = before[sources[i].Name].had
		r.due(i, now)
	}
}

// addSources puts sources in use that partly existed before. Only the new ones are due.
func (r *Refresher) addSources(sources []Source) {
	before, now := r.byName(), time.Now()
	r.options.Sources, r.sources = sources, make([]sourceState, len(sources))
	r.round++
	for i := range r.sources {
		state, was := before[sources[i].Name]
		r.sources[i] = state
		if !was || state.fetching { // the running download belongs to the old number
			r.sources[i].fetching = false
			r.due(i, now)
		}
	}
}

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

// Reload makes Run load all sources now, as for SIGHUP. It does not wait. Two calls within ten minutes accept metadata
// that shrank.
func (r *Refresher) Reload() {
	r.hangups.Add(1)
	r.wake()
}

func (r *Refresher) wake() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

// Loaded is closed when Run has loaded all local files once and built a snapshot. It does not wait for downloads.
func (r *Refresher) Loaded() <-chan struct{} { return r.loaded }

// Complete is closed when Run has tried every source once, including downloads.
func (r *Refresher) Complete() <-chan struct{} { return r.complete }

// Problems returns what is wrong with the metadata in use, one line each: unreadable sources, missing tables, kinds
// that stay as they were because they shrank.
func (r *Refresher) Problems() []string { return r.problems.lines() }

// Current returns when the snapshot in use was last found to match the tables; zero: not yet.
func (r *Refresher) Current() time.Time {
	if t := r.current.Load(); t != 0 {
		return time.Unix(t, 0)
	}
	return time.Time{}
}

// Start puts a first snapshot in use, so that the first row is enriched: that of the snapshot file, or an empty one.
func (r *Refresher) Start() error {
	var s *enrich.Snapshot
	var err error
	if r.options.File != "" {
		if info, statErr := os.Stat(r.options.File); statErr == nil {
			r.shrink.accepted = info.ModTime()
		}
		if s, err = LoadSnapshotFile(r.options.File); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.options.Log.Warn("the metadata saved by the last run cannot be used", zap.Error(err))
		}
	}
	if s == nil {
		if s, err = enrich.NewBuilder().Build(); err != nil {
			return err
		}
	}
	r.options.Snapshot.Store(s)
	releaseMemory()
	return nil
}

// Run loads and rebuilds until ctx ends.
func (r *Refresher) Run(ctx context.Context) error {
	var fetches sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer fetches.Wait()
	defer stop()
	r.watch()
	defer r.watching.stop()
	r.replaceSources(r.options.Sources)
	r.nextLook = time.Now().Add(r.poll)
	// The tables' contents serve until the sources, some of them remote, are read.
	r.tryRebuild(ctx)
	for {
		r.startFetches(ctx, &fetches)
		r.loadDue(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.tell()
		changed := r.wait(ctx, r.earliest())
		if changed == nil {
			r.hangup()
		}
		now := time.Now()
		for i := range r.options.Sources {
			if slices.ContainsFunc(changed, func(path string) bool { return reads(&r.options.Sources[i], path) }) {
				r.sources[i].load.due = now
			}
		}
	}
}

// tell closes Loaded and Complete when they are reached.
func (r *Refresher) tell() {
	local, all := true, true
	for i := range r.sources {
		all = all && r.sources[i].tried
		local = local && (r.sources[i].tried || r.options.Sources[i].Fetch != nil)
	}
	if local && !isClosed(r.loaded) {
		close(r.loaded)
	}
	if all && !isClosed(r.complete) {
		close(r.complete)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// hangup makes everything due again, also after a change of the configuration.
func (r *Refresher) hangup() {
	r.shrink.hangup(r.hangups.Load(), time.Now())
	if r.next.Load() != nil {
		r.takeOver()
	} else {
		now := time.Now()
		for i := range r.sources {
			r.due(i, now)
		}
	}
	r.findSources()
	r.watch() // including directories that exist by now
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
		if fetchErr != nil && errors.Is(readErr, source.ErrNotDownloaded) {
			readErr = nil // fetchErr says why
		}
		state.fetchErr = nil
		if err := errors.Join(fetchErr, readErr, loadErr); err != nil {
			r.options.Log.Error("metadata not loaded", zap.String("source", s.Name), zap.Error(lograte.OneLine(err)))
			r.problems.set("source "+s.Name, fmt.Sprintf("%s: %v", s.Name, lograte.OneLine(err)))
		} else {
			r.problems.set("source "+s.Name, "")
		}
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
