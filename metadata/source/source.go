package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/metranova/flow-collector/metadata/record"
)

// Source is one of the places that metadata comes from.
type Source struct {
	Name string // "files", "caida", "geo" or a registry's name
	// Interval is how often a Refresher reads it, in addition to changes of its files; 0: only at the start.
	Interval time.Duration
	// Remote is set if reading it may download something.
	Remote bool
	// Files returns the files that it reads now, to watch for changes. Dir is a directory where more of them may
	// appear; "": none.
	Files func() []string
	Dir   string
	// Downloads are the files that it downloads; nil if it downloads none.
	Downloads []string
	// Fetch downloads what is new; nil if nothing is downloaded. It may take as long as the server does.
	Fetch func(ctx context.Context) error
	// ReadLocal reads the local files, also when Fetch has failed; nil: Read does everything. It may return sets and an
	// error: then a part could not be read.
	ReadLocal func(ctx context.Context) ([]record.Set, error)
	// Read is Fetch and then ReadLocal.
	Read func(ctx context.Context) ([]record.Set, error)
	// RetryMin is the least wait before a failed Fetch is retried.
	RetryMin time.Duration
	// Attempt is a file that exists from the start of a download until its success; "": none. Its time makes RetryMin
	// hold over restarts and reloads.
	Attempt string
	// Find returns all sources that exist by now; nil: they do not change.
	Find func() []Source
}

// InUse returns the files that are read without a new download: those of an earlier one, or else those that the
// settings name. Each has its time (UTC).
func (s *Source) InUse() []string {
	dated := func(paths []string) (files []string) {
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				files = append(files, path+" of "+info.ModTime().UTC().Format("2006-01-02 15:04"))
			}
		}
		return files
	}
	if files := dated(s.Downloads); len(files) == len(s.Downloads) || s.Files == nil {
		return files
	}
	return dated(s.Files())
}

// ErrNotDownloaded means that there is nothing to read before the first download.
var ErrNotDownloaded = errors.New("not downloaded yet")

// WithRead returns the source with Read made from Fetch and ReadLocal.
func (s Source) WithRead() Source {
	fetch, local := s.Fetch, s.ReadLocal
	s.Read = func(ctx context.Context) ([]record.Set, error) {
		var fetchErr error
		if fetch != nil {
			fetchErr = fetch(ctx)
		}
		sets, err := local(ctx)
		if fetchErr != nil && errors.Is(err, ErrNotDownloaded) {
			err = nil // fetchErr says why
		}
		return sets, errors.Join(fetchErr, err)
	}
	return s
}

// UntilRetry returns how long to wait after a download that failed or was interrupted.
func (s *Source) UntilRetry(now time.Time) time.Duration {
	if s.Attempt == "" {
		return 0
	}
	info, err := os.Stat(s.Attempt)
	if err != nil {
		return 0
	}
	return min(s.RetryMin-now.Sub(info.ModTime()), s.RetryMin) // a clock that was set back does not make it longer
}

// FetchNoted is Fetch with the file Attempt.
func (s *Source) FetchNoted(ctx context.Context) error {
	if s.Attempt == "" {
		return s.Fetch(ctx)
	}
	// An error only means one more download after a restart.
	_ = os.MkdirAll(filepath.Dir(s.Attempt), 0o750)
	_ = os.WriteFile(s.Attempt, nil, 0o600)
	now := time.Now()
	_ = os.Chtimes(s.Attempt, now, now)
	err := s.Fetch(ctx)
	if err == nil {
		_ = os.Remove(s.Attempt)
	}
	return err
}

// IsFile reports whether path is an existing file and not a directory.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// IsURL reports whether a place to read is a URL and not a file.
func IsURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }
