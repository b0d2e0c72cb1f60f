package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/fsnotify/fsnotify"
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
	loaded  chan struct{} // closed after the first round
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
	watch, err := r.watch()
	if err != nil {
		// Without notices there are still the intervals and Reload.
		r.options.Log.Warn("changes of metadata files will not be noticed", zap.Error(err))
	} else {
		defer watch.Close()
	}
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

// releaseMemory gives back what a snapshot was made of and the one before it: more than the snapshot itself, and for an hour or a
// day nobody needs it.
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

// watch watches the directories of the sources' files: an editor replaces a file rather than writing it.
func (r *Refresher) watch() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, s := range r.options.Sources {
		if s.Dir != "" {
			dirs = append(dirs, s.Dir)
		}
		for _, f := range s.Files() {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		err := w.Add(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			r.options.Log.Info("no metadata files: rows will have no devices, interfaces and so on until meta_*.yml stand there and SIGHUP is sent",
				zap.String("directory", dir))
		case err != nil:
			r.options.Log.Warn("changes of metadata files will not be noticed", zap.String("directory", dir), zap.Error(err))
		}
	}
	return w, nil
}

// wait waits for changed files, until time t (zero: for good), for Reload (nil is returned) or for ctx. It returns the changed files.
func (r *Refresher) wait(ctx context.Context, w *fsnotify.Watcher, t time.Time) []string {
	changed := []string{}
	var events chan fsnotify.Event
	var failures chan error
	if w != nil {
		events, failures = w.Events, w.Errors
	}
	timer := time.NewTimer(time.Until(t))
	if t.IsZero() {
		timer.Stop()
	}
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return changed
		case <-r.again:
			return nil
		case <-timer.C:
			return changed
		case err := <-failures:
			r.options.Log.Warn("a change of a metadata file may have been missed", zap.Error(err))
		case e := <-events:
			if e.Op != fsnotify.Chmod && r.isRead(e.Name) {
				changed = append(changed, e.Name)
				timer.Reset(r.settle)
			}
		}
	}
}

func (r *Refresher) isRead(path string) bool {
	return slices.ContainsFunc(r.options.Sources, func(s Source) bool { return s.reads(path) })
}

// reads reports whether a change of path is one of the source: path is a file of it, also one that has been removed.
func (s *Source) reads(path string) bool {
	path = filepath.Clean(path)
	dir, name := filepath.Split(path)
	if s.Dir != "" && filepath.Clean(dir) == filepath.Clean(s.Dir) && isMetadataFile(name) {
		return true
	}
	return slices.ContainsFunc(s.Files(), func(f string) bool {
		// Kubernetes changes all files of a directory at once, by a link that it replaces.
		return filepath.Clean(f) == path || name == "..data" && filepath.Clean(dir) == filepath.Dir(f)
	})
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
