package sflow

// sampler is a source of flow samples, its class in the upper half and its index in the lower. It numbers its samples, those
// of expanded form apart.
type sampler uint64

// expandedSampler marks samplers of expanded form; no class is that large.
const expandedSampler sampler = 1 << 63

// samplerState is what the latest sample of a sampler said.
type samplerState struct {
	sequence uint32
	drops    uint32
}

// maxSamplers bounds the samplers of one agent, maxAllSamplers those of all agents of a decoder.
const (
	maxSamplers    = 4096
	maxAllSamplers = 1 << 18
)

// samplers are those of an agent. The latest is at hand: samples of one source tend to come together.
type samplers struct {
	all    map[sampler]*samplerState
	room   *int // for how many more the decoder has
	latest *samplerState
	key    sampler
}

// find returns the state of a sampler, and whether it had a sample before. It returns nil where there are too many.
func (s *samplers) find(key sampler) (state *samplerState, known bool) {
	if s.latest != nil && s.key == key {
		return s.latest, true
	}
	state, known = s.all[key]
	if !known {
		if len(s.all) >= maxSamplers || *s.room <= 0 {
			return nil, false
		}
		*s.room--
		state = &samplerState{}
		s.all[key] = state
	}
	s.latest, s.key = state, key
	return state, known
}

// forget makes the next sample of each the first.
func (s *samplers) forget() {
	*s.room += len(s.all)
	clear(s.all)
	s.latest = nil
}

// observe counts the flow samples and drops that the numbers of their source tell of.
func (m *datagram) observe(key sampler, sequence, drops uint32) {
	if m.again {
		return
	}
	s, known := m.agent.samplers.find(key)
	if s == nil {
		return
	}
	stream := m.agent.stream
	if known {
		if m.late && int32(sequence-s.sequence) < 0 {
			// It was counted as lost when the samples after it came.
			stream.SamplesLost.Add(-min(1, stream.SamplesLost.Load()))
			return
		}
		// A large jump, or one back, is a restart: it is not counted.
		if gap := sequence - s.sequence - 1; gap != 0 && gap < 1<<20 {
			stream.SamplesLost.Add(uint64(gap))
		}
		if more := drops - s.drops; more != 0 && more < 1<<31 {
			stream.AgentDrops.Add(uint64(more))
		}
	}
	s.sequence, s.drops = sequence, drops
}
