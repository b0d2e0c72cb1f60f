package block

import (
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Texts bounds the different texts that exporters bring into the LowCardinality columns of a worker's blocks:
// communities and route distinguishers, which a record can make up. The store's merges look up every one of them again,
// which takes a microsecond or two each, and keep them in memory. Texts of metadata, of option records and of the
// routing table do not count: there is a bound to what is kept of these.
//
// In a period, which ends after periodRows rows or a second, whichever is first, known exporters divide one half of
// what may be brought among themselves, and all exporters have the other half. Those are known that brought texts in
// the first two periods; of those that come later one each joinEvery is, so that any number of forged sources leaves
// each router its part. Exporters that have been heard for long are known at once, and before others. A text counts
// once a block, for the exporter that brings it first. What goes beyond is left out of its row.
//
// Routers do not reach this: 50,000 rows may bring more communities than the internet has (60,000 to 100,000). Fewer
// rows may bring fewer, but always more than their routes have: a route has some ten, most routes have the same ones,
// most flows go to few routes, and routers of one network share them. A datagram has at most 128 records, so texts take
// at most half a millisecond of the store for each.
//
// It belongs to the worker's goroutine. It is looked at only for a text that the block does not have, and allocates
// only for exporters that are new. The zero value is ready for use.
type Texts struct {
	// Settled reports whether a source has been heard for long; nil: it is not known.
	Settled func(source flow.Addr) bool

	rows    int   // of the blocks that are done
	first   int   // how many rows there were when the period began
	began   int64 // the receipt of its first row, in Unix nanoseconds
	joined  int64 // and when an exporter last became known
	half    int   // of what may be brought by now
	free    int   // texts of the half of all exporters that were brought in the period
	known   map[flow.Addr]*bringer
	fresh   map[flow.Addr]struct{} // the other sources that brought texts in this period
	earlier map[flow.Addr]struct{} // and in the one before
	from    *bringer               // whose part the row in hand takes; nil: that of all
	trusted bool                   // its texts do not count
}

// bringer is a known exporter: a source of datagrams.
type bringer struct {
	texts  int   // that it brought in the period
	latest int64 // the receipt of the latest row that brought one
}

const (
	// halfOfNone is half of what may be brought at the begin of a period; each row adds two texts, one to each half.
	halfOfNone = 1 << 13
	periodRows = 50_000
	// maxBringers limits the known exporters, maxFresh those of a period that may become known.
	maxBringers, maxFresh = 64, 256
	joinEvery             = time.Minute
	// silentBringer is how long an exporter stays known that brings nothing.
	silentBringer = 10 * time.Minute
)

// admit reports whether a row may bring texts. It is called before the first one that the block does not have: of a
// list, all are taken or none. rows is how many the block has.
func (t *Texts) admit(r *enrich.Row, rows int) bool {
	if t == nil {
		return true
	}
	if t.trusted = r.PathRoute != nil; t.trusted {
		return true
	}
	received := r.Flow.Received
	if t.known == nil || t.rows+rows >= t.first+periodRows || uint64(received-t.began) >= uint64(time.Second) {
		t.begin(received, t.rows+rows)
	}
	t.half = halfOfNone + max(0, t.rows+rows-t.first)
	if t.from = t.known[r.Flow.Source]; t.from == nil && len(t.known) < maxBringers && t.settled(r.Flow.Source) {
		t.from = t.know(r.Flow.Source, received)
	}
	switch {
	case t.from != nil:
		if t.from.latest = received; t.from.texts < t.half/len(t.known) {
			return true
		}
		t.from = nil
	case len(t.fresh) < maxFresh:
		t.fresh[r.Flow.Source] = struct{}{}
	}
	if len(t.known) == 0 {
		t.half *= 2
	}
	return t.free < t.half
}

// take counts a text of the row that was admitted. A list has a thousand at most, by which a part may be exceeded until
// it has grown by as many.
func (t *Texts) take() {
	switch {
	case t == nil || t.trusted:
	case t.from != nil:
		t.from.texts++
	default:
		t.free++
	}
}

// begin begins a period.
func (t *Texts) begin(received int64, rows int) {
	if t.known == nil {
		t.known = map[flow.Addr]*bringer{}
		t.fresh, t.earlier = map[flow.Addr]struct{}{}, map[flow.Addr]struct{}{}
	}
	t.began, t.first, t.free = received, rows, 0
	full := t.Settled != nil && len(t.known) == maxBringers
	for source, x := range t.known {
		if x.texts = 0; received-x.latest > int64(silentBringer) || full && !t.settled(source) {
			delete(t.known, source)
		}
	}
	t.join(received)
	t.fresh, t.earlier = t.earlier, t.fresh
	clear(t.fresh)
}

// join makes sources known that brought texts in the two periods before.
func (t *Texts) join(received int64) {
	all := len(t.known) == 0
	if !all && received-t.joined < int64(joinEvery) {
		return
	}
	for source := range t.fresh {
		if _, again := t.earlier[source]; !again {
			continue
		}
		if len(t.known) == maxBringers {
			return
		}
		t.joined = received
		t.know(source, received)
		if !all {
			return
		}
	}
}

func (t *Texts) settled(source flow.Addr) bool { return t.Settled != nil && t.Settled(source) }

// know makes a source known.
func (t *Texts) know(source flow.Addr, received int64) *bringer {
	x := &bringer{latest: received}
	t.known[source] = x
	return x
}

// done is called when a block of so many rows is emptied.
func (t *Texts) done(rows int) {
	if t != nil {
		t.rows += rows
	}
}
