package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
}

const (
	settle   = time.Second      // after the last change of a file, for editors and copies to finish
	retryGap = 30 * time.Second // after a failure
	maxLines = 20               // problems of a load that are logged one by one
)

// NewRefresher returns a Refresher, which does nothing until Run.
func NewRefresher(o RefresherOptions) *Refresher {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Refresher{options: o, again: make(chan struct{}, 1), loaded: make(chan struct{})}
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
	due := make([]time.Time, len(r.options.Sources)) // when each source is next to be loaded; zero: not by time
	for i := range due {
		due[i] = now
	}
	look := now
	for {
		r.round(ctx, due, &look)
		if ctx.Err() != nil {
			return nil
		}
		r.first.Do(func() { close(r.loaded) })
		changed := r.wait(ctx, watch, earliest(due, look))
		now = time.Now()
		for i := range r.options.Sources {
			if changed == nil || r.reads(&r.options.Sources[i], changed) {
				due[i] = now
			}
		}
	}
}

// round loads the sources that are due and rebuilds.
func (r *Refresher) round(ctx context.Context, due []time.Time, look *time.Time) {
	loaded := false
	for i := range r.options.Sources {
		s := &r.options.Sources[i]
		if due[i].IsZero() || time.Now().Before(due[i]) {
			continue
		}
		due[i] = time.Time{}
		if s.Interval > 0 {
			due[i] = time.Now().Add(s.Interval)
		}
		readErr, loadErr := r.load(ctx, s)
		if err := errors.Join(readErr, loadErr); err != nil && ctx.Err() == nil {
			r.options.Log.Error("metadata not loaded", zap.String("source", s.Name), zap.Error(oneLine(err)))
		}
		// A file that cannot be read is read again when it changes.
		if loadErr != nil || readErr != nil && s.Remote {
			due[i] = time.Now().Add(retryGap)
		}
		loaded = true
	}
	if !loaded && (look.IsZero() || time.Now().Before(*look)) {
		return
	}
	*look = time.Time{}
	if r.options.Interval > 0 {
		*look = time.Now().Add(r.options.Interval)
	}
	if err := r.rebuild(ctx); err != nil && ctx.Err() == nil {
		r.options.Log.Error("the metadata in use stays", zap.Error(oneLine(err)))
		*look = time.Now().Add(retryGap)
	}
}

func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// load reads a source and writes what is new in it. Both can fail in part.
func (r *Refresher) load(ctx context.Context, s *Source) (readErr, loadErr error) {
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
	return readErr, loadErr
}

// rebuild makes a new snapshot, if the tables have changed, and puts it in use.
func (r *Refresher) rebuild(ctx context.Context) error {
	d := &database{r.options.Conn, r.options.Settings}
	state, err := d.state(ctx)
	if err != nil {
		return err
	}
	if state == r.state {
		return nil
	}
	began := time.Now()
	b := enrich.NewBuilder()
	f := builderFeed(b)
	var file *snapshotWriter
	if r.options.File != "" {
		if file, err = createSnapshotFile(r.options.File); err != nil {
			return fmt.Errorf("snapshot file: %w", err)
		}
		defer file.abandon()
		f = both(f, file.feed())
	}
	if err := d.feed(ctx, f); err != nil {
		return err
	}
	s, err := b.Build()
	if err != nil {
		return err
	}
	if err := checkSnapshot(r.options.Snapshot.Load(), s); err != nil {
		return err
	}
	r.options.Snapshot.Store(s)
	r.state = state
	r.options.Log.Info("metadata in use", zap.Any("records", s.Stats()), zap.Duration("took", time.Since(began)))
	if file != nil {
		if err := file.commit(); err != nil {
			return fmt.Errorf("snapshot file: %w", err)
		}
	}
	return nil
}

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
		if err := d.conn.QueryRow(ctx, "SELECT count(), toString(max(insert_time)) FROM "+d.name(t)).Scan(&rows, &last); err != nil {
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
		if err := w.Add(dir); err != nil {
			r.options.Log.Warn("changes of metadata files will not be noticed", zap.String("directory", dir), zap.Error(err))
		}
	}
	return w, nil
}

// wait waits for a changed file, until time t (zero: for good), for Reload (nil is returned) or for ctx. It returns the changed files.
func (r *Refresher) wait(ctx context.Context, w *fsnotify.Watcher, t time.Time) map[string]bool {
	changed := map[string]bool{}
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
				changed[filepath.Clean(e.Name)] = true
				timer.Reset(settle)
			}
		}
	}
}

func (r *Refresher) isRead(path string) bool {
	for i := range r.options.Sources {
		if r.reads(&r.options.Sources[i], map[string]bool{filepath.Clean(path): true}) {
			return true
		}
	}
	return false
}

func (r *Refresher) reads(s *Source, changed map[string]bool) bool {
	return slices.ContainsFunc(s.Files(), func(f string) bool { return changed[filepath.Clean(f)] })
}

func earliest(due []time.Time, look time.Time) time.Time {
	first := look
	for _, t := range due {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
