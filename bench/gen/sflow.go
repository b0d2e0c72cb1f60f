package gen

import (
	"encoding/binary"
)

// headerSFlow is the length of a datagram's header with an agent address of IPv4, in bytes.
const headerSFlow = 28

// sampledBytes is how much of a frame is sampled, the usual 128 bytes.
const sampledBytes = 128

// Lengths of the parts of a sample, in bytes: what every record begins with, and what follows it.
const (
	typedHeader  = 8
	sampleHead   = 32
	headerRecord = 16 + sampledBytes
	switchRecord = 16
)

// routerRecord is the length of an extended_router.
func routerRecord(six bool) int {
	if six {
		return 4 + 16 + 8
	}
	return 4 + 4 + 8
}

func sampleSize(six bool) int {
	return typedHeader + sampleHead + 3*typedHeader + headerRecord + switchRecord + routerRecord(six)
}

// appendSample appends a flow sample: the head of a frame, the VLANs that it passed between, and the router's next hop.
func (s *sender) appendSample(b []byte, r *record) []byte {
	const flowSample, sampledHeader, extendedSwitch, extendedRouter, ethernet = 1, 1, 1001, 1002, 1
	s.samples[r.in]++
	n := s.samples[r.in]
	frame := min(64+r.bytes/r.packets, 1518)
	b = words(b, flowSample, uint32(sampleSize(r.six)-typedHeader),
		n, r.in, s.o.Sampling, n*s.o.Sampling, 0, r.in, r.out, 3,
		sampledHeader, headerRecord, ethernet, frame, 4, sampledBytes)
	b = appendFrame(b, r, frame)
	b = words(b, extendedSwitch, switchRecord, 100+r.in, 0, 100+r.out, 0,
		extendedRouter, uint32(routerRecord(r.six)))
	hop := make([]byte, 4, 16)
	if r.six {
		hop = hop[:16]
	}
	nextHop(hop, r.out)
	kind := uint32(1)
	if r.six {
		kind = 2
	}
	b = append(words(b, kind), hop...)
	return words(b, uint32(mask(r.six)), uint32(mask(r.six)))
}

// words appends XDR integers.
func words(b []byte, list ...uint32) []byte {
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// appendFrame appends the first 128 bytes of a frame of so many bytes: Ethernet, IP, TCP, UDP or ICMP.
func appendFrame(b []byte, r *record, length uint32) []byte {
	at := len(b)
	b = append(b, make([]byte, sampledBytes)...)
	p := b[at:]
	mac(p[0:6], r.out+interfaces)
	mac(p[6:12], r.in)
	inner := p[14:]
	const ethernet, trailer = 14, 4
	packet := uint16(length - ethernet - trailer)
	if r.six {
		put16(p[12:], 0x86dd)
		put32(inner, 6<<28|uint32(r.tos)<<20)
		put16(inner[4:], packet-40)
		inner[6], inner[7] = r.protocol, 63
		copy(inner[8:24], r.src[:])
		copy(inner[24:40], r.dst[:])
		inner = inner[40:]
	} else {
		put16(p[12:], 0x0800)
		inner[0], inner[1] = 0x45, r.tos
		put16(inner[2:], packet)
		inner[8], inner[9] = 63, r.protocol
		copy(inner[12:16], r.src[:4])
		copy(inner[16:20], r.dst[:4])
		inner = inner[20:]
	}
	switch r.protocol {
	case protocolTCP:
		put16(inner, r.srcPort)
		put16(inner[2:], r.dstPort)
		inner[12], inner[13] = 5<<4, r.flags
	case protocolUDP:
		put16(inner, r.srcPort)
		put16(inner[2:], r.dstPort)
		put16(inner[4:], packet-28)
	default:
		put16(inner, r.dstPort) // type and code
	}
	return b
}

// appendSFlow makes a datagram of the samples collected. The agent is the exporter's address.
func (s *sender) appendSFlow(nowMs int64) {
	agent := s.source.Addr().As4()
	b := append(words(s.out[:0], 5, 1), agent[:]...)
	b = words(b, 0, s.sequence, s.uptime(nowMs), uint32(s.records))
	s.out = append(b, s.body[0]...)
	s.sequence++
}
