package enrich

import (
	"unsafe"

	"github.com/metranova/flow-collector/decoder/flow"
)

// prefetchSize is the number of addresses whose entries are touched together.
const prefetchSize = 128

// Prefetch touches the table entries that Enrich will read for some records, so that their cache misses overlap: one
// after the other, each address would wait for memory several times. The records must not change before Enrich, which
// gets them in this order, and are at most 64 for routes; for others it only takes longer. It has no other effect.
func (e *Enricher) Prefetch(s *Snapshot, records []flow.Record) {
	if s.prefixes.direct == nil && e.routes == nil {
		return // a small table is in the cache anyway
	}
	for len(records) > 0 {
		n := min(len(records), prefetchSize/2)
		var as [prefetchSize]uint32
		for i := range n {
			as[2*i], as[2*i+1] = records[i].SrcAS, records[i].DstAS
		}
		if e.routes != nil {
			e.prefetchRoutes(records[:n], &as)
		}
		if s.prefixes.direct != nil {
			e.prefetch(s.prefixes, s.as, records[:n], &as)
		}
		records = records[n:]
	}
}

// prefetchRoutes looks up the routes to both ends, and replaces AS numbers by those that rows will take from routes.
func (e *Enricher) prefetchRoutes(records []flow.Record, as *[prefetchSize]uint32) {
	e.routes.lookAhead(e.exporters.last, records)
	for i := range e.routes.ahead.n {
		if x := &e.routes.ahead.routes[i]; x.Found() && (as[i] == 0 || e.routes.AS == ASRoute) {
			as[i] = x.OriginAS()
		}
	}
}

// prefetch touches the entries of addresses and of AS numbers: as has those of source and destination of each record.
// Each loop does one step of all look-ups: the shorter a loop is, the more of its cache misses does the processor
// overlap. What a miss returns decides no branch, because a mispredicted one ends the overlap.
func (e *Enricher) prefetch(p *prefixTable, list *asList, records []flow.Record, as *[prefetchSize]uint32) {
	var at, names [prefetchSize]uint32
	var texts [prefetchSize]*byte
	n := 0
	for i := range records {
		if r := &records[i]; r.SrcAddr.Is4() && r.DstAddr.Is4() {
			at[n], at[n+1] = blockOf(&r.SrcAddr), blockOf(&r.DstAddr)
			names[n], names[n+1] = as[2*i], as[2*i+1]
			n += 2
		}
	}
	for i, block := range at[:n] {
		at[i] = p.direct[block] &^ useTrie
	}
	for i, id := range names[:n] {
		names[i] = list.number(id)
	}
	for i, index := range at[:n] {
		entry := &p.list[index]
		if at[i] = entry.ref; names[i] == 0 {
			names[i] = entry.as &^ extended
		}
	}
	sum := touch(p.records.refs, at[:n])
	for i, index := range names[:n] {
		texts[i] = unsafe.StringData(list.refs[index])
	}
	for _, text := range texts[:n] {
		if text != nil {
			sum += uint32(*text)
		}
	}
	e.prefetched = sum // so that the compiler does not remove the loops
}

// touch reads the texts that begin at some places. Their sum only keeps the compiler from removing the loop.
func touch(texts string, at []uint32) (sum uint32) {
	for _, begin := range at {
		if int(begin) < len(texts) {
			sum += uint32(texts[begin])
		}
	}
	return sum
}
