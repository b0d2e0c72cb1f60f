package enrich

import "github.com/metranova/flow-collector/decoder/flow"

// warmSize is how many addresses are looked at together.
const warmSize = 128

// Warm fetches from memory what Enrich will need for some records. Looked up one after the other, each address waits
// several times for memory, as what it needs next is known only then; looked at together, the addresses wait at the
// same time. What it does is without effect otherwise.
func (e *Enricher) Warm(s *Snapshot, records []flow.Record) {
	if s.places.direct == nil {
		return // all of it is small
	}
	for len(records) > 0 {
		n := min(len(records), warmSize/2)
		e.warm(s.places, s.as, records[:n])
		records = records[n:]
	}
}

func (e *Enricher) warm(p *places, as *asList, records []flow.Record) {
	var at, names [warmSize]uint32
	n := 0
	for i := range records {
		r := &records[i]
		if r.SrcAddr.Is4() && r.DstAddr.Is4() {
			at[n], at[n+1] = p.direct[blockOf(&r.SrcAddr)]&^longer, p.direct[blockOf(&r.DstAddr)]&^longer
			names[n], names[n+1] = as.number(r.SrcAS), as.number(r.DstAS)
			n += 2
		}
	}
	sum := uint32(0)
	for i := range n {
		place := &p.list[at[i]]
		if names[i] == 0 {
			names[i] = place.as &^ extended
		}
		if place.refLength > 0 {
			sum += uint32(p.records.refs[place.ref])
		}
	}
	for i := range n {
		if ref := as.names[names[i]].ref; ref != "" {
			sum += uint32(ref[0])
		}
	}
	e.warmed = sum // so that the compiler keeps the loops
}
