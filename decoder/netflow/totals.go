package netflow

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/metranova/flow-collector/decoder/budget"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// forgetTotals is after how long without a record a flow is taken to have ended.
const forgetTotals = int64(time.Hour)

// totals remember what flows counted up to their latest record. IE 85 and 86 count since the flow began, and some
// exporters (Juniper SRX) send them at each active timeout: a record's share is then the difference to the record
// before. Two records are of one flow if they agree in exporter, domain, addresses, ports, protocol, interfaces, VLAN
// and the exact start. Sources share the memory as package budget says; connections of one address are one source.
type totals struct {
	seed    maphash.Seed
	memory  *budget.Budget[*sourceTotals] // bytes
	sources map[flow.Addr]*sourceTotals
}

// sourceTotals are those of one address.
type sourceTotals struct {
	flows  map[uint64]total // by tag
	holder budget.Holder[*sourceTotals]
	stream *exporter.Stream // of the latest record
}

type total struct {
	endMs  int64
	seen   int64 // Unix nanoseconds
	counts [4]uint64
}

// flowBytes is what a flow costs: 57 bytes in a map that is half full after it grew.
const flowBytes = 112

// The counters of a total, by their index in counts.
const (
	totalBytes = iota
	totalPackets
	totalReverseBytes
	totalReversePackets
)

func newTotals(bytes int) *totals {
	return &totals{seed: maphash.MakeSeed(), sources: map[flow.Addr]*sourceTotals{},
		memory: budget.New[*sourceTotals](budget.Limits{Total: bytes, Share: bytes})}
}

// flowTotals returns the totals, which most decoders never need.
func (d *Decoder) flowTotals() *totals {
	if d.totals == nil {
		d.totals = newTotals(d.o.TotalsBytes)
	}
	return d.totals
}

// subtract converts the totals among a record's counters to what was counted since the flow's previous record. have are
// the record's counters; those with a bit in which are totals.
func (d *Decoder) subtract(r *flow.Record, w *raw, s *session, c *context, have *[4]*counter, which uint8) {
	start, ok := w.exactStart()
	if !ok || !r.Sent(flow.End) || s.totalsAreDeltas {
		return
	}
	t := d.flowTotals()
	tag := t.tag(r, s, start, r.TemplateID)
	own := t.of(s.source.addr).flows
	entry, known := own[tag]
	if !known {
		entry = total{endMs: r.EndMs, seen: c.received}
		for i, counter := range have {
			entry.counts[i] = counter.n
		}
		t.keep(s, tag, entry)
		return
	}
	entry.seen = c.received
	if r.EndMs == entry.endMs {
		own[tag] = entry
		return // another record of the same time is none of the flow's next totals
	}
	late := r.EndMs < entry.endMs
	for i, counter := range have {
		if which&(1<<i) == 0 || !counter.sent {
			continue
		}
		if late {
			// It is included in the totals of the record that was received before it.
			counter.n = 0
			continue
		}
		more, ok := counter.since(entry.counts[i])
		if !ok {
			// Totals of a flow never fall: these are not totals.
			s.totalsAreDeltas = true
			return
		}
		counter.n, entry.counts[i] = more, counter.n
	}
	if !late {
		entry.endMs = r.EndMs
	}
	own[tag] = entry
	s.read(exporter.TotalsRepeated)
}

// since returns what a total counted since it had a value. A counter of 32 bits may have wrapped. ok is false if it
// fell.
func (c *counter) since(was uint64) (more uint64, ok bool) {
	switch {
	case c.n >= was:
		return c.n - was, true
	case c.width <= 4 && was-c.n > 1<<31:
		return uint64(uint32(c.n) - uint32(was)), true
	}
	return 0, false
}

// exactStart returns the flow's start, which is the same in all of its records. A start relative to the export time is
// not exact.
func (w *usual) exactStart() (start int64, ok bool) {
	if w.startForm == noTime {
		return 0, false
	}
	switch w.startForm | possibleTime {
	case observedTime, deltaTime:
		return 0, false
	case uptimeTime, estimatedTime: // the uptime itself is exact, whatever time it was converted to
		return int64(w.firstUptime), w.hasFirst
	}
	return w.startMs, true
}

// tag names a flow.
func (t *totals) tag(r *flow.Record, s *session, start int64, template uint16) uint64 {
	var key [91]byte
	copy(key[0:], r.Source[:])
	copy(key[16:], r.SrcAddr[:])
	copy(key[32:], r.DstAddr[:])
	binary.BigEndian.PutUint32(key[48:], s.key.domain)
	binary.BigEndian.PutUint64(key[52:], uint64(start))
	binary.BigEndian.PutUint32(key[60:], r.InIf)
	binary.BigEndian.PutUint32(key[64:], r.OutIf)
	binary.BigEndian.PutUint32(key[68:], r.IngressVRF)
	binary.BigEndian.PutUint16(key[72:], r.SrcPort)
	binary.BigEndian.PutUint16(key[74:], r.DstPort)
	binary.BigEndian.PutUint16(key[76:], r.SrcVLAN)
	binary.BigEndian.PutUint16(key[78:], template)
	copy(key[80:], r.SrcMAC[:])
	key[86], key[87], key[88], key[89], key[90] = r.IPProtocol, r.ToS, r.ICMPType, r.ICMPCode, r.Direction
	return maphash.Bytes(t.seed, key[:])
}

// of returns the totals of an address.
func (t *totals) of(addr flow.Addr) *sourceTotals {
	own := t.sources[addr]
	if own == nil {
		own = &sourceTotals{flows: map[uint64]total{}}
		own.holder.Of = own
		t.sources[addr] = own
	}
	return own
}

// keep remembers a flow. Where there are too many, the source that has most loses a quarter of its own: those that were
// not seen for longest.
func (t *totals) keep(s *session, tag uint64, entry total) {
	own := t.of(s.source.addr)
	own.flows[tag], own.stream = entry, s.stream
	own.holder.Standing, own.holder.Seen = s.stream.Standing()
	t.memory.Add(&own.holder, flowBytes)
	for t.memory.Over() {
		t.evict(t.memory.Victim().Of, entry.seen)
	}
}

// evict makes a source forget a quarter of its flows. Those that have ended are no loss.
func (t *totals) evict(victim *sourceTotals, now int64) {
	seen := make([]int64, 0, len(victim.flows))
	for _, one := range victim.flows {
		seen = append(seen, one.seen)
	}
	slices.Sort(seen)
	if n := t.forget(victim, seen[len(seen)/4]+1, now); n > 0 {
		victim.stream.Read(exporter.TotalsForgotten, uint64(n))
	}
}

// forget removes the flows of a source that were last seen before a time, and gives their memory back. It returns how
// many of them may come again.
func (t *totals) forget(of *sourceTotals, before, now int64) (open int) {
	was := len(of.flows)
	left := make(map[uint64]total, was)
	for tag, one := range of.flows {
		if one.seen >= before {
			left[tag] = one
		} else if now-one.seen < forgetTotals {
			open++
		}
	}
	if len(left) == was {
		return 0
	}
	of.flows = left
	t.memory.Add(&of.holder, flowBytes*(len(left)-was))
	return open
}

// sweep forgets flows that have ended, and sources without any.
func (t *totals) sweep(now int64) {
	for addr, of := range t.sources {
		if t.forget(of, now-forgetTotals, now); len(of.flows) == 0 {
			delete(t.sources, addr)
		}
	}
}
