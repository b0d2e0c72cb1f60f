// Package netflow decodes NetFlow v5, NetFlow v9 (RFC 3954) and IPFIX (RFC 7011) into flow records.
//
// A template is compiled once into a plan; a data record is one pass over it. Where the protocols leave a choice:
//
//   - Templates are kept by source address, protocol and observation domain. Two source ports that define one id
//     differently split the domain by port; until then exporters may change their port at will (case 22).
//   - Templates of a TCP connection are that connection's: they do not expire, may be withdrawn or defined anew, and
//     are
//     forgotten with the connection (RFC 7011 §8, §10.4): see EndSession.
//   - A withdrawal over UDP, which RFC 7011 §8.4 forbids, is counted and ignored (case 23).
//   - Templates without fields, or whose records could have no bytes, are counted and not kept (cases 26-28).
//   - Of an element that stands twice in a template the last counts, as with pmacct: the inner header's (case 41).
//   - With several counters the delta of the ingress side counts, then totals, the egress side, a firewall's initiator,
//     layer 2; flow direction "egress" prefers the egress side (case 17).
//   - With addresses of both families IE 60 decides, else the family that is not empty (case 18).
//   - Without an end the start stands in, without both the export time; a zero end is none (case 32).
//   - The record's own sampling rate counts before its sampler's, its interface's and its domain's (case 33); without
//     any it is 1, and SamplingSource says that it was assumed (case 34).
//   - NAT and firewall events are records without counters, as the reference has them (case 37).
//   - A biflow is two records, those of directions without packets and bytes left out (case 35).
//   - Frame sections give the outer flow and count one packet of the frame's size without link header (case 36).
//   - Integers of any width are taken; one that does not fit its field saturates (case 29).
package netflow

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Options limit what a decoder keeps. The zero value has the defaults.
type Options struct {
	MaxTemplates   int           // of one observation domain; 0: 1024
	HoldFor        time.Duration // how long data waits for its template; negative: not at all; 0: 30 s
	HoldBytes      int           // of one source; 0: 1 MiB
	HeldBytes      int           // of all sources; 0: 16 MiB
	TemplateBytes  int           // of all sources, with sampling rates; 0: 24 MiB
	NameBytes      int           // of all sources, for names of interfaces and VRFs; 0: 8 MiB
	TotalsBytes    int           // of all sources, for totals of flows that are sent again; 0: 16 MiB
	MaxRecords     int           // flow records of one datagram; 0: all
	TemplateExpiry time.Duration // after the latest definition; 0: 24 h
	Overrides      exporter.Overrides
	Inner          bool  // in frame sections of tunnels, take the inner flow
	FlowsOnly      bool  // omit records of templates without an address, counter or frame
	Saved          Saved // what an earlier run has learned; nil: nothing
}

const (
	defaultMaxTemplates   = 1024
	defaultHoldFor        = 30 * time.Second
	defaultHoldBytes      = 1 << 20
	defaultHeldBytes      = 16 << 20
	defaultTemplateBytes  = 24 << 20
	defaultNameBytes      = 8 << 20
	defaultTotalsBytes    = 16 << 20
	defaultTemplateExpiry = 24 * time.Hour
)

func (o Options) withDefaults() Options {
	if o.MaxTemplates <= 0 {
		o.MaxTemplates = defaultMaxTemplates
	}
	if o.HoldFor == 0 {
		o.HoldFor = defaultHoldFor
	}
	if o.HoldBytes <= 0 {
		o.HoldBytes = defaultHoldBytes
	}
	for _, n := range []struct {
		value   *int
		missing int
	}{
		{&o.HeldBytes, defaultHeldBytes}, {&o.TemplateBytes, defaultTemplateBytes}, {&o.NameBytes, defaultNameBytes},
		{&o.TotalsBytes, defaultTotalsBytes},
	} {
		if *n.value <= 0 {
			*n.value = n.missing
		}
	}
	if o.TemplateExpiry <= 0 {
		o.TemplateExpiry = defaultTemplateExpiry
	}
	return o
}

// Decoder decodes the datagrams of one worker. It is not safe for concurrent use.
type Decoder struct {
	_ [0]sync.Mutex // go vet reports copies

	o         Options
	compiler  *compiler
	table     *exporter.Table
	sources   map[flow.Addr]*source
	transport map[uint64]*source // TCP connections, by Datagram.Session
	domains   int                // of all connections
	last      *session           // of the latest datagram, because the next one is likely from the same
	batch     *flow.Batch
	raw       raw
	memory    memory
	work      *work    // of the datagram in hand
	announced template // being read
	swept     int64    // when parked sessions were last checked
	toSave    []*source
	forgotten []netip.Addr    // saved sources that were forgotten since Save
	totals    *totals         // nil until a record has totals
	reversed  []reversedValue // of the current record
	other     otherDirection
}

// New returns a decoder that counts in table.
func New(table *exporter.Table, o Options) *Decoder {
	o = o.withDefaults()
	return &Decoder{o: o, compiler: newCompiler(), table: table, sources: map[flow.Addr]*source{},
		transport: map[uint64]*source{}, memory: newMemory(&o), work: &work{}}
}

// SetOverrides replaces the operator's sampling rates.
func (d *Decoder) SetOverrides(o exporter.Overrides) {
	d.o.Overrides = o
	for src := range d.all() {
		src.overrides = o[src.addr]
	}
}

// next appends an empty record of the session.
func (d *Decoder) next(s *session, c *context) *flow.Record {
	r := d.batch.Next()
	r.Protocol = s.key.protocol
	r.Domain = s.key.domain
	r.Sequence = c.sequence
	r.Source, r.Exporter = s.source.addr, s.source.addr
	if s.source.exporter != (flow.Addr{}) {
		r.Exporter = s.source.exporter
	}
	r.Received = c.received
	r.ExportMs = c.exportMs
	r.Names = s.source.names
	return r
}

