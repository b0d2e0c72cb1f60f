package sflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// InterfaceCounters are a device's counters of one interface (if_counters). A counter that the device does not keep is
// Unsupported. Counters wrap and begin anew with the device.
type InterfaceCounters struct {
	Exporter, Source flow.Addr
	SubAgent         uint32
	Received         int64 // Unix nanoseconds
	Index, Type      uint32
	Speed            uint64 // bits a second
	Direction        uint32 // 1 full duplex, 2 half duplex, 3 in, 4 out
	AdminUp, OperUp  bool
	In, Out          Direction
	Promiscuous      uint32
}

// Direction are the counters of what came in, or went out.
type Direction struct {
	Octets                             uint64
	Unicast, Multicast, Broadcast      uint64
	Discards, Errors, UnknownProtocols uint64
}

// Unsupported is the value of a counter that a device does not keep.
const Unsupported = 1<<64 - 1

// interfaceCounters is the format of generic interface counters.
const interfaceCounters = 1

// counterSample reads a counter sample. Only interface counters are handed on.
func (d *Decoder) counterSample(m *datagram, r reader, expanded bool) bool {
	r.skip(8) // the sample's number, the source
	if expanded {
		r.skip(4) // the source's index
	}
	records := r.uint32()
	if r.failed {
		return false
	}
	m.agent.stream.Counters.Add(1)
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
			d.o.Counters(c)
		}
	}
	return true
}

func readCounters(r reader) (c InterfaceCounters, failed bool) {
	c.Index, c.Type, c.Speed, c.Direction = r.uint32(), r.uint32(), r.uint64(), r.uint32()
	status := r.uint32()
	c.AdminUp, c.OperUp = status&1 != 0, status&2 != 0
	c.In = Direction{
		Octets: r.uint64(), Unicast: r.counter(), Multicast: r.counter(), Broadcast: r.counter(),
		Discards: r.counter(), Errors: r.counter(), UnknownProtocols: r.counter(),
	}
	c.Out = Direction{
		Octets: r.uint64(), Unicast: r.counter(), Multicast: r.counter(), Broadcast: r.counter(),
		Discards: r.counter(), Errors: r.counter(), UnknownProtocols: Unsupported,
	}
	c.Promiscuous = r.uint32()
	return c, r.failed
}

// counter reads a 32-bit counter, of which all ones are "not kept".
func (r *reader) counter() uint64 {
	n := r.uint32()
	if n == 0xffffffff {
		return Unsupported
	}
	return uint64(n)
}

// Discard is a packet that a device says it dropped (sflow_drops.txt). It is no traffic.
type Discard struct {
	Exporter, Source flow.Addr
	SubAgent         uint32
	Received         int64 // Unix nanoseconds
	In, Out          uint32
	Reason           uint32
	Drops            uint32 // notifications that were dropped themselves
}

// discard reads a discarded-packet sample.
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
