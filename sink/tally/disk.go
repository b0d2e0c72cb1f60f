package tally

import "github.com/metranova/flow-collector/sink/spool"

// The reasons for which a spool drops rows.
const (
	SpoolFull    = "spool_full"
	SpoolAge     = "spool_age"
	SpoolDamaged = "spool_damaged"
)

// Keep makes a spool that is about to be opened report to the book what it finds and drops. The note of an entry is its
// tally, its Ref the shares. Entries without a note belong to a table without exporters. Rows with a damaged note
// belong to no known exporter.
func (b *Book) Keep(o *spool.Options) {
	o.Found = func(rows int, note []byte, readable bool) any {
		t, err := Parse(note)
		shares := t.Shares()
		if !readable || err != nil || t != nil && t.Rows() != uint64(rows) {
			shares = []Share{{Rows: uint64(rows)}} // of an exporter that is no longer known
		}
		b.Find(shares)
		return shares
	}
	o.Dropped = func(ref any, why spool.Cause) {
		shares, _ := ref.([]Share)
		b.Lose(shares, true, [...]string{spool.Full: SpoolFull, spool.Age: SpoolAge, spool.Damage: SpoolDamaged}[why])
	}
}
