// Package sflow decodes sFlow version 5 (sflow_version_5.txt) into flow records: one for each flow sample, whatever
// records the sample has. Counter samples and notifications of discarded packets are handed to their own receivers and
// are never traffic.
//
// Where the specification leaves a choice: the agent address names the exporter (case 45); bytes are the frame's length as
// the agent states it, link header included, or the packet's where there is a sampled_ipv4 or sampled_ipv6 too, as with
// sfacctd (case 49); an output that is discarded, internal or several interfaces is no
// ifIndex (case 48); a path of AS numbers is flattened, its last AS is the destination's, and an empty path gives 0 (case
// 52); times are the datagram's receive time (case 57). A sample that cannot be read costs that sample.
package sflow

import (
	"encoding/binary"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/packet"
)

// Options say who gets what is not traffic. The zero value is usable.
type Options struct {
	Overrides exporter.Overrides
	Inner     bool // sampled headers of tunnels: take the flow inside
	// Counters gets the interface counters of counter samples, Discards the packets that devices report as dropped; what
	// they are handed is valid during the call. nil: they are counted only.
	Counters func(*InterfaceCounters)
	Discards func(*Discard)
}

// Decoder decodes the datagrams of one worker. It is not safe for concurrent use.
type Decoder struct {
	o      Options
	parse  packet.Options
	table  *exporter.Table
	agents map[exporter.Key]*agent
	last   *agent
	batch  *flow.Batch

	// What receivers are handed, in memory of its own.
	counters  InterfaceCounters
	discarded Discard
}

// New returns a decoder that counts in table.
func New(table *exporter.Table, o Options) *Decoder {
	return &Decoder{o: o, parse: packet.Options{Inner: o.Inner}, table: table, agents: map[exporter.Key]*agent{}}
}

// agent is one sub-agent of a device: datagrams are numbered by it.
type agent struct {
	key       exporter.Key
	stream    *exporter.Stream
	overrides *exporter.Rates
	sequence  exporter.Sequence
	uptimeMs  uint32
	samplers  map[sampler]*samplerState
}

// sampler is a source of samples: they are numbered by it, apart for each kind of sample.
type sampler struct {
	kind   uint8
	source uint64 // class and index
}

type samplerState struct {
	sequence uint32
	drops    uint32
	known    bool
}

// maxSamplers bounds the sources of samples of one agent.
const maxSamplers = 4096

// Sample formats (enterprise 0).
const (
	flowSample            = 1
	counterSample         = 2
	expandedFlowSample    = 3
	expandedCounterSample = 4
	discardedPacket       = 5
)

// datagram is what samples need of the datagram they are in.
type datagram struct {
	agent    *agent
	source   flow.Addr
	addr     flow.Addr
	subAgent uint32
	received int64
}

// Decode decodes a datagram and adds its records to b, flushed.
func (d *Decoder) Decode(dg *exporter.Datagram, b *flow.Batch) {
	d.batch = b
	r := reader{b: dg.Payload}
	r.skip(4) // the version
	addr := r.address()
	subAgent, sequence, uptime, samples := r.uint32(), r.uint32(), r.uint32(), r.uint32()
	if r.failed {
		d.table.Unattributed(exporter.Truncated)
		return
	}
	source := flow.AddrFrom(dg.Source.Addr())
	if addr.IsUnspecified() {
		addr = source
	}
	a := d.agent(exporter.Key{Exporter: addr, Protocol: flow.SFlow5, Domain: subAgent}, source, dg.Received)
	a.stream.Saw(dg)
	if dg.Truncated {
		a.stream.Fail(exporter.Truncated, 1)
	}
	// An uptime that falls by more than reordering explains is a restart, unless it wrapped.
	if a.uptimeMs > uptime && a.uptimeMs-uptime > 60_000 && a.uptimeMs < 0xf0000000 {
		a.sequence.Restarted(a.stream)
		clear(a.samplers)
	}
	a.uptimeMs = uptime
	a.sequence.Observe(a.stream, sequence, 1)
	m := datagram{agent: a, source: source, addr: addr, subAgent: subAgent, received: dg.Received}
	for ; samples > 0; samples-- {
		format := r.uint32()
		body := r.opaque()
		if r.failed {
			a.stream.Fail(exporter.BadSet, 1)
			break
		}
		d.sample(&m, format, body)
	}
	if !r.failed && len(r.b) > 0 {
		a.stream.Fail(exporter.TrailingBytes, 1)
	}
	b.Flush()
}

