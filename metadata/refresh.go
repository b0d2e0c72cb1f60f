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

// RefresherOptions are what a Refresher works with.
type RefresherOptions struct {
	Conn     driver.Conn
	Settings schema.Settings
	Sources  []Source
	// Snapshot is where workers find the snapshot in use. It is replaced whole; the old one serves until then.
	Snapshot *atomic.Pointer[enrich.Snapshot]
	// File is the snapshot file, read at the start and replaced with each snapshot; "" for none.
	File string
	// Interval is how often the tables are looked at for what other programs have written; 0: never.
	Interval time.Duration
	// ForceUpdate writes a new version of every record at every load.
	ForceUpdate bool
	Log         *zap.Logger
}

// Refresher keeps the snapshot up to date: it loads each source on its interval and when one of its files changes, and
// makes a new snapshot when the tables have changed. What fails is reported and tried again; the snapshot in use stays.
type Refresher struct {
	options  RefresherOptions
	again    chan struct{}
	hangups  atomic.Int64                  // calls of Reload
	next     atomic.Pointer[Configuration] // that Run is to take over
	loaded   chan struct{}                 // closed when what is on disk was loaded once
	complete chan struct{}                 // closed when every source was tried once
	state    string                        // of the tables that the snapshot in use was built from
	settle   time.Duration
	poll     time.Duration // between looks at the files
	nextLook time.Time     // at the files
	sources  []sourceState
	fetched  chan fetchResult
	round    int      // counts configurations: a download of an earlier one is not waited for
	look     schedule // of the tables
	current  atomic.Int64
	shrink   shrinkGuard
	problems problemList
	watching watching
}

// sourceState is what Run knows of a source.
type sourceState struct {
	load     schedule // when it is read and loaded
	fetch    schedule // when it is downloaded
	fetching bool
	fetchErr error    // of the last download
	tried    bool     // it was loaded once, or that failed
	had      []string // the names of its sets when all of it was read last
	files    string   // what its files looked like when they were read
}

// fetchResult is a download that has ended.
type fetchResult struct {
	round, source int
	err           error
}

// schedule is when something is next to be done.
type schedule struct {
	due    time.Time // zero: not by time
	failed int       // how often in a row
}

const (
	settleTime = time.Second      // after the last change of a file, for editors and copies to finish
	pollTime   = time.Minute      // between looks at the files: not every change is an event
	afterMost  = 24 * time.Hour   // that a server's Retry-After is followed
	retryGap   = 30 * time.Second // after a failure, doubled for each further one
	retryMax   = time.Hour
	maxLines   = 20 // problems of a load that are logged one by one
)

// done sets when it is next to be done: after the interval, if there is one, or after a failure, if it is to be tried
// again.
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

// notBefore puts off what is due.
func (s *schedule) notBefore(t time.Time) {
	if !s.due.IsZero() && s.due.Before(t) {
		s.due = t
	}
}

func (s *schedule) isDue(now time.Time) bool { return !s.due.IsZero() && !now.Before(s.due) }

// NewRefresher returns a Refresher, which does nothing until Run.
func NewRefresher(o RefresherOptions) *Refresher {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Refresher{
		options: o, again: make(chan struct{}, 1), loaded: make(chan struct{}), complete: make(chan struct{}),
		fetched: make(chan fetchResult), settle: settleTime, poll: pollTime,
	}
}

// Configuration is what may change while a Refresher runs.
type Configuration struct {
	Sources     []Source
	Interval    time.Duration
	ForceUpdate bool
}

// Configure has Run work with another configuration, beginning with a load of all sources. It does not wait.
func (r *Refresher) Configure(c Configuration) {
	r.next.Store(&c)
	r.wake()
}

// takeOver puts the configuration that waits, if one does, in use. What the sources of before had read stays known, so
// that files which are not read any more are noticed.
func (r *Refresher) takeOver() {
	c := r.next.Swap(nil)
	if c == nil {
		return
	}
	r.options.Interval, r.options.ForceUpdate = c.Interval, c.ForceUpdate
	r.replaceSources(c.Sources)
}

// replaceSources puts other sources in use; all of them are due.
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

