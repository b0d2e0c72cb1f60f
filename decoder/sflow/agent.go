package sflow

import (
	"net/netip"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// AgentOf returns the address of the agent that an sFlow datagram states. ok is false where b is not the beginning of
// an sFlow version 5 datagram, or where the agent has no address and its source stands for it.
func AgentOf(b []byte) (agent netip.Addr, ok bool) {
	r := reader{b: b}
	if r.uint32() != 5 {
		return netip.Addr{}, false
	}
	addr := r.address()
	return addr.Netip(), !r.failed && !addr.IsUnspecified()
}

// source is an address that sends datagrams. It may speak for several agents, as a relay does.
type source struct {
	addr     flow.Addr
	agents   map[*agent]struct{}
	samplers budget.Holder[*source]
}

// agent returns the state of a sub-agent. Datagrams of a source that the agent is not bound to are counted under the
// source's own address, so that nobody can change the state of other agents.
func (d *Decoder) agent(key exporter.Key, from flow.Addr, now int64) *agent {
	if a := d.last; a != nil && a.key == key && d.from == from {
		a.binding.heard(now)
		return a
	}
	a, ok := d.agentOf(key, from, now)
	if ok {
		d.last, d.from = a, from
		return a
	}
	victim := d.o.Agents.stream(key.Exporter)
	if a != nil {
		victim = a.stream
	}
	if victim != nil {
		victim.SetImpostor(from)
	}
	stated := key.Exporter
	key.Exporter = from // a source always speaks for an agent of its own address
	a, _ = d.agentOf(key, from, now)
	a.stream.SetVictim(stated)
	a.stream.Fail(exporter.ForeignAgent, 1)
	return a
}

// agentOf returns the state of a sub-agent, and makes it where the source may speak for it. ok is false where it may
// not.
func (d *Decoder) agentOf(key exporter.Key, from flow.Addr, now int64) (a *agent, ok bool) {
	if a = d.agents[key]; a != nil {
		return a, a.binding.admits(from, now)
	}
	b := d.o.Agents.bind(key.Exporter, from, now)
	if b == nil {
		return nil, false
	}
	return d.newAgent(key, from, now, b), true
}

func (d *Decoder) newAgent(key exporter.Key, from flow.Addr, now int64, b *binding) *agent {
	a := &agent{
		decoder: d, key: key, stream: d.table.Get(key, from, now), overrides: d.o.Overrides[key.Exporter],
		samplers: samplers{all: map[sampler]*samplerState{}}, binding: b,
	}
	b.stream.Store(a.stream)
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
	d.o.Agents.release(a.binding, a.stream)
	delete(a.owner.agents, a)
	if len(a.owner.agents) == 0 && d.sources[a.owner.addr] == a.owner {
		delete(d.sources, a.owner.addr)
	}
	if d.last == a {
		d.last = nil
	}
}
