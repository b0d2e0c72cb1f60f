package sflow

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// received is when the tests' datagrams come, in Unix nanoseconds.
const received = 1_700_000_000_123_456_789

func u16(n uint16) []byte     { return binary.BigEndian.AppendUint16(nil, n) }
func u64(n uint64) []byte     { return binary.BigEndian.AppendUint64(nil, n) }
func ip(s string) []byte      { return netip.MustParseAddr(s).AsSlice() }
func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// words is XDR integers.
func words(list ...uint32) (b []byte) {
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func bin(digits string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// opaque is XDR's variable-length opaque: its length, the bytes, padding to a multiple of 4.
func opaque(b []byte) []byte {
	return join(words(uint32(len(b))), b, make([]byte, (4-len(b)%4)%4))
}

// address is an address with its type.
func address(s string) []byte {
	if s == "" {
		return words(0)
	}
	b := ip(s)
	if len(b) == 4 {
		return join(words(1), b)
	}
	return join(words(2), b)
}

// head is a datagram's header.
type head struct {
	agent    string
	subAgent uint32
	sequence uint32
	uptime   uint32
}

const agentAddress = "192.0.2.1"

func datagramOf(h head, samples ...[]byte) []byte {
	return join(words(5), address(h.agent), words(h.subAgent, h.sequence, h.uptime, uint32(len(samples))),
		join(samples...))
}

// typed is a sample or a record: a format and an opaque.
func typed(format uint32, body ...[]byte) []byte { return join(words(format), opaque(join(body...))) }

// sampleHead is what a flow sample says before its records.
type sampleHead struct {
	sequence, source, rate, pool, drops uint32
	in, out                             uint32
	inFormat, outFormat                 uint32 // expanded
}

var plainHead = sampleHead{sequence: 1, source: 7, rate: 1000, pool: 5000, in: 3, out: 4}

func compact(h sampleHead, records ...[]byte) []byte {
	return typed(flowSample, words(h.sequence, h.source, h.rate, h.pool, h.drops, h.in, h.out, uint32(len(records))),
		join(records...))
}

func expanded(h sampleHead, records ...[]byte) []byte {
	return typed(expandedFlowSample, words(h.sequence, 0, h.source, h.rate, h.pool, h.drops,
		h.inFormat, h.in, h.outFormat, h.out, uint32(len(records))), join(records...))
}

// headerRecord is a sampled_header; length is the frame's on the wire, 4 bytes of which the agent stripped.
func headerRecord(protocol, length uint32, header []byte) []byte {
	return typed(sampledHeader, words(protocol, length, 4), opaque(header))
}

// tcp4 is an Ethernet frame with a TCP segment of IPv4, tagged with VLAN 0 or more ids.
func tcp4(vlans ...uint16) []byte {
	b := bin("020000000002 020000000001")
	for _, id := range vlans {
		b = join(b, u16(0x8100), u16(id))
	}
	return join(b, u16(0x0800), packet4())
}

// packet4 and packet6 are the packets in the frames.
func packet4() []byte {
	return join(bin("45b80028 00010000 4006 0000"), ip("10.0.0.1"), ip("10.0.0.2"), u16(1234), u16(443),
		bin("00000001 00000002 5012 ffff 00000000"))
}

func packet6() []byte {
	return join(bin("6b812345 0014 06 40"), ip("2001:db8::1"), ip("2001:db8::2"), u16(1234), u16(443),
		bin("00000001 00000002 5012 ffff 00000000"))
}

func ethernet6() []byte { return join(bin("020000000002 020000000001 86dd"), packet6()) }

// Records of flow samples.
func switchRecord(in, out uint32) []byte { return typed(extendedSwitch, words(in, 5, out, 6)) }

func routerRecord(next string, src, dst uint32) []byte {
	return typed(extendedRouter, address(next), words(src, dst))
}

// segment is a part of an AS path: kind 1 is a set, 2 a sequence.
type segment struct {
	kind uint32
	as   []uint32
}

func gatewayRecord(next string, own, src, peer uint32, path []segment, communities []uint32, preference uint32) []byte {
	b := join(address(next), words(own, src, peer, uint32(len(path))))
	for _, s := range path {
		b = join(b, words(s.kind, uint32(len(s.as))), words(s.as...))
	}
	return typed(extendedGateway, b, words(uint32(len(communities))), words(communities...), words(preference))
}

func ipRecord(format, length, protocol uint32, src, dst string, srcPort, dstPort, flags, tos uint32) []byte {
	return typed(format, words(length, protocol), ip(src), ip(dst), words(srcPort, dstPort, flags, tos))
}

// lab is a decoder with an agent in front of it.
type lab struct {
	t         testing.TB
	table     *exporter.Table
	d         *Decoder
	b         *flow.Batch
	got       []flow.Record
	counters  []flow.InterfaceCounters
	discards  []Discard
	source    string
	port      uint16
	truncated bool
	later     int64 // nanoseconds behind received
}

// newLab is a decoder whose receivers of counters and discards keep what they get.
func newLab(t testing.TB, o Options) *lab {
	l := &lab{t: t, table: exporter.NewTable(16), source: "203.0.113.5", port: 40000}
	o.Counters = func(c *flow.InterfaceCounters) { l.counters = append(l.counters, *c) }
	o.Discards = func(d *Discard) { l.discards = append(l.discards, *d) }
	l.d = New(l.table, o)
	l.b = flow.NewBatch(func(records []flow.Record) {
		for _, r := range records {
			r.ASPath, r.Communities = slices.Clone(r.ASPath), slices.Clone(r.Communities)
			l.got = append(l.got, r)
		}
	})
	return l
}

// send decodes a datagram and returns its records.
func (l *lab) send(payload []byte) []flow.Record {
	l.got = nil
	l.d.Decode(&exporter.Datagram{
		Payload: payload, Source: netip.AddrPortFrom(netip.MustParseAddr(l.source), l.port),
		Received: received + l.later, Truncated: l.truncated,
	}, l.b)
	return l.got
}

// sample decodes a datagram with one sample, and returns the one record of it.
func (l *lab) sample(sample []byte) flow.Record {
	l.t.Helper()
	records := l.send(datagramOf(head{agent: agentAddress, sequence: 1, uptime: 1000}, sample))
	if len(records) != 1 {
		l.t.Fatalf("%d records, want 1", len(records))
	}
	return records[0]
}

// stream is the agent's stream of a sub-agent.
func (l *lab) stream(subAgent uint32) *exporter.Stream {
	return l.table.Get(exporter.Key{Exporter: addr(agentAddress), Protocol: flow.SFlow5, Domain: subAgent},
		addr(l.source), received)
}

// failed asserts how often each reason was counted; reasons that are not named must be 0.
func (l *lab) failed(want map[exporter.Reason]uint64) {
	l.t.Helper()
	s := l.stream(0)
	for _, reason := range exporter.Reasons() {
		if got := s.Failed(reason); got != want[reason] {
			l.t.Errorf("%s is %d, want %d", reason, got, want[reason])
		}
	}
}

// equal compares two values, saying which they are.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
