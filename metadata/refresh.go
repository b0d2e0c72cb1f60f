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
	"github.com/metranova/flow-collector/metadata/record"
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

// Refresher keeps the snapshot up to date: it loads each source on its interval and when one of its files changes, and makes a new
// snapshot when the tables have changed. What fails is reported and tried again; the snapshot in use stays.
type Refresher struct {
	options RefresherOptions
	again   chan struct{}
	next    atomic.Pointer[Configuration] // that Run is to take over
	loaded  chan struct{}                 // closed after the first round
	first   sync.Once
	state   string // of the tables that the snapshot in use was built from
	settle  time.Duration
	sources []schedule
	look    schedule // of the tables
	current atomic.Int64
}

// schedule is when something is next to be done.
type schedule struct {
	due    time.Time // zero: not by time
	failed int       // how often in a row
	had    []string  // the names of a source's sets when all of it was read last
}

const (
	settleTime = time.Second      // after the last change of a file, for editors and copies to finish
	retryGap   = 30 * time.Second // after a failure, doubled for each further one
	retryMax   = time.Hour
	maxLines   = 20 // problems of a load that are logged one by one
)

// done sets when it is next to be done: after the interval, if there is one, or after a failure, if it is to be tried again.
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

func (s *schedule) isDue(now time.Time) bool { return !s.due.IsZero() && !now.Before(s.due) }

// NewRefresher returns a Refresher, which does nothing until Run.
func NewRefresher(o RefresherOptions) *Refresher {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Refresher{options: o, again: make(chan struct{}, 1), loaded: make(chan struct{}), settle: settleTime}
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
	r.Reload()
}

// takeOver puts the configuration that waits, if one does, in use. What the sources of before had read stays known, so that files
// which are not read any more are noticed.
func (r *Refresher) takeOver() {
	c := r.next.Swap(nil)
	if c == nil {
		return
	}
	had := map[string][]string{}
	for i := range r.options.Sources {
		had[r.options.Sources[i].Name] = r.sources[i].had
	}
	r.options.Sources, r.options.Interval, r.options.ForceUpdate = c.Sources, c.Interval, c.ForceUpdate
	r.sources = make([]schedule, len(c.Sources))
	for i := range r.sources {
		r.sources[i].had = had[c.Sources[i].Name]
	}
}

// Reload has Run load all sources now, as for SIGHUP. It does not wait.
func (r *Refresher) Reload() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

// Loaded is closed when Run has tried every source once and built a snapshot of what there is.
func (r *Refresher) Loaded() <-chan struct{} { return r.loaded }

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
	watch := r.watch()
	defer func() { stopWatch(watch) }()
	now := time.Now()
	r.sources = make([]schedule, len(r.options.Sources))
	for i := range r.sources {
		r.sources[i].due = now
	}
	// What the tables have serves until the sources, some of them far away, are read.
	r.tryRebuild(ctx)
	for {
		r.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.first.Do(func() { close(r.loaded) })
		changed := r.wait(ctx, watch, r.earliest())
		if changed == nil {
			r.takeOver()
			stopWatch(watch)
			watch = r.watch() // of directories that there are by now, too
		}
		now = time.Now()
		for i := range r.options.Sources {
			if changed == nil || slices.ContainsFunc(changed, r.options.Sources[i].reads) {
				r.sources[i].due = now
			}
		}
	}
}

// round loads the sources that are due and rebuilds.
func (r *Refresher) round(ctx context.Context) {
	loaded := false
	for i := range r.options.Sources {
		s, when := &r.options.Sources[i], &r.sources[i]
		if !when.isDue(time.Now()) {
			continue
		}
		readErr, loadErr := r.load(ctx, s, when)
		if err := errors.Join(readErr, loadErr); err != nil && ctx.Err() == nil {
			r.options.Log.Error("metadata not loaded", zap.String("source", s.Name), zap.Error(oneLine(err)))
		}
		// A file that cannot be read is read again when it changes.
		when.done(s.Interval, loadErr != nil || readErr != nil && s.Remote)
		loaded = true
	}
	if loaded {
		releaseMemory()
	}
	if loaded || r.look.isDue(time.Now()) {
		r.tryRebuild(ctx)
	}
}

func (r *Refresher) tryRebuild(ctx context.Context) {
	err := r.rebuild(ctx)
	if err != nil && ctx.Err() == nil {
		r.options.Log.Error("the metadata in use stays", zap.Error(oneLine(err)))
	}
	r.look.done(r.options.Interval, err != nil)
}

