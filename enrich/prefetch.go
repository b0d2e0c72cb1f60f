package enrich

import "github.com/metranova/flow-collector/decoder/flow"

// prefetchSize is the number of addresses whose entries are touched together.
const prefetchSize = 128

// Prefetch touches the table entries that Enrich will read for some records, so that their cache misses overlap: one
// after the other, each address would wait for memory several times. It has no other effect.
func (e *Enricher) Prefetch(s *Snapshot, records []flow.Record) {
	if e.routes != nil {
		e.routes.prefetch(e.exporters.last, records)
	}
	if s.prefixes.direct == nil {
		return // a small table is in the cache anyway
	}
	for len(records) > 0 {
		n := min(len(records), prefetchSize/2)
		e.prefetch(s.prefixes, s.as, records[:n])
		records = records[n:]
	}
}

func (e *Enricher) prefetch(p *prefixTable, as *asList, records []flow.Record) {
	var at, names [prefetchSize]uint32
	n := 0
	for i := range records {
		r := &records[i]
		if r.SrcAddr.Is4() && r.DstAddr.Is4() {
			at[n], at[n+1] = p.direct[blockOf(&r.SrcAddr)]&^useTrie, p.direct[blockOf(&r.DstAddr)]&^useTrie
			names[n], names[n+1] = as.number(r.SrcAS), as.number(r.DstAS)
			n += 2
		}
	}
	sum := uint32(0)
	for i := range n {
		at := &p.list[at[i]]
		if names[i] == 0 {
			names[i] = at.as &^ extended
		}
		if at.refLength > 0 {
			sum += uint32(p.records.refs[at.ref])
		}
	}
	for i := range n {
		if ref := as.names[names[i]].ref; ref != "" {
			sum += uint32(ref[0])
		}
	}
	e.prefetched = sum // so that the compiler does not remove the loops
}
