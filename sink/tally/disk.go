package tally

import "github.com/metranova/flow-collector/sink/spool"

// The reasons for which a spool drops rows.
const (
	SpoolFull    = "spool_full"
	SpoolAge     = "spool_age"
	SpoolDamaged = "spool_damaged"
)

// Keep has a spool that is to be opened write down in the book what it finds and what it drops. The note of its entries
// is their tally, their Ref its shares. Entries without a note are of no table that has exporters. Rows whose note is
// damaged are of no exporter that is known.
func (b *Book) Keep(o *spool.Options) {
	o.Found = func(rows int, note []byte, readable bool) any {
		t, err := Parse(note)
		shares := t.Shares()
		if !readable || err != nil || t != nil && t.Rows() != uint64(rows) {
			shares = []Share{{Rows: uint64(rows)}} // of an exporter that nobody knows any more
		}
		b.Find(shares)
		return shares
	}
	o.Dropped = func(ref any, why spool.Cause) {
		shares, _ := ref.([]Share)
		b.Lose(shares, true, [...]string{spool.Full: SpoolFull, spool.Age: SpoolAge, spool.Damage: SpoolDamaged}[why])
	}
}