// read counts an interpretation that the operator should know about.
func (s *session) read(reading exporter.Reading) {
	s.readings[reading]++
	s.odd = true
}

// end reports the datagram's records to the stream.
func (s *session) end(d *Decoder) {
	if s.odd {
		s.odd = false
		for reading, n := range s.readings {
			if n > 0 {
				s.stream.Read(exporter.Reading(reading), uint64(n))
				s.readings[reading] = 0
			}
		}
	}
	if s.recordCount > 0 {
		s.stream.Records.Add(s.recordCount)
		s.recordCount = 0
		if !s.stream.Proven() {
			d.prove(s)
		}
		if s.since == 0 {
			s.since = s.stream.LastSeen.Load()
		}
		s.gave(s.lastPort)
		s.stream.SamplingRate.Store(s.lastRate)
		s.stream.SamplingSource.Store(uint32(s.lastRateBy))
	}
	d.batch.Flush()
}

// count notes a complete record.
func (d *Decoder) count(r *flow.Record) {
	s := d.last
	s.recordCount++
	s.lastRate, s.lastRateBy = r.SamplingRate, r.SamplingSource
}

// Header lengths and the set header's, in bytes.
const (
	headerV9    = 20
	headerIPFIX = 16
	setHeader   = 4
)

// DecodeV9 decodes a NetFlow v9 export packet (RFC 3954 §5.1), adds its records to b and flushes b.
func (d *Decoder) DecodeV9(dg *exporter.Datagram, b *flow.Batch) {
	d.batch = b
	p := dg.Payload
	if len(p) < headerV9 {
		d.table.Unattributed(exporter.Truncated)
		return
	}
	headerMs := int64(binary.BigEndian.Uint32(p[8:])) * 1000
	c := context{
		uptime:    binary.BigEndian.Uint32(p[4:]),
		hasUptime: true,
		received:  dg.Received,
		sequence:  binary.BigEndian.Uint32(p[12:]),
	}
	s := d.session(dg, flow.NetFlowV9, binary.BigEndian.Uint32(p[16:]))
	s.begin(dg, &c, headerMs)
	bootMs := headerMs - int64(c.uptime)
	s.restarted(bootMs)
	s.forgetIfRestarted(bootMs, d.o.MaxTemplates)
	if dg.Truncated {
		s.stream.Fail(exporter.Truncated, 1)
		s.unknownSet = true
	}
	// The header has a count of records. Exporters differ in whether templates are included, so the length decides.
	d.sets(s, p[headerV9:], &c)
	s.number(c.sequence)
	s.end(d)
}

// restartMs is how much later than the known one an exporter's start must be to count as a restart, and not as an
// adjusted clock.
const restartMs = 10_000

// uptimeWrapMs is when the header's sysUptime, 32 bits of milliseconds, wraps: after 49.7 days.
const uptimeWrapMs = 1 << 32

// DecodeIPFIX decodes an IPFIX message (RFC 7011 §3.1), adds its records to b and flushes b.
func (d *Decoder) DecodeIPFIX(dg *exporter.Datagram, b *flow.Batch) {
	d.batch = b
	p := dg.Payload
	if len(p) < headerIPFIX {
		d.table.Unattributed(exporter.Truncated)
		return
	}
	c := context{
		received: dg.Received,
		sequence: binary.BigEndian.Uint32(p[8:]),
	}
	s := d.session(dg, flow.IPFIX, binary.BigEndian.Uint32(p[12:]))
	s.begin(dg, &c, int64(binary.BigEndian.Uint32(p[4:]))*1000)
	length := int(binary.BigEndian.Uint16(p[2:]))
	switch {
	case length < headerIPFIX:
		s.stream.Fail(exporter.BadHeader, 1)
		return
	case length > len(p):
		s.stream.Fail(exporter.Truncated, 1)
		length = len(p)
		s.unknownSet = true
	case length < len(p):
		s.stream.Fail(exporter.TrailingBytes, 1)
		length = extent(p, length)
	}
	d.sets(s, p[headerIPFIX:length], &c)
	s.number(c.sequence)
	s.end(d)
}

// extent returns where a message's sets end, if its header says less than the datagram holds. Some exporters state a
// length without the last set or without the header. If valid sets fill the datagram, all of it is read; otherwise the
// set that the length would cut is included if the datagram holds it.
func extent(p []byte, length int) int {
	end := headerIPFIX
	for end < len(p) {
		rest := p[end:]
		if len(rest) < setHeader {
			break
		}
		id, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		known := id >= firstDataSet || id == setTemplateIPFIX || id == setOptionsIPFIX
		if n < setHeader || n > len(rest) || end >= length && !known {
			break
		}
		end += n
		if end >= length && (end == len(p) || zero(p[end:])) {
			return end
		}
	}
	for end = headerIPFIX; end < length && len(p)-end >= setHeader; {
		n := int(binary.BigEndian.Uint16(p[end+2:]))
		if n < setHeader || n > len(p)-end {
			break
		}
		end += n
	}
	return max(end, length)
}

// number takes the datagram's sequence number. After a set that could not be decoded the number of records is unknown.
func (s *session) number(number uint32) {
	s.lastNumber = number
	s.numbers.Observe(s.stream, s.lastPort, number, exporter.Units{
		Flows: s.units, Options: s.options, Templates: s.definitions, Unknown: s.unknownSet,
	})
	if n := s.numbers.Bytes(); n != s.numbersCharged {
		s.numbersCharged = n
		s.decoder.settle(s)
	}
}
