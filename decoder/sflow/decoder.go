// Package sflow decodes sFlow version 5 (sflow_version_5.txt) into flow records: one for each flow sample, whatever
// records the sample has. Counter samples and reports of discarded packets go to receivers of their own and are never
// traffic.
//
// What it does where the specification leaves a choice (the cases are in decoder/README.md):
//
//   - The agent address names the exporter (case 45).
//   - Datagrams are numbered by agent and sub-agent, flow samples by their source too; expanded samples have numbers of
//     their own (case 46).
//   - Bytes are the frame's length as the agent states it, link header and checksum included. With a sampled_ipv4 or
//     sampled_ipv6 they are the packet's length, as in sfacctd. If the agent states only the length of the sampled
//     bytes, they follow from the IP header (case 49).
//   - Several descriptions of one packet complete each other in any order; the sampled header has precedence (case 51).
//   - An output that is "discarded", "internal" or "several interfaces" is not an ifIndex (case 48).
//   - AS path segments are flattened; the last AS is the destination's, and an empty path gives 0 (case 52).
//   - The VLAN is the switch's input VLAN, else its output VLAN, else a stripped tag or the frame's own; numbers for
//     "unknown" are kept, as in sfacctd (case 53).
//   - The frame's MPLS labels come before those of extended_mpls, in whatever order the records are (case 53).
//   - Times are the datagram's receive time (case 57).
//
// A sample that cannot be read costs that sample, a record that cannot be read costs that record.
package sflow

import (
	"cmp"
	"sync"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/packet"
)

// Options configure a Decoder. The zero value is usable.
type Options struct {
	Overrides  exporter.Overrides
	Inner      bool // of tunnels in sampled headers, take the inner flow
	Samplers   int  // sample sources that are remembered, of all agents; 0: 131072
	MaxSamples int  // samples of one datagram that are decoded; 0: all
	MaxBytes   int  // samples that begin after this many bytes of a datagram are skipped; 0: none are
	MaxNumbers int  // so are samples after those that have more AS numbers and communities; 0: none are
	// Agents is shared by the decoders of a process; nil: this decoder has its own.
	Agents *Agents
	// Counters receives the interface counters, Discards the packets that devices report as dropped. What they receive
	// is valid during the call. nil: they are only counted.
	Counters func(*flow.InterfaceCounters)
	Discards func(*Discard)
}

// Decoder decodes the datagrams of one worker. It is not safe for concurrent use.
type Decoder struct {
	_ [0]sync.Mutex // go vet reports copies

	o       Options
	parse   packet.Options
	table   *exporter.Table
	agents  map[exporter.Key]*agent
	sources map[flow.Addr]*source
	room    *budget.Budget[*source] // of samplers
	last    *agent
	from    flow.Addr // the source of the latest datagram
	batch   *flow.Batch
	lengths *frameLengths // of the agent whose sample is being read

	// What receivers get, in memory that is reused.
	counters  flow.InterfaceCounters
	discarded Discard
}

// New returns a decoder that keeps its counters in table.
func New(table *exporter.Table, o Options) *Decoder {
	o.Samplers = cmp.Or(max(o.Samplers, 0), defaultSamplers)
	if o.Agents == nil {
		o.Agents = &Agents{}
	}
	return &Decoder{
		o: o, parse: packet.Options{Inner: o.Inner}, table: table, agents: map[exporter.Key]*agent{},
		sources: map[flow.Addr]*source{}, room: budget.New[*source](budget.Quarter(o.Samplers)),
	}
}

// SetOverrides replaces the operator's sampling rates.
func (d *Decoder) SetOverrides(o exporter.Overrides) {
	d.o.Overrides = o
	for key, a := range d.agents {
		a.overrides = o[key.Exporter]
	}
}

// agent is one sub-agent of a device. Each numbers its own datagrams.
type agent struct {
	decoder   *Decoder
	key       exporter.Key
	owner     *source // the source of its first datagram
	binding   *binding
	stream    *exporter.Stream
	overrides *exporter.Rates
	numbers   exporter.Numbers
	charged   int // samplers that the runs of source ports take the place of

	samplesLost uint64 // told so far
	uptimeMs    uint32
	samplers    samplers
	lengths     frameLengths
}

// Sample formats (enterprise 0).
const (
	flowSample            = 1
	counterSample         = 2
	expandedFlowSample    = 3
	expandedCounterSample = 4
	discardedPacket       = 5
)

// datagram holds what its samples need.
type datagram struct {
	agent    *agent
	source   flow.Addr
	addr     flow.Addr
	subAgent uint32
	sequence uint32
	port     uint16 // the UDP source port
	received int64
	again    bool // a duplicate
	late     bool // datagrams that were sent after it were received before it
	samples  int
	numbers  int // AS numbers and communities of its samples
	records  uint64
	counters uint64 // counter samples
	rate     uint32 // of the latest record
	rateFrom flow.SamplingSource
}

// order evaluates the datagram's sequence number.
func (d *Decoder) order(m *datagram, sequence, samples uint32) {
	a := m.agent
	a.numbers.Observe(a.stream, m.port, sequence, exporter.Units{Samples: samples})
	m.again, m.late = a.numbers.Latest()
	if n := a.numbers.Bytes() / samplerBytes; n != a.charged {
		d.room.Add(&a.owner.samplers, n-a.charged)
		if a.charged = n; d.room.Over() {
			d.forgetSamplers(a)
		}
	}
}

// count adds up the datagram's records.
func (m *datagram) count() {
	if m.records == 0 {
		return
	}
	s := m.agent.stream
	s.Records.Add(m.records)
	s.SamplingRate.Store(m.rate)
	s.SamplingSource.Store(uint32(m.rateFrom))
}

