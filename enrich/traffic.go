package enrich

import (
	"cmp"
	"strconv"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/flow"
)

// InterfaceTraffic is one row of data_interface_traffic: what the counters of an interface grew by from one sample to
// the next.
type InterfaceTraffic struct {
	Start, End      int64  // Unix seconds, when the samples came
	ID, Ref         string // an interface that metadata does not have is named DEVICE:IFINDEX, without a ref
	AdminUp, OperUp bool
	In, Out         TrafficCounts
	PolicyScope     []string // Measure leaves it empty
}

// TrafficCounts are those of one direction. flow.Unsupported is one that the device does not keep.
type TrafficCounts struct {
	Bits, Discards, Errors, Broadcast, Unicast, Multicast uint64
}

// Meter turns the counters of interfaces into what they grew by. It belongs to one worker. The zero value knows no
// interface, and keeps 65,536 of them: beyond that the source with most of them loses some, see package budget.
type Meter struct {
	// Limit is how many interfaces are remembered; 0: 65,536. It must not be changed once the meter is in use.
	Limit int

	before  map[meterKey]*metered
	sources map[flow.Addr]*meterSource
	room    *budget.Budget[*meterSource]
	evicted uint64
}

// meterSource is an address that sends counters, for whichever devices it states; the device's own where the source is
// not known.
type meterSource struct {
	addr       flow.Addr
	holder     budget.Holder[*meterSource]
	interfaces []*metered
}

type meterKey struct {
	exporter        flow.Addr
	subAgent, index uint32
}

// metered is the latest sample of an interface, and its names.
type metered struct {
	flow.InterfaceCounters
	source  *meterSource
	place   int // in its interfaces
	named   *Snapshot
	id, ref string
}

const (
	// maxMetered bounds the interfaces that are remembered, some 400 bytes each.
	maxMetered = 1 << 16
	// maxInterval is how old a sample may be for the next to be compared with it: counters of 32 bits wrap.
	maxInterval = time.Hour
	// lateMs is how far the device's uptime may lie back in a sample that came late; beyond that the device began anew.
	lateMs = 60_000
)

// Measure fills row with what counters grew by since the interface's latest sample; false where there is nothing to
// compare with: the first sample, one that came late or within the same second, or one of counters that began anew.
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
	case later < 0, end-start > int64(maxInterval/time.Second), begunAnew(&b.InterfaceCounters, c):
		b.InterfaceCounters = *c
		return false
	}
	if h := &b.source.holder; !h.Trusted() {
		m.room.Trust(h) // it has counted twice: it is there to stay
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
		limits.Share = limits.Total // a chassis may have many; it loses some when others need room
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
	b := &metered{InterfaceCounters: *c, source: source, place: len(source.interfaces)}
	source.interfaces = append(source.interfaces, b)
	source.holder.Seen = c.Received
	m.before[key] = b
	m.room.Add(&source.holder, 1)
	m.evict()
}

// evict forgets interfaces until there are no more than allowed: of some of those of a source, the one that was silent
// for longest.
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
	all[b.place] = all[last]
	all[b.place].place = b.place
	all[last] = nil
	b.source.interfaces = all[:last]
	m.room.Add(&b.source.holder, -1)
	if last == 0 {
		delete(m.sources, b.source.addr)
	}
	delete(m.before, meterKey{b.Exporter, b.SubAgent, b.Index})
}

// name is the interface in a snapshot.
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

// begunAnew reports whether counters fell that do not wrap. Where a device keeps no octets, a counter of 32 bits that
// fell and did not wrap by little began anew too.
func begunAnew(before, now *flow.InterfaceCounters) bool {
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

// grown is how much a counter of 32 bits grew, which may have wrapped.
func grown(before, now uint64) uint64 {
	if before == flow.Unsupported || now == flow.Unsupported {
		return flow.Unsupported
	}
	return uint64(uint32(now) - uint32(before))
}