// addSources puts sources in use of which some were not there before; only those are due.
func (r *Refresher) addSources(sources []Source) {
	before, now := r.byName(), time.Now()
	r.options.Sources, r.sources = sources, make([]sourceState, len(sources))
	r.round++
	for i := range r.sources {
		state, was := before[sources[i].Name]
		r.sources[i] = state
		if !was || state.fetching { // what is being downloaded has the old number
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

// due has a source loaded now, after a download if it has one. A download that failed a moment ago, maybe in an earlier
// run, waits.
func (r *Refresher) due(i int, now time.Time) {
	s, state := &r.options.Sources[i], &r.sources[i]
	if s.Fetch == nil {
		state.load.due = now
		return
	}
	state.fetch.due = now
	if wait := s.UntilRetry(now); wait > 0 {
		state.fetch.due, state.load.due = now.Add(wait), now // what is on disk meanwhile
		r.options.Log.Info("a download that failed is not tried again yet: its server counts them",
			zap.String("source", s.Name),
			zap.Duration("next try in", wait.Round(time.Second)),
			zap.String("at once with", "collector metadata load "+s.Name))
	}
}

// Reload has Run load all sources now, as for SIGHUP. It does not wait. Twice within ten minutes means that what is
// held back because it shrank is right.
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

// Loaded is closed when Run has loaded what is on disk once and built a snapshot of it. Downloads are not waited for.
func (r *Refresher) Loaded() <-chan struct{} { return r.loaded }

// Complete is closed when Run has tried every source once, downloads included.
func (r *Refresher) Complete() <-chan struct{} { return r.complete }

// Problems are what is wrong with the metadata in use, a line each: sources that cannot be read, tables that are
// missing, kinds that are kept as they were because they shrank.
func (r *Refresher) Problems() []string { return r.problems.lines() }

// Current is when the snapshot in use was last seen to be what the tables say; zero: not yet.
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
			r.options.Log.Warn("the metadata kept from the last run cannot be used", zap.Error(err))
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
	// What the tables have serves until the sources, some of them far away, are read.
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

// tell closes the channels of what has been reached.
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

// hangup has everything read again, also by another configuration.
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
	r.watch() // of directories that there are by now, too
}

// findSources takes sources over that have something to read by now: an additions file can be put there after the
// start.
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

// startFetches has what is to be downloaded now downloaded, each source on its own: one that hangs delays only itself.
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

// takeFetched has what was downloaded loaded, and plans the next download.
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
		// A file that cannot be read is read again when it changes.
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

// refer has sources loaded again that refer to what a source before them has just written: their references are known
// by now. Sources of millions of records are only loaded again when they came too early.
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

// load reads a source and writes what is new in it. Both can fail in part.
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
			r.options.Log.Warn("metadata left out", zap.Stringer("problem", p))
		}
	}
	results, loadErr := l.Load(ctx, sets...)
	for _, result := range results {
		r.options.Log.Info("metadata loaded", zap.Stringer("result", result))
		written += result.Written
		r.shrink.refused = r.shrink.refused || result.VanishedRefused > 0
	}
	if errors.Is(loadErr, errNotOneGood) {
		r.shrink.refused = true
	}
	if lines > maxLines {
		r.options.Log.Warn("more metadata left out", zap.String("source", s.Name), zap.Int("problems", lines-maxLines))
	}
	if readErr == nil {
		loadErr = errors.Join(loadErr, r.forgetGone(ctx, l, sets, state))
	}
	return written, readErr, loadErr
}

// forgetGone makes the records of a file vanish that was there before and has been removed. Where all files are gone at
// once it is rather the disk that is missing.
func (r *Refresher) forgetGone(ctx context.Context, l *Loader, sets []record.Set, when *sourceState) error {
	var has []string
	for _, s := range sets {
		has = append(has, s.Source)
	}
	if len(has) == 0 && len(when.had) > 0 && !l.AllowShrink {
		r.shrink.refused = true
		were := slices.Compact(slices.Clone(when.had))
		r.options.Log.Warn("no metadata file is left; their records stay in force; if that is right: SIGHUP twice within ten minutes", zap.Strings("were", were))
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
			when.had = append(when.had, source) // next time
			errs = append(errs, fmt.Errorf("%s: forget its records: %w", source, err))
			continue
		}
		r.options.Log.Info("metadata file removed", zap.String("source", source), zap.Int("vanished", n))
	}
	return errors.Join(errs...)
}

// reloadDictionaries has the views name applications, and queries name AS, as the rows do from now on.
func (r *Refresher) reloadDictionaries(ctx context.Context) {
	for _, statement := range r.options.Settings.ReloadDictionaries() {
		if err := r.options.Conn.Exec(ctx, statement); err != nil {
			r.options.Log.Warn("a dictionary is as it was, until its lifetime is over", zap.Error(lograte.OneLine(err)))
		}
	}
}

// releaseMemory gives back what was read of the sources, what a snapshot was made of, and the one before it: each more
// than the snapshot itself, and for an hour or a day nobody needs it.
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