// Decode decodes a datagram, adds its records to b and flushes b.
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
	addr = a.key.Exporter
	a.stream.Saw(dg)
	if dg.Truncated {
		a.stream.Fail(exporter.Truncated, 1)
	}
	// An uptime that falls by more than reordering explains means a restart, unless it wrapped.
	if a.uptimeMs > uptime && a.uptimeMs-uptime > 60_000 && a.uptimeMs < 0xf0000000 {
		a.numbers.Restarted(a.stream, dg.Source.Port())
		d.forgetSamplers(a)
	}
	a.uptimeMs = uptime
	m := datagram{agent: a, source: source, addr: addr, subAgent: subAgent, sequence: sequence, received: dg.Received,
		port: dg.Source.Port()}
	d.order(&m, sequence, samples)
	for ; samples > 0; samples-- {
		if m.samples++; d.beyondLimits(&m, len(dg.Payload)-len(r.b)) {
			// The header may claim more samples than fit: each takes at least the bytes of its format and length.
			a.stream.Fail(exporter.RecordLimit, uint64(min(int(samples), len(r.b)/8)))
			r.b = nil
			break
		}
		format, body := r.typed()
		if r.failed {
			a.stream.Fail(exporter.BadSet, 1)
			break
		}
		d.sample(&m, format, body)
	}
	if !r.failed && len(r.b) > 0 {
		a.stream.Fail(exporter.TrailingBytes, 1)
	}
	m.count()
	if (m.records > 0 || m.counters > 0) && !a.stream.Proven() {
		d.table.Prove(a.stream)
		d.room.Trust(&a.owner.samplers)
	}
	b.Flush()
}

// beyondLimits reports whether the next sample, which begins at a place of the datagram, is not looked at.
func (d *Decoder) beyondLimits(m *datagram, at int) bool {
	beyond := func(n, limit int) bool { return limit > 0 && n > limit }
	return beyond(m.samples, d.o.MaxSamples) || beyond(at+1, d.o.MaxBytes) || beyond(m.numbers, d.o.MaxNumbers)
}

// sample decodes one sample. The upper 20 bits of format are the enterprise that defines it.
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

// flowSample reads a flow sample: rate, interfaces, and its records.
func (d *Decoder) flowSample(m *datagram, r reader, expanded bool) bool {
	h := r.flowSampleHead(expanded)
	if r.failed {
		return false
	}
	d.observe(m, h.source, h.sequence, h.drops)
	d.lengths = &m.agent.lengths

	f := d.batch.Next()
	f.Protocol = flow.SFlow5
	f.Domain, f.Sequence = m.subAgent, m.sequence
	f.Exporter, f.Source = m.addr, m.source
	f.Received = m.received
	f.StartMs = m.received / int64(time.Millisecond)
	f.EndMs, f.ExportMs = f.StartMs, f.StartMs
	f.SamplingRate, f.SamplingSource = h.rate, flow.SamplingRecord
	f.InIf, f.InIfKind = interfaceOf(h.inFormat, h.in, expanded)
	f.OutIf, f.OutIfKind = interfaceOf(h.outFormat, h.out, expanded)
	f.Packets = 1
	f.Has = flow.Packets | flow.InIf | flow.OutIf | flow.Start | flow.End

	var seen parts
	for range h.records {
		format, body := r.typed()
		if r.failed {
			break
		}
		if !d.record(f, format, body, &seen) {
			m.agent.stream.Fail(exporter.BadRecord, 1)
		}
	}
	if r.failed && !seen.any {
		d.batch.Drop()
		return false
	}
	seen.complete(f)
	// A frame without an IP packet is not a flow, for sfacctd neither.
	if !f.Sent(flow.SrcAddr) {
		m.agent.stream.Fail(exporter.NotIP, 1)
		d.batch.Drop()
		return !r.failed
	}
	if f.VLAN == 0 && f.Sent(flow.FrameVLAN) {
		f.VLAN = f.FrameVLAN
		f.Has |= flow.VLAN
	}
	m.agent.overrides.Apply(f)
	m.records++
	m.numbers += len(f.ASPath) + len(f.Communities)
	m.rate, m.rateFrom = f.SamplingRate, f.SamplingSource
	return !r.failed
}

// flowSampleHead is the fixed part of a flow sample.
type flowSampleHead struct {
	sequence, rate, drops, records uint32
	source                         sampler
	inFormat, in, outFormat, out   uint32
}

// flowSampleHead reads the fixed part of a flow sample. It skips the sample pool, which follows from the rate.
func (r *reader) flowSampleHead(expanded bool) flowSampleHead {
	if expanded {
		b := r.fixed(44)
		if b == nil {
			return flowSampleHead{}
		}
		return flowSampleHead{
			sequence: word(b, 0), source: expandedSampler | sampler(word(b, 1))<<32 | sampler(word(b, 2)),
			rate: word(b, 3), drops: word(b, 5),
			inFormat: word(b, 6), in: word(b, 7), outFormat: word(b, 8), out: word(b, 9), records: word(b, 10),
		}
	}
	b := r.fixed(32)
	if b == nil {
		return flowSampleHead{}
	}
	source, in, out := word(b, 1), word(b, 5), word(b, 6)
	return flowSampleHead{
		sequence: word(b, 0), source: sampler(source>>24)<<32 | sampler(source&0xffffff), rate: word(b, 2),
		drops:    word(b, 4),
		inFormat: in >> 30, in: in & 0x3fffffff, outFormat: out >> 30, out: out & 0x3fffffff, records: word(b, 7),
	}
}

// internal is the interface number, in compact samples, of packets that the device itself sent or received.
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
	case 2:
		return value, flow.InterfaceMultiple
	}
	return 0, flow.InterfaceIndex // a format that is not in the specification: the interface is unknown
}
