package metadata

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// watch watches the directories of the sources' files: an editor replaces a file rather than writing it. It returns nil where the
// system has no watchers left: there are still the intervals and Reload.
func (r *Refresher) watch() *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		r.options.Log.Warn("changes of metadata files will not be noticed", zap.Error(err))
		return nil
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
	return w
}

func stopWatch(w *fsnotify.Watcher) {
	if w != nil {
		_ = w.Close() // it has nothing that could be lost
	}
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
