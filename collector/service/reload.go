package service

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/logging"
)

// reloader puts a changed configuration in use while the collector runs, as far as that can be, and says what needs a
// restart. What workers read is replaced whole, behind atomic pointers.
type reloader struct {
	apply   func(next *config.Config, changed []string) // puts keys in use that need no restart
	refresh func()                                      // reads the metadata again
	level   zap.AtomicLevel
	log     *zap.Logger
	settle  time.Duration // after the last change of a file, for editors and copies to finish

	mu      sync.Mutex
	started *config.Config // what needs a restart is as here
	current *config.Config // and the rest as here
	latest  *config.Config // as read last, refused or not: its files are watched
	state   atomic.Pointer[configState]

	end   chan struct{}
	ended sync.WaitGroup
}

// configState is what there is to say of the configuration's files.
type configState struct {
	refused []string // what is wrong with them; the settings of before hold
	pending []string // keys that wait for a restart
}

func newReloader(cfg *config.Config, apply func(next *config.Config, changed []string), refresh func(),
	level zap.AtomicLevel, log *zap.Logger) *reloader {
	r := &reloader{
		apply: apply, refresh: refresh, level: level, log: log.Named("config"), settle: time.Second,
		started: cfg, current: cfg, latest: cfg, end: make(chan struct{}),
	}
	r.state.Store(&configState{})
	return r
}

// start watches the files that the configuration comes from.
func (r *reloader) start() {
	if len(r.started.Files()) == 0 {
		return
	}
	watch, err := r.watch()
	if err != nil {
		r.log.Warn("changes of the configuration will not be noticed; send SIGHUP", zap.Error(err))
		return
	}
	r.ended.Go(func() {
		defer watch.Close()
		r.follow(watch)
	})
}

func (r *reloader) stop() {
	close(r.end)
	r.ended.Wait()
}

// watch watches the files' directories: an editor replaces a file rather than writing it.
func (r *reloader) watch() (*fsnotify.Watcher, error) {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := r.watchFiles(watch); err != nil {
		return nil, errors.Join(err, watch.Close())
	}
	return watch, nil
}

// watchFiles watches the directories of all files. Those that are watched already stay so.
func (r *reloader) watchFiles(watch *fsnotify.Watcher) error {
	for _, f := range r.files() {
		if err := watch.Add(filepath.Dir(f)); err != nil {
			return err
		}
	}
	return nil
}

// files are those of the configuration as it was read last. It may name others than that of the start.
func (r *reloader) files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest.Files()
}

// follow reads the configuration again some time after a file of it changed.
func (r *reloader) follow(watch *fsnotify.Watcher) {
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	for {
		select {
		case <-r.end:
			return
		case err := <-watch.Errors:
			r.log.Warn("a change of the configuration may have been missed", zap.Error(err))
		case e := <-watch.Events:
			if e.Op != fsnotify.Chmod && r.reads(e.Name) {
				settled.Reset(r.settle)
			}
		case <-settled.C:
			r.reload()
			if err := r.watchFiles(watch); err != nil {
				r.log.Warn("changes of the configuration will not be noticed; send SIGHUP", zap.Error(err))
			}
		}
	}
}

// reads reports whether a path is a file of the configuration, or the link by which Kubernetes replaces all files of a
// directory.
func (r *reloader) reads(path string) bool {
	return slices.ContainsFunc(r.files(), func(f string) bool {
		return filepath.Clean(f) == filepath.Clean(path) || filepath.Base(path) == "..data" &&
			filepath.Dir(f) == filepath.Dir(path)
	})
}

// hangup is what SIGHUP means: everything is read again, the metadata too.
func (r *reloader) hangup() {
	r.log.Info("SIGHUP: configuration and metadata are read again")
	r.reload()
	r.refresh()
}

// reload reads the configuration and puts what has changed in use. Where anything is wrong with it the old one stays,
// whole.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, problems := r.current.Reload()
	r.latest = next
	if len(problems) > 0 {
		var refused []string
		for _, p := range problems {
			refused = append(refused, p.String())
			r.log.Error("the new configuration is wrong", zap.Stringer("problem", p))
		}
		r.log.Error("the new configuration is refused: the settings of before stay in use",
			zap.Int("problems", len(problems)))
		r.state.Store(&configState{refused: refused, pending: r.state.Load().pending})
		return
	}
	var live, pending []string
	for _, path := range config.Changes(r.current, next) {
		if config.IsLive(path) {
			live = append(live, path)
		}
	}
	for _, path := range config.Changes(r.started, next) {
		if !config.IsLive(path) {
			pending = append(pending, path)
		}
	}
	if len(live) > 0 {
		r.apply(next, live)
		level := logging.Level(next.LogLevel)
		r.level.SetLevel(min(level, r.level.Level())) // the line is written if either level has it
		r.log.Info("settings changed", zap.Strings("keys", live))
		r.level.SetLevel(level)
	}
	if len(pending) > 0 {
		r.log.Warn("settings changed that need a restart", zap.Strings("keys", pending))
	}
	if len(live)+len(pending) == 0 {
		r.log.Info("the settings are as before")
	}
	r.current = next
	r.state.Store(&configState{pending: pending})
}

// awaitStop returns at SIGTERM or SIGINT, or with the error that ends the collector, and calls hangup at every SIGHUP
// before.
func awaitStop(signals <-chan os.Signal, hangup func(), failed failures) error {
	for {
		select {
		case err := <-failed:
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return nil
			}
			hangup()
		}
	}
}
