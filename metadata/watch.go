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

// watching watches the sources' directories.
type watching struct {
	watcher *fsnotify.Watcher // nil if the system has no more of them
	dirs    string            // the state of the directories: a replaced directory needs another watch
}

func (w *watching) stop() {
	if w.watcher != nil {
		_ = w.watcher.Close() // it has no data that could be lost
	}
	w.watcher = nil
}

// watch watches the directories of the sources' files, because an editor replaces a file rather than writing it.
// Changes without an event (of the target of a link, on NFS, in a directory that is created later or replaced) are
// found by checking the files every minute.
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
			r.options.Log.Info("no files yet: rows will have no devices, interfaces and so on until there are "+
				"meta_*.yml files",
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

// lookAt returns the state of files or directories: a text that changes when one of them is replaced or written.
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
		if !info.IsDir() { // a directory's time also changes with files that are not ours
			fmt.Fprintf(&b, " %d %d", info.Size(), info.ModTime().UnixNano())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// look returns the state of the source's files.
func look(s *Source) string {
	if s.Files == nil {
		return ""
	}
	return lookAt(s.Files())
}

// lookAtFiles finds the sources whose files have changed since they were read, which does not always cause an event.
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

// wait waits for changed files, a download, time t (zero: none), Reload (it returns nil then) or the end of ctx. It
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

// reads reports whether a change of path concerns the source: path is, or was, one of its files.
func reads(s *Source, path string) bool {
	path = filepath.Clean(path)
	dir, name := filepath.Split(path)
	if s.Dir != "" && filepath.Clean(dir) == filepath.Clean(s.Dir) && isMetadataFile(name) {
		return true
	}
	return slices.ContainsFunc(s.Files(), func(f string) bool {
		// Kubernetes changes all files of a directory at once, by replacing a link.
		return filepath.Clean(f) == path || name == "..data" && filepath.Clean(dir) == filepath.Dir(f)
	})
}
