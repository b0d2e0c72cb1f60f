package service

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/listen"
)

// tenureFile keeps for how long sources were heard over a restart: nobody is known after it otherwise, and a flood has
// the same rights as routers.
type tenureFile struct {
	path    string
	expiry  time.Duration
	earlier []listen.Tenure // of the last run

	mu      sync.Mutex
	sources map[int][]listen.Tenure // by worker
}

// savedTenures is the content of the file, as JSON.
type savedTenures struct {
	Version int             `json:"version"`
	Sources []listen.Tenure `json:"sources"`
}

// tenuresVersion is the version of files that are written. Others are not read.
const tenuresVersion = 1

// maxTenures limits what is written. A source takes some 80 bytes.
const maxTenures = 1 << 16

// openTenureFile reads what an earlier run has saved.
func openTenureFile(path string, expiry time.Duration, log *zap.Logger) *tenureFile {
	f := &tenureFile{path: path, expiry: expiry, sources: map[int][]listen.Tenure{}}
	all, err := f.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("for how long exporters were heard is not known: all are new in the first minutes", zap.Error(err))
	}
	f.earlier = f.current(all, time.Now())
	return f
}

func (f *tenureFile) read() ([]listen.Tenure, error) {
	var saved savedTenures
	if err := readSaved(f.path, tenuresVersion, &saved, &saved.Version); err != nil {
		return nil, err
	}
	return saved.Sources, nil
}

// current returns the tenures of sources that were heard recently, the longest first, at most maxTenures, and one of
// each source.
func (f *tenureFile) current(all []listen.Tenure, now time.Time) []listen.Tenure {
	all = recent(all, func(x *listen.Tenure) *int64 { return &x.Latest }, f.expiry, now)
	slices.SortFunc(all, func(a, b listen.Tenure) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(b.Latest, a.Latest), a.Source.Compare(b.Source))
	})
	known := map[netip.Addr]bool{}
	all = slices.DeleteFunc(all, func(x listen.Tenure) bool {
		was := known[x.Source]
		known[x.Source] = true
		return was
	})
	return all[:min(len(all), maxTenures)]
}

// put takes the sources of a worker. It does not wait.
func (f *tenureFile) put(worker int, all []listen.Tenure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sources[worker] = all
}

// write saves the sources of all workers, and those of earlier runs that were not heard in this one.
func (f *tenureFile) write(now time.Time) error {
	all := slices.Clone(f.earlier)
	f.mu.Lock()
	for _, sources := range f.sources {
		all = append(all, sources...)
	}
	f.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	if err := writeSaved(f.path, savedTenures{tenuresVersion, f.current(all, now)}); err != nil {
		return fmt.Errorf("save for how long exporters were heard: %w", err)
	}
	return nil
}
