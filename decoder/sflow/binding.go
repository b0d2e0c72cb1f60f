package sflow

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Agents holds the sources that may speak for each agent. An agent's address is a field of the datagram, so anybody can
// send any. The decoders of a process share Agents, because the sources of one agent may reach different workers. The
// zero value is empty. It is safe for concurrent use; datagrams of bound sources take no lock.
type Agents struct {
	mu    sync.Mutex
	bound map[flow.Addr]*binding
}

// binding holds the sources that may speak for the sub-agents of an agent.
type binding struct {
	agents  *Agents
	addr    flow.Addr                   // of the agent
	sources atomic.Pointer[[]flow.Addr] // replaced as a whole, with agents.mu held
	since   int64                       // time of the first datagram, Unix nanoseconds; 0: Restore made it
	latest  atomic.Int64                // time of the latest one of a bound source, to a second
	stream  atomic.Pointer[exporter.Stream]
	users   int // sub-agents, of all decoders; agents.mu protects it. 0: it was restored and not heard since
}

const (
	// bindAfter is how long any source may speak for a new agent: devices with several addresses send from all of them
	// soon.
	bindAfter = int64(time.Minute)
	// unbindAfter is how long the bound sources must be silent before another may speak for the agent.
	unbindAfter = int64(10 * time.Minute)
	// maxSources is how many sources an agent can have.
	maxSources = 8
)

// bind returns the binding of an agent for a new sub-agent, nil where the source may not speak for it. The caller must
// release it.
func (a *Agents) bind(addr, source flow.Addr, now int64) *binding {
	a.mu.Lock()
	b := a.bound[addr]
	if b == nil {
		b = &binding{agents: a, addr: addr, since: now}
		b.sources.Store(&[]flow.Addr{source})
		if a.bound == nil {
			a.bound = map[flow.Addr]*binding{}
		}
		a.bound[addr] = b
	}
	b.users++
	a.mu.Unlock()
	if !b.admits(source, now) {
		a.release(b, nil)
		return nil
	}
	return b
}

// release ends a sub-agent's use of a binding. stream is that of the sub-agent; nil: it has none.
func (a *Agents) release(b *binding, stream *exporter.Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stream != nil {
		b.stream.CompareAndSwap(stream, nil)
	}
	if b.users--; b.users == 0 {
		delete(a.bound, b.addr)
	}
}

// stream returns the stream of an agent's newest sub-agent, nil if there is none.
func (a *Agents) stream(addr flow.Addr) *exporter.Stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.bound[addr]; b != nil {
		return b.stream.Load()
	}
	return nil
}

// Binding is what is saved of an agent over a restart: the sources that may speak for it.
type Binding struct {
	Agent   netip.Addr   `json:"agent"`
	Sources []netip.Addr `json:"sources"`
	Latest  int64        `json:"latest"` // when one of them was heard, Unix nanoseconds
}

// Bindings returns the sources of all agents that gave samples and are bound, and those of Restore that were not heard
// since. now is in Unix nanoseconds.
func (a *Agents) Bindings(now int64) (all []Binding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.bound {
		if b.users > 0 && now-b.since < bindAfter {
			continue
		}
		if s := b.stream.Load(); b.users > 0 && (s == nil || s.Records.Load()+s.Counters.Load() == 0) {
			continue
		}
		saved := Binding{Agent: b.addr.Netip(), Latest: b.latest.Load()}
		for _, source := range *b.sources.Load() {
			saved.Sources = append(saved.Sources, source.Netip())
		}
		all = append(all, saved)
	}
	return all
}

// Restore binds agents as they were bound in an earlier run. It is called before any datagram. Invalid bindings, and
// agents that are bound already, are ignored.
func (a *Agents) Restore(all []Binding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bound == nil {
		a.bound = make(map[flow.Addr]*binding, len(all))
	}
	for _, saved := range all {
		sources := saved.Sources[:min(len(saved.Sources), maxSources)]
		if !saved.Agent.IsValid() || len(sources) == 0 || slices.ContainsFunc(sources, func(s netip.Addr) bool {
			return !s.IsValid()
		}) {
			continue
		}
		b := &binding{agents: a, addr: flow.AddrFrom(saved.Agent)}
		if a.bound[b.addr] != nil {
			continue
		}
		bound := make([]flow.Addr, len(sources))
		for i, source := range sources {
			bound[i] = flow.AddrFrom(source)
		}
		b.sources.Store(&bound)
		b.latest.Store(saved.Latest)
		a.bound[b.addr] = b
	}
}

// heard notes a datagram of a bound source.
func (b *binding) heard(now int64) {
	// Once a second is enough, and workers that share the binding seldom write to it.
	if now-b.latest.Load() > int64(time.Second) {
		b.latest.Store(now)
	}
}

// admits reports whether a source may speak for the agent. It binds the source where the binding is still open. A
// device may always send from the agent's own address.
func (b *binding) admits(source flow.Addr, now int64) bool {
	if source == b.addr || slices.Contains(*b.sources.Load(), source) {
		b.heard(now)
		return true
	}
	b.agents.mu.Lock()
	defer b.agents.mu.Unlock()
	sources := *b.sources.Load()
	switch {
	case slices.Contains(sources, source): // another worker has bound it meanwhile
	case now-b.since < bindAfter && len(sources) < maxSources:
		sources = append(slices.Clone(sources), source)
	case now-b.latest.Load() > unbindAfter:
		sources = []flow.Addr{source}
	default:
		return false
	}
	b.sources.Store(&sources)
	b.heard(now)
	return true
}
