package service

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/sflow"
)

// agentFile keeps which sources speak for which sFlow agents over a restart: whoever sends first after it would be
// bound to the agent otherwise.
type agentFile struct {
	path   string
	expiry time.Duration
	agents *sflow.Agents
}

// savedAgents is the content of the file, as JSON.
type savedAgents struct {
	Version int             `json:"version"`
	Agents  []sflow.Binding `json:"agents"`
}

// agentsVersion is the version of files that are written. Others are not read.
const agentsVersion = 1

// maxBindings limits what is written. A binding takes some 120 bytes.
const maxBindings = 1 << 16

// openAgentFile binds agents as they were in the last run.
func openAgentFile(path string, expiry time.Duration, agents *sflow.Agents, log *zap.Logger) *agentFile {
	f := &agentFile{path: path, expiry: expiry, agents: agents}
	all, err := f.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the sources of sFlow agents of the last run cannot be used: the first to send may speak for one",
			zap.Error(err))
	}
	agents.Restore(f.current(all, time.Now()))
	return f
}

func (f *agentFile) read() (all []sflow.Binding, err error) {
	var saved savedAgents
	if err := readSaved(f.path, agentsVersion, &saved, &saved.Version); err != nil {
		return nil, err
	}
	return saved.Agents, nil
}

// current returns the bindings of agents that were heard recently, the latest first, at most maxBindings.
func (f *agentFile) current(all []sflow.Binding, now time.Time) []sflow.Binding {
	all = recent(all, func(b *sflow.Binding) *int64 { return &b.Latest }, f.expiry, now)
	slices.SortFunc(all, func(a, b sflow.Binding) int {
		return cmp.Or(cmp.Compare(b.Latest, a.Latest), a.Agent.Compare(b.Agent))
	})
	return all[:min(len(all), maxBindings)]
}

// write saves what is bound now.
func (f *agentFile) write(now time.Time) error {
	all := f.current(f.agents.Bindings(now.UnixNano()), now)
	if _, err := os.Stat(f.path); len(all) == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil // a collector without sFlow has no such file
	}
	if err := writeSaved(f.path, savedAgents{agentsVersion, all}); err != nil {
		return fmt.Errorf("save sources of sFlow agents: %w", err)
	}
	return nil
}
