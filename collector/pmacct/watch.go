package pmacct

import (
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/enrich"
)

// MapOptions say where maps come from. Rules of Fixed come before those of the files. An empty path is no file.
type MapOptions struct {
	Fixed      enrich.RouteMaps
	AgentsFile string
	VRFsFile   string
	Log        *zap.Logger
}

// Maps keep the maps in use as the files are. Use OpenMaps.
type Maps struct {
	MapOptions
	current enrich.CurrentMaps
	seen    [2]os.FileInfo
	stop    chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	loaded time.Time
	rules  [2]int
}

// lookEvery is how often the files are looked at.
const lookEvery = 5 * time.Second

// OpenMaps reads the files, and looks at them from then on. The error has all that is wrong with them.
func OpenMaps(o MapOptions) (*Maps, error) {
	m := &Maps{MapOptions: o, stop: make(chan struct{})}
	m.changed()
	if err := m.read(); err != nil {
		return nil, err
	}
	if o.AgentsFile != "" || o.VRFsFile != "" {
		m.running.Go(m.watch)
	}
	return m, nil
}

// Close ends the looking.
func (m *Maps) Close() {
	if m != nil {
		close(m.stop)
		m.running.Wait()
	}
}

// Current are the maps in use.
func (m *Maps) Current() *enrich.CurrentMaps {
	if m == nil {
		return nil
	}
	return &m.current
}

// Rules returns how many rules of routers and of VRFs are in use.
func (m *Maps) Rules() (agents, vrfs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rules[0], m.rules[1]
}

// changed reports whether a file differs from the one that was looked at before.
func (m *Maps) changed() (is bool) {
	for i, path := range []string{m.AgentsFile, m.VRFsFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		was := m.seen[i]
		m.seen[i] = info
		is = diskfile.Changed(was, info) || is
	}
	return is
}

// read puts the files in use, if nothing is wrong with them.
func (m *Maps) read() error {
	maps := enrich.RouteMaps{Agents: append([]enrich.AgentRule(nil), m.Fixed.Agents...),
		VRFs: append([]enrich.VRFRule(nil), m.Fixed.VRFs...)}
	var wrong [2]error
	if m.AgentsFile != "" {
		rules, err := ReadAgents(m.AgentsFile)
		maps.Agents, wrong[0] = append(maps.Agents, rules...), err
	}
	if m.VRFsFile != "" {
		rules, err := ReadVRFs(m.VRFsFile)
		maps.VRFs, wrong[1] = append(maps.VRFs, rules...), err
	}
	err := errors.Join(wrong[:]...)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.rules, m.loaded = [2]int{len(maps.Agents), len(maps.VRFs)}, time.Now()
		m.current.Set(maps)
	}
	return err
}

func (m *Maps) watch() {
	timer := time.NewTicker(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-timer.C:
		}
		if !m.changed() {
			continue
		}
		if err := m.read(); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				m.Log.Error("a changed map of routers or VRFs is wrong", zap.String("problem", line))
			}
			m.Log.Error("the maps of before stay in use")
			continue
		}
		agents, vrfs := m.Rules()
		m.Log.Info("maps of routers and VRFs loaded", zap.Int("routers", agents), zap.Int("vrfs", vrfs))
	}
}
