package enrich

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// warmSize is how many addresses are looked at together.
const warmSize = 128

// Warm fetches from memory what Enrich will need for some records. Looked up one after the other, each address waits several times
// for memory, as what it needs next is known only then; looked at together, the addresses wait at the same time. What it does is
// without effect otherwise.
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
	var at [warmSize]uint32
	n := 0
	for i := range records {
		r := &records[i]
		for _, a := range [...]*flow.Addr{&r.SrcAddr, &r.DstAddr} {
			if slot := &e.hosts.slots[slotOf(*a)]; a.Is4() && slot.addr != *a {
				at[n] = binary.BigEndian.Uint32(a[12:]) >> 8
				n++
			}
		}
	}
	for i := range n {
		at[i] = p.direct[at[i]]
	}
	for i := range n {
		if found := at[i] &^ longer; found != 0 {
			at[i] = p.list[found-1].as
		} else {
			at[i] = 0
		}
	}
	length := 0
	for i := range n {
		length += len(as.names[at[i]].scope)
	}
	e.warmed = length // so that the compiler keeps the loops
}
