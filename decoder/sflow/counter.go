package sflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// interfaceCounters is the format of generic interface counters.
const interfaceCounters = 1

// counterSample reads a counter sample. Only generic interface counters are used.
func (d *Decoder) counterSample(m *datagram, r reader, expanded bool) bool {
	number := r.uint32()
	r.skip(4) // the source
	if expanded {
		r.skip(4) // the source's index
	}
	records := r.uint32()
	if r.failed {
		return false
	}
	m.agent.stream.Counters.Add(1)
	m.counters++
	for ; records > 0; records-- {
		format, body := r.typed()
		if r.failed {
			return false
		}
		if format != interfaceCounters {
			continue
		}
		counters, failed := readCounters(reader{b: body})
		if failed {
			m.agent.stream.Fail(exporter.BadRecord, 1)
			continue
		}
		if d.o.Counters != nil {
			c := &d.counters
			*c = counters
			c.Exporter, c.Source, c.SubAgent, c.Received = m.addr, m.source, m.subAgent, m.received
			c.UptimeMs, c.Sequence = m.agent.uptimeMs, number
			d.o.Counters(c)
		}
	}
	return true
}

func readCounters(r reader) (c flow.InterfaceCounters, failed bool) {
	c.Index, c.Type, c.Speed, c.Direction = r.uint32(), r.uint32(), r.uint64(), r.uint32()
	status := r.uint32()
	c.AdminUp, c.OperUp = status&1 != 0, status&2 != 0
	c.In = flow.DirectionCounters{
		Octets: r.uint64(), Unicast: r.counter(), Multicast: r.counter(), Broadcast: r.counter(),
		Discards: r.counter(), Errors: r.counter(), UnknownProtocols: r.counter(),
	}
	c.Out = flow.DirectionCounters{
		Octets: r.uint64(), Unicast: r.counter(), Multicast: r.counter(), Broadcast: r.counter(),
		Discards: r.counter(), Errors: r.counter(), UnknownProtocols: flow.Unsupported,
	}
	c.Promiscuous = r.uint32()
	return c, r.failed
}

// counter reads a 32-bit counter. All ones means that the device does not have it.
func (r *reader) counter() uint64 {
	n := r.uint32()
	if n == 0xffffffff {
		return flow.Unsupported
	}
	return uint64(n)
}

// Discard is a packet that a device reports as dropped (sflow_drops.txt). It is not traffic.
type Discard struct {
	Exporter, Source flow.Addr
	SubAgent         uint32
	Received         int64 // Unix nanoseconds
	In, Out          uint32
	Reason           uint32
	Drops            uint32 // how many such reports the device itself dropped
}

// discard reads a sample of a discarded packet.
func (d *Decoder) discard(m *datagram, r reader) bool {
	r.skip(12) // the sample's number, the source's class and index
	drops, in, out, reason := r.uint32(), r.uint32(), r.uint32(), r.uint32()
	if r.failed {
		return false
	}
	m.agent.stream.Discards.Add(1)
	if d.o.Discards != nil {
		d.discarded = Discard{
			Exporter: m.addr, Source: m.source, SubAgent: m.subAgent, Received: m.received,
			In: in, Out: out, Reason: reason, Drops: drops,
		}
		d.o.Discards(&d.discarded)
	}
	return true
}