func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// load reads a source and writes what is new in it. Both can fail in part.
func (r *Refresher) load(ctx context.Context, s *Source, when *schedule) (readErr, loadErr error) {
	sets, readErr := s.Read(ctx)
	l := NewLoader(r.options.Conn, r.options.Settings)
	l.ForceUpdate = r.options.ForceUpdate
	lines := 0
	l.Report = func(p record.Problem) {
		if lines++; lines <= maxLines {
			r.options.Log.Warn("metadata left out", zap.Stringer("problem", p))
		}
	}
	results, loadErr := l.Load(ctx, sets...)
	for _, result := range results {
		r.options.Log.Info("metadata loaded", zap.Stringer("result", result))
	}
	if lines > maxLines {
		r.options.Log.Warn("more metadata left out", zap.String("source", s.Name), zap.Int("problems", lines-maxLines))
	}
	if readErr == nil {
		loadErr = errors.Join(loadErr, r.forgetGone(ctx, l, sets, when))
	}
	return readErr, loadErr
}

// forgetGone makes the records of a file vanish that was there before and has been removed. Where all files are gone at once it
// is rather the disk that is missing.
func (r *Refresher) forgetGone(ctx context.Context, l *Loader, sets []record.Set, when *schedule) error {
	var has []string
	for _, s := range sets {
		has = append(has, s.Source)
	}
	if len(has) == 0 && len(when.had) > 0 {
		r.options.Log.Warn("no metadata file is left; their records stay in force", zap.Strings("were", slices.Compact(when.had)))
		return nil
	}
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

// rebuild makes a new snapshot, if the tables have changed, and puts it in use.
func (r *Refresher) rebuild(ctx context.Context) error {
	d := &database{r.options.Conn, r.options.Settings}
	state, err := d.state(ctx)
	if err != nil {
		return err
	}
	if state == r.state {
		r.current.Store(time.Now().Unix())
		return nil
	}
	began := time.Now()
	b := enrich.NewBuilder()
	f := builderFeed(b)
	var file *snapshotWriter
	if r.options.File != "" {
		if file, err = createSnapshotFile(r.options.File); err != nil {
			r.options.Log.Warn("the metadata is not kept for the next start", zap.Error(err))
		} else {
			defer file.abandon()
			f = both(f, file.feed())
		}
	}
	if err := d.feed(ctx, f); err != nil {
		return err
	}
	s, err := b.Build()
	if err != nil {
		return err
	}
	if err := checkSnapshot(r.options.Snapshot.Load(), s, r.options.Settings.IPRefExtensions); err != nil {
		if r.options.File != "" {
			err = fmt.Errorf("%w; if it is right, remove %s and restart", err, r.options.File)
		}
		return err
	}
	r.options.Snapshot.Store(s)
	r.state = state
	r.current.Store(time.Now().Unix())
	r.reloadDictionaries(ctx)
	r.options.Log.Info("metadata in use", zap.Any("records", s.Stats()), zap.Duration("took", time.Since(began)))
	if file != nil {
		if err := file.commit(); err != nil {
			r.options.Log.Warn("the metadata is not kept for the next start", zap.Error(err))
		}
	}
	releaseMemory()
	return nil
}

// reloadDictionaries has the views name applications, and queries name AS, as the rows do from now on.
func (r *Refresher) reloadDictionaries(ctx context.Context) {
	for _, statement := range r.options.Settings.ReloadDictionaries() {
		if err := r.options.Conn.Exec(ctx, statement); err != nil {
			r.options.Log.Warn("a dictionary is as it was, until its lifetime is over", zap.Error(oneLine(err)))
		}
	}
}

// releaseMemory gives back what was read of the sources, what a snapshot was made of, and the one before it: each more than the
// snapshot itself, and for an hour or a day nobody needs it.
func releaseMemory() { debug.FreeOSMemory() }

// state is a text that changes when a table that a snapshot is made of does.
func (d *database) state(ctx context.Context) (string, error) {
	tables := []string{record.Organization, record.AS, record.Device, record.Interface, record.Application, record.ASPrefix, record.IP, sourceTable}
	for _, name := range d.settings.IPRefExtensions {
		tables = append(tables, "meta_ip_"+name)
	}
	var state strings.Builder
	for _, t := range tables {
		var rows uint64
		var last string
		// Merges leave fewer rows of the two tables that replace them.
		count, from := "count()", d.name(t)
		switch t {
		case sourceTable: // its time has microseconds
			count = "toUInt64(0)"
		case record.Application:
			from += " FINAL"
		}
		if err := d.conn.QueryRow(ctx, "SELECT "+count+", toString(max(insert_time)) FROM "+from).Scan(&rows, &last); err != nil {
			return "", fmt.Errorf("look at %s: %w", t, err)
		}
		fmt.Fprintln(&state, t, rows, last)
	}
	return state.String(), nil
}

func (r *Refresher) earliest() time.Time {
	first := r.look.due
	for _, s := range r.sources {
		if !s.due.IsZero() && (first.IsZero() || s.due.Before(first)) {
			first = s.due
		}
	}
	return first
}
