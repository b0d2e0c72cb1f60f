package netflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// What a firewall reports of a connection (IE 233) with counters.
const (
	connectionDeleted = 2
	connectionUpdated = 5
)

// subtractUpdates converts the counters of a connection that ended to what was not counted before. Firewalls (Cisco ASA
// and FTD) count in each update since the one before, and at the end of a connection all that it had, next to a last
// update. An update that is received after the end is included in it. have are the record's counters.
func (d *Decoder) subtractUpdates(r *flow.Record, w *raw, s *session, c *context, have *[4]*counter) {
	if r.FirewallEvent != connectionUpdated && r.FirewallEvent != connectionDeleted {
		return
	}
	at := w.observedMs
	if at == 0 {
		at = c.exportMs
	}
	t := d.flowTotals()
	// Updates may have the start of their own time, and ends another template.
	tag := t.tag(r, s, 0, 0)
	own := t.of(s.source.addr).flows
	entry, known := own[tag]
	ended := known && entry.endMs != 0
	switch {
	case ended && at <= entry.endMs:
		for _, counter := range have {
			counter.n = 0
		}
		s.read(exporter.TotalsRepeated)
		return
	case ended:
		entry = total{} // another connection between the same ends
	case r.FirewallEvent == connectionDeleted && !known:
		return // a short one, without updates
	}
	entry.seen = c.received
	if r.FirewallEvent == connectionDeleted {
		entry.endMs = at
		if entry.subtractFrom(have) {
			s.read(exporter.TotalsRepeated)
		}
	} else {
		for i, counter := range have {
			entry.counts[i] += counter.n
		}
	}
	if known {
		own[tag] = entry
	} else {
		t.keep(s, tag, entry)
	}
}

// subtractFrom takes what was counted before from the counters. It does nothing and returns false if one of them is
// less than that, so that they are no totals.
func (t *total) subtractFrom(have *[4]*counter) bool {
	var more [4]uint64
	for i, counter := range have {
		n, ok := counter.since(t.counts[i])
		if !ok {
			return false
		}
		more[i] = n
	}
	for i, counter := range have {
		counter.n = more[i]
	}
	return true
}
