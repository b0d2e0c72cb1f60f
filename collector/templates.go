package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/netflow"
)

// templateFile keeps what workers learn of templates and sampling over a restart. Workers hand their states over; they are
// written in the background, the last of them when the collector stops.
type templateFile struct {
	path    string
	expiry  time.Duration
	log     *zap.Logger
	loaded  netflow.Saved
	earlier netflow.State

	mu     sync.Mutex
	states map[int]netflow.State // by worker
}

// openTemplateFile reads what an earlier run has saved. A file that cannot be used is said and left behind.
func openTemplateFile(path string, expiry time.Duration, log *zap.Logger) *templateFile {
	f := &templateFile{path: path, expiry: expiry, log: log, states: map[int]netflow.State{}}
	state, err := readTemplates(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the templates of the last run cannot be used: data waits until exporters send theirs again", zap.Error(err))
		}
		return f
	}
	f.earlier, f.loaded = state, netflow.NewSaved(state)
	log.Info("templates of the last run are known", zap.Int("exporters", len(state.Sources)))
	return f
}

func readTemplates(path string) (netflow.State, error) {
	file, err := os.Open(path)
	if err != nil {
		return netflow.State{}, err
	}
	defer file.Close()
	state, err := netflow.ReadState(bufio.NewReader(file))
	if err != nil {
		return netflow.State{}, fmt.Errorf("read %s: %w", path, err)
	}
	return state, nil
}

// put takes a worker's state. It does not wait.
func (f *templateFile) put(worker int, state netflow.State) {
	f.mu.Lock()
	f.states[worker] = state
	f.mu.Unlock()
}

// write puts the workers' states into the file, and of exporters that were not heard in this run what was known before. The old
// file stays until the new one is whole.
func (f *templateFile) write(now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("save templates: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*")
	if err != nil {
		return fmt.Errorf("save templates: %w", err)
	}
	out := bufio.NewWriter(file)
	err = netflow.WriteState(out, f.merged(now))
	err = errors.Join(err, out.Flush(), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // of no use any more
		return fmt.Errorf("save templates: %w", err)
	}
	return nil
}

func (f *templateFile) merged(now time.Time) netflow.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := netflow.State{Version: netflow.StateVersion}
	heard := map[string]bool{}
	for _, state := range f.states {
		for _, source := range state.Sources {
			heard[source.Address.String()] = true
			all.Sources = append(all.Sources, source)
		}
	}
	for _, source := range f.earlier.Sources {
		if !heard[source.Address.String()] && source.Latest() > now.Add(-f.expiry).UnixNano() {
			all.Sources = append(all.Sources, source)
		}
	}
	return all
}
