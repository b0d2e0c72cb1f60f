package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/sink/lograte"
)

// templateFile keeps what workers learn of templates and sampling over a restart. Workers hand over what changed; it is
// written in the background, for the last time when the collector stops.
type templateFile struct {
	path    string
	expiry  time.Duration
	log     *zap.Logger
	loaded  netflow.Saved
	earlier netflow.State

	mu      sync.Mutex
	sources map[int]map[netip.Addr]netflow.SourceState // by worker
	changed bool
}

// openTemplateFile reads what an earlier run has saved. A file that cannot be read to its end is used up to there, and
// kept under another name: the next one takes its place.
func openTemplateFile(path string, expiry time.Duration, log *zap.Logger) *templateFile {
	f := &templateFile{path: path, expiry: expiry, log: log, sources: map[int]map[netip.Addr]netflow.SourceState{}}
	state, err := readTemplates(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err != nil {
		aside := path + ".damaged"
		var version netflow.VersionError
		if errors.As(err, &version) {
			aside = fmt.Sprintf("%s.version%d", path, int(version))
		}
		if failed := os.Rename(path, aside); failed != nil {
			aside = lograte.OneLine(failed).Error()
		}
		log.Warn("the templates of the last run cannot be used: data waits until exporters send theirs again",
			zap.Error(err),
			zap.String("kept as", aside), zap.Int("exporters used", len(state.Sources)))
	}
	f.earlier, f.loaded = state, netflow.NewSaved(state)
	if len(state.Sources) > 0 {
		log.Info("templates of the last run are known", zap.Int("exporters", len(state.Sources)))
	}
	return f
}

// readTemplates reads a file; with an error it returns what came before it.
func readTemplates(path string) (netflow.State, error) {
	file, err := os.Open(path)
	if err != nil {
		return netflow.State{}, err
	}
	defer file.Close()
	state, err := netflow.ReadState(bufio.NewReader(file))
	if err != nil {
		return state, fmt.Errorf("read %s: %w", path, err)
	}
	return state, nil
}

// put takes what changed in a worker. It does not wait.
func (f *templateFile) put(worker int, state netflow.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sources := f.sources[worker]
	if sources == nil {
		sources = map[netip.Addr]netflow.SourceState{}
		f.sources[worker] = sources
	}
	for _, address := range state.Forgotten {
		delete(sources, address)
	}
	for _, source := range state.Sources {
		sources[source.Address] = source
	}
	f.changed = f.changed || len(state.Forgotten)+len(state.Sources) > 0
}

// write puts what the workers know into the file, and of exporters that were not heard in this run what was known
// before. The old file stays until the new one is whole. It does nothing if nothing changed.
func (f *templateFile) write(now time.Time) error {
	state, changed := f.merged(now)
	if !changed {
		return nil
	}
	err := diskfile.Replace(f.path, func(w io.Writer) error {
		err := netflow.WriteState(w, state)
		var leftOut netflow.LeftOut
		if errors.As(err, &leftOut) {
			f.log.Warn("not all that exporters say of templates and names is saved", zap.Error(err))
			return nil
		}
		return err
	})
	if err != nil {
		f.mu.Lock()
		f.changed = true // it is tried again
		f.mu.Unlock()
		return fmt.Errorf("save templates: %w", err)
	}
	return nil
}

func (f *templateFile) merged(now time.Time) (all netflow.State, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all.Version = netflow.StateVersion
	heard := map[netip.Addr]bool{}
	for _, sources := range f.sources {
		for address, source := range sources {
			heard[address] = true
			all.Sources = append(all.Sources, source)
		}
	}
	left := f.earlier.Sources[:0]
	for _, source := range f.earlier.Sources {
		if source.Latest() > now.Add(-f.expiry).UnixNano() {
			left = append(left, source)
			if !heard[source.Address] {
				all.Sources = append(all.Sources, source)
			}
		}
	}
	f.earlier.Sources = slices.Clip(left)
	changed, f.changed = f.changed, false
	return all, changed
}
