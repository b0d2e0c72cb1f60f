package metadata

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/enrich"
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
