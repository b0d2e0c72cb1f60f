package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// watching is the watcher of the sources' directories.
type watching struct {
	watcher *fsnotify.Watcher // nil where the system has none left
	dirs    string            // what they looked like: another directory in the same place needs another watch
}

func (w *watching) stop() {
	if w.watcher != nil {
		_ = w.watcher.Close() // it has nothing that could be lost
	}
	w.watcher = nil
}

// watch watches the directories of the sources' files: an editor replaces a file rather than writing it. Changes that
// are no events (of the target of a link, on NFS, in a directory that is made later or replaced) are found by looking
// at the files every minute.
func (r *Refresher) watch() {
	r.watching.stop()
	dirs := r.directories()
	r.watching.dirs = lookAt(dirs)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		r.options.Log.Warn("changes of metadata files are noticed after a minute", zap.Error(err))
		return
	}
	r.watching.watcher = w
	for _, dir := range dirs {
		err := w.Add(dir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			r.options.Log.Info("no metadata files: rows will have no devices, interfaces and so on until meta_*.yml stand there",
				zap.String("directory", dir))
		case err != nil:
			r.options.Log.Warn("changes of metadata files are noticed after a minute", zap.String("directory", dir),
				zap.Error(err))
		}
	}
}

func (r *Refresher) directories() []string {
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
	return slices.Compact(dirs)
}

// lookAt is what files or directories look like: a text that changes when one of them is another one.
func lookAt(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		resolved, err := filepath.EvalSymlinks(path)
		if err != nil {
			fmt.Fprintf(&b, "%s: not there\n", path)
			continue
		}
		info, err := os.Stat(resolved)
		if err != nil {
			fmt.Fprintf(&b, "%s: not there\n", path)
			continue
		}
		inode := uint64(0)
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = stat.Ino
		}
		fmt.Fprintf(&b, "%s: %s %d", path, resolved, inode)
		if !info.IsDir() { // a directory's time changes with files that are not ours
			fmt.Fprintf(&b, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// look is what the source's files look like now.
func look(s *Source) string {
	if s.Files == nil {
		return ""
	}
	return lookAt(s.Files())
}

// lookAtFiles finds the sources whose files have changed since they were read, which is not always an event.
func (r *Refresher) lookAtFiles() {
	r.findSources()
	now := time.Now()
	r.nextLook = now.Add(r.poll)
	for i := range r.options.Sources {
		if state := &r.sources[i]; state.tried && look(&r.options.Sources[i]) != state.files {
			state.load.due = now
		}
	}
	if lookAt(r.directories()) != r.watching.dirs {
		r.watch()
	}
}

// wait waits for changed files, a download, until time t (zero: for good), for Reload (nil is returned) or for ctx. It
// returns the changed files.
func (r *Refresher) wait(ctx context.Context, t time.Time) []string {
	changed := []string{}
	var events chan fsnotify.Event
	var failures chan error
	if w := r.watching.watcher; w != nil {
		events, failures = w.Events, w.Errors
	}
	timer := time.NewTimer(time.Until(t))
	if t.IsZero() {
		timer.Stop()
	}
	defer timer.Stop()
	poll := time.NewTimer(time.Until(r.nextLook))
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return changed
		case <-r.again:
			return nil
		case f := <-r.fetched:
			r.takeFetched(f)
			return changed
		case <-timer.C:
			return changed
		case <-poll.C:
			r.lookAtFiles()
			return changed
		case err := <-failures:
			r.options.Log.Warn("a change of a metadata file may be noticed after a minute only", zap.Error(err))
		case e := <-events:
			if e.Op != fsnotify.Chmod && r.isRead(e.Name) {
				changed = append(changed, e.Name)
				timer.Reset(r.settle)
			}
		}
	}
}

func (r *Refresher) isRead(path string) bool {
	return slices.ContainsFunc(r.options.Sources, func(s Source) bool { return reads(&s, path) })
}

// reads reports whether a change of path is one of the source: path is a file of it, also one that has been removed.
func reads(s *Source, path string) bool {
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
