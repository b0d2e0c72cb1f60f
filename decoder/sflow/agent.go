package sflow

import (
	"slices"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// source is an address that sends datagrams. It may speak for several agents, as a relay does.
type source struct {
	addr     flow.Addr
	agents   map[*agent]struct{}
	samplers budget.Holder[*source]
}

// binding holds the sources that may speak for an agent. An agent's address is a field of the datagram, so anybody can
// send any.
type binding struct {
	sources []flow.Addr
	since   int64 // when the agent's first datagram was received, Unix nanoseconds
	latest  int64 // when the latest datagram of a bound source was received
}

const (
	// bindAfter is how long any source may speak for a new agent. A device with several addresses soon sends from all
	// of them.
	bindAfter = int64(time.Minute)
	// unbindAfter is how long the bound sources must be silent before another one may speak for the agent.
	unbindAfter = int64(10 * time.Minute)
	// maxSources bounds the sources of one agent.
	maxSources = 8
)

// admits reports whether a source may speak for the agent. It binds the source where the binding is still open.
func (b *binding) admits(source flow.Addr, now int64) bool {
	switch {
	case slices.Contains(b.sources, source):
	case now-b.since < bindAfter && len(b.sources) < maxSources:
		b.sources = append(b.sources, source)
	case now-b.latest > unbindAfter:
		b.sources = append(b.sources[:0], source)
	default:
		return false
	}
	b.latest = max(b.latest, now)
	return true
}

// agent returns the state of a sub-agent. Datagrams of a source that the agent is not bound to are counted under the
// source's own address, so that nobody can change the state of other agents.
func (d *Decoder) agent(key exporter.Key, from flow.Addr, now int64) *agent {
	if a := d.last; a != nil && a.key == key && d.from == from {
		a.binding.latest = now
		return a
	}
	a := d.agents[key]
	if a != nil && !a.binding.admits(from, now) {
		a.stream.SetImpostor(from)
		key.Exporter = from
		a = d.agents[key]
		if a == nil {
			a = d.newAgent(key, from, now)
		}
		a.stream.Fail(exporter.ForeignAgent, 1)
		return a
	}
	if a == nil {
		a = d.newAgent(key, from, now)
	}
	d.last, d.from = a, from
	return a
}

func (d *Decoder) newAgent(key exporter.Key, from flow.Addr, now int64) *agent {
	a := &agent{
		decoder: d, key: key, stream: d.table.Get(key, from, now), overrides: d.o.Overrides[key.Exporter],
		samplers: samplers{all: map[sampler]*samplerState{}},
		binding:  binding{sources: []flow.Addr{from}, since: now, latest: now},
	}
	a.stream.SetUser(a)
	a.owner = d.sources[from]
	if a.owner == nil {
		a.owner = &source{addr: from, agents: map[*agent]struct{}{}}
		a.owner.samplers.Of = a.owner
		d.sources[from] = a.owner
	}
	a.owner.agents[a] = struct{}{}
	a.owner.samplers.Seen = now
	d.agents[key] = a
	return a
}

// StreamEvicted implements exporter.User.
func (a *agent) StreamEvicted(*exporter.Stream) {
	d := a.decoder
	d.forgetSamplers(a)
	delete(d.agents, a.key)
	delete(a.owner.agents, a)
	if len(a.owner.agents) == 0 && d.sources[a.owner.addr] == a.owner {
		delete(d.sources, a.owner.addr)
	}
	if d.last == a {
		d.last = nil
	}
}