func (d *Decoder) agent(key exporter.Key, source flow.Addr, now int64) *agent {
	if a := d.last; a != nil && a.key == key && !a.stream.Gone() {
		return a
	}
	a := d.agents[key]
	if a == nil || a.stream.Gone() {
		d.forget()
		a = &agent{
			key: key, stream: d.table.Get(key, source, now),
			overrides: d.o.Overrides[key.Exporter], samplers: map[sampler]*samplerState{},
		}
		d.agents[key] = a
	}
	d.last = a
	return a
}

// forget drops agents whose stream has made room for others, now and then.
func (d *Decoder) forget() {
	if len(d.agents)%256 != 255 {
		return
	}
	for key, a := range d.agents {
		if a.stream.Gone() {
			delete(d.agents, key)
		}
	}
}

// sample decodes one sample. The format's upper 20 bits are the enterprise that defines it.
func (d *Decoder) sample(m *datagram, format uint32, body []byte) {
	ok := true
	switch format {
	case flowSample:
		ok = d.flowSample(m, reader{b: body}, false)
	case expandedFlowSample:
		ok = d.flowSample(m, reader{b: body}, true)
	case counterSample:
		ok = d.counterSample(m, reader{b: body}, false)
	case expandedCounterSample:
		ok = d.counterSample(m, reader{b: body}, true)
	case discardedPacket:
		ok = d.discard(m, reader{b: body})
	default:
		m.agent.stream.Fail(exporter.UnknownSet, 1)
	}
	if !ok {
		m.agent.stream.Fail(exporter.BadSet, 1)
	}
}

// observe counts the samples and drops that the numbers of a source tell of.
func (m *datagram) observe(kind uint8, source uint64, sequence, drops uint32) {
	key := sampler{kind, source}
	s := m.agent.samplers[key]
	if s == nil {
		if len(m.agent.samplers) >= maxSamplers {
			return
		}
		s = &samplerState{}
		m.agent.samplers[key] = s
	}
	if s.known {
		// A large jump, or one back, is a restart or a late datagram: neither is counted.
		if gap := sequence - s.sequence - 1; gap < 1<<20 {
			m.agent.stream.SamplesLost.Add(uint64(gap))
		}
		if more := drops - s.drops; more < 1<<31 {
			m.agent.stream.AgentDrops.Add(uint64(more))
		}
	}
	s.sequence, s.drops, s.known = sequence, drops, true
}

