package enrich

import (
	"cmp"
	"strconv"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/flow"
)

// InterfaceTraffic is one row of data_interface_traffic: how much the counters of an interface grew between two
// samples.
type InterfaceTraffic struct {
	Start, End      int64  // Unix seconds: when the two samples were received
	ID, Ref         string // DEVICE:IFINDEX and no ref if metadata does not have the interface
	AdminUp, OperUp bool
	In, Out         TrafficCounts
	// Measure leaves these empty.
	Origin      *Origin
	PolicyScope []string
}

// TrafficCounts are the counters of one direction. flow.Unsupported: the device does not have this counter.
type TrafficCounts struct {
	Bits, Discards, Errors, Broadcast, Unicast, Multicast uint64
}

// Meter computes how much the counters of interfaces grew. It belongs to one worker. The zero value is ready. It
// remembers 65,536 interfaces; beyond that the source with the most loses some, see package budget.
type Meter struct {
	// Limit is the number of interfaces that are remembered; 0: 65,536. It must not be changed after the first use.
	Limit int

	before  map[meterKey]*metered
	sources map[flow.Addr]*meterSource
	room    *budget.Budget[*meterSource]
	evicted uint64
}

// meterSource is an address that sends counters, for whichever devices. If the source is not known, it is the device's
// own address.
type meterSource struct {
	addr       flow.Addr
	holder     budget.Holder[*meterSource]
	interfaces []*metered
}

type meterKey struct {
	exporter        flow.Addr
	subAgent, index uint32
}

// metered is the latest sample of an interface, and the interface's names.
type metered struct {
	flow.InterfaceCounters
	source  *meterSource
	index   int // index in the source's interfaces
	named   *Snapshot
	id, ref string
}

const (
	// maxMetered bounds the interfaces that are remembered. Each takes some 400 bytes.
	maxMetered = 1 << 16
	// maxInterval is the greatest time between two samples that are compared. After longer, a 32-bit counter may have
	// wrapped more than once.
	maxInterval = time.Hour
	// lateMs is how far a sample's uptime may be behind the latest one's for the sample to be late; beyond that the
	// device restarted.
	lateMs = 60_000
)

// Measure fills row with how much the counters grew since the interface's latest sample. It returns false if there is
// nothing to compare with: on the first sample, a late one, one within the same second, and after a counter reset.
func (m *Meter) Measure(s *Snapshot, c *flow.InterfaceCounters, row *InterfaceTraffic) bool {
	key := meterKey{c.Exporter, c.SubAgent, c.Index}
	b := m.before[key]
	if b == nil {
		m.remember(key, c)
		return false
	}
	later := int32(c.UptimeMs - b.UptimeMs)
	start, end := b.Received/int64(time.Second), c.Received/int64(time.Second)
	switch {
	case later < 0 && later > -lateMs, later == 0 && int32(c.Sequence-b.Sequence) < 0, end <= start:
		return false
	case later < 0, end-start > int64(maxInterval/time.Second), countersReset(&b.InterfaceCounters, c):
		b.InterfaceCounters = *c
		return false
	}
	if h := &b.source.holder; !h.Trusted() {
		m.room.Trust(h) // its second sample: the source is trusted from now on
		m.evict()
	}
	b.source.holder.Standing++
	b.source.holder.Seen = c.Received
	*row = InterfaceTraffic{Start: start, End: end, AdminUp: c.AdminUp, OperUp: c.OperUp, In: growth(&b.In, &c.In),
		Out: growth(&b.Out, &c.Out)}
	b.InterfaceCounters = *c
	row.ID, row.Ref = b.name(s)
	return true
}

// Evicted returns how many interfaces were forgotten because there were too many.
func (m *Meter) Evicted() uint64 { return m.evicted }

