package replay

import (
	"encoding/binary"
	"net/netip"
)

// Flow samples of sFlow (sflow_version_5.txt): compact and expanded.
const (
	flowSample         = 1
	expandedFlowSample = 3
)

// sflowHead is where a datagram's sequence number, uptime and number of samples stand, by the agent address's type.
func sflowHead(b []byte) (sequence int, agent netip.Addr, ok bool) {
	switch kind := binary.BigEndian.Uint32(b[4:]); {
	case kind == 1 && len(b) >= 28:
		return 16, netip.AddrFrom4([4]byte(b[8:12])), true
	case kind == 2 && len(b) >= 40:
		return 28, netip.AddrFrom16([16]byte(b[8:24])), true
	}
	return 0, agent, false
}

// sflow reads a datagram of sFlow, which is numbered by agent and sub-agent; its flow samples by their data source too.
func (p *parser) sflow(b []byte) (n numbering, flows int, ok bool) {
	at, agent, ok := sflowHead(b)
	if !ok {
		return n, 0, false
	}
	key := streamKey{source: agent, domain: uint64(binary.BigEndian.Uint32(b[at-4:]))}
	n = numbering{stream: p.stream(key), units: 1}
	at += 12
	for at+8 <= len(b) {
		format, length := binary.BigEndian.Uint32(b[at:]), int(binary.BigEndian.Uint32(b[at+4:]))
		at += 8
		if length < 0 || at+length > len(b) {
			break
		}
		if s, found := p.sample(b[at:at+length], format, key); found {
			s.offset += uint16(at)
			s.pool += uint16(at)
			n.samples = append(n.samples, s)
			flows++
		}
		at += length
	}
	return n, flows, true
}

func (p *parser) sample(b []byte, format uint32, key streamKey) (s sample, ok bool) {
	switch {
	case format == flowSample && len(b) >= 32:
		key.sampler = 1<<63 | uint64(binary.BigEndian.Uint32(b[4:]))
		s = sample{pool: 12, rate: binary.BigEndian.Uint32(b[8:])}
	case format == expandedFlowSample && len(b) >= 44:
		key.sampler = 1<<63 | 1<<62 | uint64(binary.BigEndian.Uint32(b[4:]))<<32 |
			uint64(binary.BigEndian.Uint32(b[8:]))
		s = sample{pool: 16, rate: binary.BigEndian.Uint32(b[12:])}
	default:
		return s, false
	}
	s.source = p.stream(key)
	return s, true
}