// flowSample reads a flow sample: what was sampled, at what rate, on which interfaces, and its records.
func (d *Decoder) flowSample(m *datagram, r reader, expanded bool) bool {
	sequence := r.uint32()
	source := r.source(expanded)
	rate := r.uint32()
	r.skip(4) // sample pool
	drops := r.uint32()
	var inKind, inValue, outKind, outValue uint32
	if expanded {
		inKind, inValue, outKind, outValue = r.uint32(), r.uint32(), r.uint32(), r.uint32()
	} else {
		in, out := r.uint32(), r.uint32()
		inKind, inValue, outKind, outValue = in>>30, in&0x3fffffff, out>>30, out&0x3fffffff
	}
	records := r.uint32()
	if r.failed {
		return false
	}
	m.observe(flowSample, source, sequence, drops)

	f := d.batch.Next()
	f.Protocol = flow.SFlow5
	f.Domain = m.subAgent
	f.Exporter, f.Source = m.addr, m.source
	f.Received = m.received
	f.StartMs = m.received / int64(time.Millisecond)
	f.EndMs, f.ExportMs = f.StartMs, f.StartMs
	f.SamplingRate, f.SamplingSource = rate, flow.SamplingRecord
	f.InIf, f.InIfKind = interfaceOf(inKind, inValue, expanded)
	f.OutIf, f.OutIfKind = interfaceOf(outKind, outValue, expanded)
	f.Packets = 1
	f.Has = flow.Packets | flow.InIf | flow.OutIf | flow.Start | flow.End

	var seen parts
	for ; records > 0; records-- {
		format, body := r.uint32(), r.opaque()
		if r.failed {
			break
		}
		if !d.record(f, format, body, &seen) {
			m.agent.stream.Fail(exporter.BadRecord, 1)
		}
	}
	if r.failed && seen == 0 {
		d.batch.Drop()
		return false
	}
	// A frame without IP is no flow: the reference has no row for it either.
	if !f.Sent(flow.SrcAddr) {
		m.agent.stream.Fail(exporter.NotIP, 1)
		d.batch.Drop()
		return !r.failed
	}
	if !f.Sent(flow.VLAN) && f.Sent(flow.FrameVLAN) {
		f.VLAN = f.FrameVLAN
		f.Has |= flow.VLAN
	}
	m.agent.overrides.Apply(f)
	m.agent.stream.Records.Add(1)
	m.agent.stream.SamplingRate.Store(f.SamplingRate)
	m.agent.stream.SamplingSource.Store(uint32(f.SamplingSource))
	return !r.failed
}

// internal is the interface number of packets that the device itself sent or took, in compact samples.
const internal = 0x3fffffff

// interfaceOf decodes an interface's format and value (sflow_version_5.txt, "interface" and "interface_expanded").
func interfaceOf(format, value uint32, expanded bool) (uint32, flow.InterfaceKind) {
	switch format {
	case 0:
		if value == internal || expanded && value == 0xffffffff {
			return 0, flow.InterfaceInternal
		}
		return value, flow.InterfaceIndex
	case 1:
		return value, flow.InterfaceDiscarded
	}
	return value, flow.InterfaceMultiple
}

// reader takes XDR values (RFC 4506) off a buffer. Once a value is missing it has failed and gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.failed = true
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

func (r *reader) uint64() uint64 {
	high := r.uint32()
	return uint64(high)<<32 | uint64(r.uint32())
}

func (r *reader) skip(n int) {
	if n > len(r.b) {
		r.failed, n = true, len(r.b)
	}
	r.b = r.b[n:]
}

// take returns n bytes, which are followed by padding to a multiple of 4.
func (r *reader) take(n uint32) []byte {
	padded := (uint64(n) + 3) &^ 3
	if padded > uint64(len(r.b)) {
		// Some agents leave the padding of the last value out.
		if uint64(n) != uint64(len(r.b)) {
			r.failed = true
			return nil
		}
		padded = uint64(n)
	}
	value := r.b[:n]
	r.b = r.b[padded:]
	return value
}

func (r *reader) opaque() []byte { return r.take(r.uint32()) }

// address reads an address with its type: 1 IPv4, 2 IPv6, 0 unknown.
func (r *reader) address() flow.Addr {
	switch r.uint32() {
	case 0:
		return flow.Addr{}
	case 1:
		if b := r.take(4); len(b) == 4 {
			return flow.AddrFrom4([4]byte(b))
		}
	case 2:
		if b := r.take(16); len(b) == 16 {
			return flow.Addr(b)
		}
	default:
		r.failed = true
	}
	return flow.Addr{}
}

// source reads the id of what is sampled: a class and an index.
func (r *reader) source(expanded bool) uint64 {
	if expanded {
		return r.uint64()
	}
	id := r.uint32()
	return uint64(id>>24)<<32 | uint64(id&0xffffff)
}
