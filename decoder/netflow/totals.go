package netflow

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Flows whose totals are remembered: sets of a few entries, in some 4 MB. The memory is taken with the first record of
// totals.
const (
	totalSets = 1 << 14
	totalWays = 4
)

// forgetTotals is after how long without a record a flow is taken to have ended.
const forgetTotals = int64(time.Hour)

// totals remember what flows counted up to their latest record. IE 85 and 86 count since the flow began, and some
// exporters (Juniper SRX) send them at each active timeout: a record's share is then the difference to the record
// before. Two records are of one flow if they agree in exporter, domain, addresses, ports, protocol, interfaces, VLAN
// and the exact start.
type totals struct {
	seed maphash.Seed
	sets [][totalWays]total
}

type total struct {
	tag    uint64 // 0: empty
	endMs  int64
	seen   int64 // Unix nanoseconds
	counts [4]uint64
}

// The counters of a total, by their index in counts.
const (
	totalBytes = iota
	totalPackets
	totalReverseBytes
	totalReversePackets
)

func newTotals() *totals {
	return &totals{seed: maphash.MakeSeed(), sets: make([][totalWays]total, totalSets)}
}

// subtract turns the totals among a record's counters into what was counted since the flow's record before. have are
// the record's counters, of which those with a bit in which are totals.
func (d *Decoder) subtract(r *flow.Record, w *raw, s *session, c *context, have *[4]*counter, which uint8) {
	start, ok := w.exactStart()
	if !ok || !r.Sent(flow.End) || s.totalsAreDeltas {
		return
	}
	if d.totals == nil {
		d.totals = newTotals()
	}
	tag := d.totals.tag(r, s, start)
	entry, known := d.totals.find(tag)
	if !known {
		if entry.tag != 0 && c.received-entry.seen < forgetTotals {
			s.read(exporter.TotalsForgotten)
		}
		*entry = total{tag: tag, endMs: r.EndMs, seen: c.received}
		for i, counter := range have {
			entry.counts[i] = counter.n
		}
		return
	}
	entry.seen = c.received
	if r.EndMs == entry.endMs {
		return // another record of the same time is none of the flow's next totals
	}
	late := r.EndMs < entry.endMs
	for i, counter := range have {
		if which&(1<<i) == 0 || !counter.sent {
			continue
		}
		was := entry.counts[i]
		switch {
		case late:
			// It is in the totals of the record that came before it.
			counter.n = 0
			continue
		case counter.n >= was:
			counter.n, entry.counts[i] = counter.n-was, counter.n
		case counter.width <= 4 && was-counter.n > 1<<31:
			// A counter of 32 bits wrapped.
			counter.n, entry.counts[i] = uint64(uint32(counter.n)-uint32(was)), counter.n
		default:
			// Totals of a flow never fall: these are not totals.
			s.totalsAreDeltas = true
			return
		}
	}
	if !late {
		entry.endMs = r.EndMs
	}
	s.read(exporter.TotalsRepeated)
}

// exactStart is the flow's start as all of its records have it. A start that is given relative to the export time is
// not exact.
func (w *usual) exactStart() (start int64, ok bool) {
	switch w.startForm {
	case noTime, observedTime, deltaTime:
		return 0, false
	case uptimeTime, estimatedTime: // the uptime itself is exact, wherever it was placed
		return int64(w.firstUptime), w.hasFirst
	}
	return w.startMs, true
}

// tag names a flow; it is never 0.
func (t *totals) tag(r *flow.Record, s *session, start int64) uint64 {
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
	binary.BigEndian.PutUint16(key[78:], r.TemplateID)
	copy(key[80:], r.SrcMAC[:])
	key[86], key[87], key[88], key[89], key[90] = r.IPProtocol, r.ToS, r.ICMPType, r.ICMPCode, r.Direction
	return max(maphash.Bytes(t.seed, key[:]), 1)
}

// find returns the entry of a flow, or the one to replace: an empty one, else the one that was not seen for longest.
func (t *totals) find(tag uint64) (entry *total, known bool) {
	set := &t.sets[tag%totalSets]
	entry = &set[0]
	for i := range set {
		switch one := &set[i]; {
		case one.tag == tag:
			return one, true
		case entry.tag != 0 && (one.tag == 0 || one.seen < entry.seen):
			entry = one
		}
	}
	return entry, false
}
