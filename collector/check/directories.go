package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
)

// A directory is one in which the collector keeps its own files.
type directory struct{ what, path string }

// ownDirectories returns the directories whose files the collector trusts: blocks with their statements, rows,
// templates, downloads.
func ownDirectories(cfg *config.Config) []directory {
	all := []directory{{"cache directory", cfg.Metadata.CacheDir}, {"quarantine", cfg.Quarantine.Path}}
	for _, sink := range setup.Sinks(cfg) {
		if sink.Used {
			all = append(all, directory{sink.Spool.What, sink.Spool.Path})
		}
	}
	if cfg.UsesLocalStore() {
		all = append(all, directory{"local store", cfg.Store.Path})
	}
	return all
}

// Directories refuses directories in which other users could create files.
func Directories(cfg *config.Config) error {
	var errs []error
	for _, d := range ownDirectories(cfg) {
		if err := d.check(os.Geteuid()); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// check refuses a directory that belongs to another user, or that others may write to. The error has the command that
// fixes it. A missing directory is created for this user alone.
func (d directory) check(uid int) error {
	if d.path == "" {
		return nil
	}
	info, err := os.Stat(d.path)
	if err != nil || !info.IsDir() {
		return nil // opening it later reports the error
	}
	path, err := filepath.Abs(d.path)
	if err != nil {
		path = d.path
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case known && int(stat.Uid) != uid:
		return fmt.Errorf("%s %s belongs to user %d and the collector runs as user %d: run it as that user, or chown "+
			"-R %d %s",
			d.what, path, stat.Uid, uid, uid, path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s %s may be written to by other users (%s): chmod go-w %s, or use a directory within it",
			d.what, path, info.Mode(), path)
	}
	return nil
}

// Warn writes the warnings of a configuration to the log.
func Warn(cfg *config.Config, log *zap.Logger) {
	for _, w := range warnings(cfg) {
		log.Warn(w.text, zap.String("setting", w.key))
	}
}
