package sflow

import "github.com/metranova/flow-collector/decoder/exporter"

// sampler is a source of flow samples: its class in the upper half, its index in the lower. It numbers its samples;
// expanded samples have numbers of their own.
type sampler uint64

// expandedSampler marks samplers of expanded samples. No class is that large.
const expandedSampler sampler = 1 << 63

// samplerState is the state after a sampler's latest sample.
type samplerState struct {
	sequence uint32
	drops    uint32
}

// maxSamplers bounds the samplers of one agent, defaultSamplers those of all agents of a decoder.
const (
	maxSamplers     = 4096
	defaultSamplers = 1 << 17
)

// samplers are those of one agent. The latest is cached, as consecutive samples are mostly of one source.
type samplers struct {
	all    map[sampler]*samplerState
	latest *samplerState
	key    sampler
}

// sampler returns the state of a sampler, and whether it had a sample before. It returns nil if the agent has too many.
// If all agents together have too many, an agent of the source with the most loses its samplers.
func (d *Decoder) sampler(a *agent, key sampler) (state *samplerState, known bool) {
	s := &a.samplers
	if s.latest != nil && s.key == key {
		return s.latest, true
	}
	state, known = s.all[key]
	if !known {
		holder := &a.owner.samplers
		if len(s.all) >= maxSamplers || !d.room.Fits(holder, 1) {
			a.stream.Fail(exporter.SamplerLimit, 1)
			return nil, false
		}
		state = &samplerState{}
		s.all[key] = state
		d.room.Add(holder, 1)
		for d.room.Over() {
			d.evictSamplers(d.room.Victim().Of)
		}
		if len(s.all) == 0 { // the agent's own samplers were evicted
			return nil, false
		}
	}
	s.latest, s.key = state, key
	return state, known
}

// evictSamplers forgets the samplers of the source's agent that has the most.
func (d *Decoder) evictSamplers(src *source) {
	var largest *agent
	for a := range src.agents {
		if largest == nil || len(a.samplers.all)+a.charged > len(largest.samplers.all)+largest.charged {
			largest = a
		}
	}
	largest.stream.Fail(exporter.SamplerLimit, uint64(len(largest.samplers.all)))
	d.forgetSamplers(largest)
}

// samplerBytes is about the memory of a sampler.
const samplerBytes = 64

// forgetSamplers restarts the numbers of all samplers: the next sample of each is its first. Source ports are learned
// again.
func (d *Decoder) forgetSamplers(a *agent) {
	d.room.Add(&a.owner.samplers, -len(a.samplers.all)-a.charged)
	a.numbers.ForgetPorts()
	a.charged = 0
	clear(a.samplers.all)
	a.samplers.latest = nil
}

// takeBackSamples takes back losses of samples that were told before it was known that the agent's processes number
// for themselves: among its first datagrams.
func (a *agent) takeBackSamples() {
	const first = 100
	if a.samplesLost > 0 && a.stream.Datagrams.Load() < first {
		a.stream.SamplesLost.Add(-min(a.samplesLost, a.stream.SamplesLost.Load()))
	}
	a.samplesLost = 0
}

// observe counts the lost flow samples and drops that the sequence numbers show.
func (d *Decoder) observe(m *datagram, key sampler, sequence, drops uint32) {
	if m.agent.numbers.Separate() {
		// Each process of the agent may number the samples of a source for itself: losses are unknown.
		m.agent.takeBackSamples()
		return
	}
	s, known := d.sampler(m.agent, key)
	if s == nil {
		return
	}
	stream := m.agent.stream
	if known && m.again && int32(sequence-s.sequence) <= 0 {
		return
	}
	if known {
		if m.late && int32(sequence-s.sequence) < 0 {
			// It was counted as lost when a later sample was received.
			stream.SamplesLost.Add(-min(1, stream.SamplesLost.Load()))
			return
		}
		// A jump that is large or backwards is a restart, and not counted as loss.
		if gap := sequence - s.sequence - 1; gap != 0 && gap < 1<<20 {
			stream.SamplesLost.Add(uint64(gap))
			m.agent.samplesLost += uint64(gap)
		}
		if more := drops - s.drops; more != 0 && more < 1<<31 {
			stream.AgentDrops.Add(uint64(more))
		}
	}
	s.sequence, s.drops = sequence, drops
}