func (m *Meter) remember(key meterKey, c *flow.InterfaceCounters) {
	if m.before == nil {
		m.before, m.sources = map[meterKey]*metered{}, map[flow.Addr]*meterSource{}
		limits := budget.Quarter(cmp.Or(m.Limit, maxMetered))
		limits.Share = limits.Total // one chassis may have many, and loses some when others need room
		m.room = budget.New[*meterSource](limits)
	}
	addr := c.Source
	if addr == (flow.Addr{}) {
		addr = c.Exporter
	}
	source := m.sources[addr]
	if source == nil {
		source = &meterSource{addr: addr}
		source.holder.Of = source
		m.sources[addr] = source
	}
	b := &metered{InterfaceCounters: *c, source: source, index: len(source.interfaces)}
	source.interfaces = append(source.interfaces, b)
	source.holder.Seen = c.Received
	m.before[key] = b
	m.room.Add(&source.holder, 1)
	m.evict()
}

// evict forgets interfaces until the limit is kept. It compares a few interfaces of a source and forgets the one that
// was silent longest.
func (m *Meter) evict() {
	for m.room.Over() {
		const compared = 8
		all := m.room.Victim().Of.interfaces
		oldest := all[0]
		for i := range min(compared, len(all)) {
			if b := all[(i+int(m.evicted))%len(all)]; b.Received < oldest.Received {
				oldest = b
			}
		}
		m.forget(oldest)
		m.evicted++
	}
}

func (m *Meter) forget(b *metered) {
	all := b.source.interfaces
	last := len(all) - 1
	all[b.index] = all[last]
	all[b.index].index = b.index
	all[last] = nil
	b.source.interfaces = all[:last]
	m.room.Add(&b.source.holder, -1)
	if last == 0 {
		delete(m.sources, b.source.addr)
	}
	delete(m.before, meterKey{b.Exporter, b.SubAgent, b.Index})
}

// name returns the interface's id and ref in a snapshot.
func (b *metered) name(s *Snapshot) (id, ref string) {
	if b.named == s {
		return b.id, b.ref
	}
	x := s.exporter(b.Exporter)
	i := x.interfaces[b.Index]
	if i.ID == "" {
		i.ID = x.id + ":" + strconv.FormatUint(uint64(b.Index), 10)
	}
	b.named, b.id, b.ref = s, i.ID, i.Ref
	return b.id, b.ref
}

// countersReset reports whether a counter that cannot wrap fell. If a device has no octet counters, a 32-bit counter
// that fell by too much for a wrap is a reset too.
func countersReset(before, now *flow.InterfaceCounters) bool {
	kept := false
	for _, d := range [][2]*flow.DirectionCounters{{&before.In, &now.In}, {&before.Out, &now.Out}} {
		if d[0].Octets != flow.Unsupported && d[1].Octets != flow.Unsupported {
			kept = true
			if d[1].Octets < d[0].Octets {
				return true
			}
		}
	}
	if kept {
		return false
	}
	for _, d := range [][2]*flow.DirectionCounters{{&before.In, &now.In}, {&before.Out, &now.Out}} {
		for _, c := range [][2]uint64{
			{d[0].Unicast, d[1].Unicast}, {d[0].Multicast, d[1].Multicast}, {d[0].Broadcast, d[1].Broadcast},
			{d[0].Discards, d[1].Discards}, {d[0].Errors, d[1].Errors},
		} {
			if n := grown(c[0], c[1]); c[1] < c[0] && n != flow.Unsupported && n >= 1<<31 {
				return true
			}
		}
	}
	return false
}

func growth(before, now *flow.DirectionCounters) TrafficCounts {
	bits := uint64(flow.Unsupported)
	if before.Octets != flow.Unsupported && now.Octets != flow.Unsupported {
		bits = multiply(now.Octets-before.Octets, 8)
	}
	return TrafficCounts{
		Bits: bits, Discards: grown(before.Discards, now.Discards), Errors: grown(before.Errors, now.Errors),
		Broadcast: grown(before.Broadcast, now.Broadcast), Unicast: grown(before.Unicast, now.Unicast),
		Multicast: grown(before.Multicast, now.Multicast),
	}
}

// grown returns how much a 32-bit counter grew; it may have wrapped once.
func grown(before, now uint64) uint64 {
	if before == flow.Unsupported || now == flow.Unsupported {
		return flow.Unsupported
	}
	return uint64(uint32(now) - uint32(before))
}
