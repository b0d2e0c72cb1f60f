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
	Name string // "files", "caida", "geo" or that of a registry
	// Interval is how often a Refresher reads it, beside when a file changes; 0: at the start only.
	Interval time.Duration
	// Remote says that reading it may download something.
	Remote bool
	// Files are those it reads now, to watch for changes; Dir is a directory where more of them may come, "" for none.
	Files func() []string
	Dir   string
	// Downloads are the files that it downloads to; nil where it downloads none.
	Downloads []string
	// Fetch downloads what is new; nil where nothing is downloaded. It may take as long as the server does.
	Fetch func(ctx context.Context) error
	// ReadLocal reads what is on disk, also when Fetch has failed; nil: Read does all there is. Sets and an error may
	// come together: some of it could not be read.
	ReadLocal func(ctx context.Context) ([]record.Set, error)
	// Read is Fetch and ReadLocal.
	Read func(ctx context.Context) ([]record.Set, error)
	// RetryMin is the least time to wait before Fetch is tried again after a failure.
	RetryMin time.Duration
	// Attempt is a file that is there from the start of a download until it has succeeded; "": none. Its time makes
	// RetryMin hold over restarts and reloads.
	Attempt string
	// Find returns all sources, as they are by now; nil: they do not change.
	Find func() []Source
}

// ErrNotDownloaded is that there is nothing to read before the first download.
var ErrNotDownloaded = errors.New("not downloaded yet")

// WithRead returns the source with Read made of Fetch and ReadLocal.
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

// UntilRetry is how long the next download has to wait after one that failed or was interrupted.
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

// FetchNoted is Fetch that keeps the file Attempt.
func (s *Source) FetchNoted(ctx context.Context) error {
	if s.Attempt == "" {
		return s.Fetch(ctx)
	}
	// An error only means one more download after a restart.
	_ = os.MkdirAll(filepath.Dir(s.Attempt), 0o755)
	_ = os.WriteFile(s.Attempt, nil, 0o600)
	now := time.Now()
	_ = os.Chtimes(s.Attempt, now, now)
	err := s.Fetch(ctx)
	if err == nil {
		_ = os.Remove(s.Attempt)
	}
	return err
}

// IsFile reports whether there is a file, not a directory, at the path.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// IsURL reports whether a place to read is a URL rather than a file.
func IsURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }
