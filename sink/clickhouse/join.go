package clickhouse

import (
	"slices"
	"time"

	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/tally"
)

// join says which waiting inserts are sent as one. For each insert the server makes a part of the table and of each of
// its views, and merges them later: what that costs hardly depends on how many rows there are. So while one insert is
// on its way, the others wait for each other: the slower the server is, the larger the inserts are.
type join struct {
	// bytes limits what is sent in one insert, unless it was as large already.
	bytes int
	// patience is how long an insert waits for the one on its way to be stored.
	patience time.Duration
}

// enough reports whether waiting inserts need not wait for others, although one is on its way.
func (j join) enough(waiting []*Insert, now time.Time) bool {
	if now.Sub(waiting[0].queued) >= j.patience {
		return true
	}
	bytes := 0
	for _, ins := range waiting {
		if j.fits(waiting[0], ins) {
			bytes += ins.size()
		}
	}
	return bytes >= j.bytes
}

// fits reports whether b can be sent with a. None of them was sent before: a token must always be sent with the same
// rows.
func (j join) fits(a, b *Insert) bool {
	return a == b || a.Query == b.Query && a.Apart == b.Apart && (a.Tally == nil) == (b.Tally == nil) &&
		a.fresh() && b.fresh()
}

// fresh reports whether the insert was never tried, and is not a part of another.
func (ins *Insert) fresh() bool {
	return !ins.tried && ins.entry == nil && ins.at == "" && ins.viewError == nil
}

// first removes from waiting the first insert and those that can be sent with it, and returns these as one insert, and
// the rest. The token is that of the first.
func (j join) first(waiting []*Insert) (ins *Insert, rest []*Insert) {
	ins = waiting[0]
	joined := []*Insert{ins}
	bytes, full := ins.size(), false
	rest = slices.DeleteFunc(waiting[1:], func(next *Insert) bool {
		if full || !j.fits(ins, next) {
			return false
		}
		bytes += next.size()
		if full = bytes > j.bytes; full {
			return false
		}
		joined = append(joined, next)
		return true
	})
	ins.add(joined[1:])
	return ins, rest
}

// add appends others to the insert; they must not be used any more.
func (ins *Insert) add(others []*Insert) {
	if len(others) == 0 {
		return
	}
	tallies := []*tally.Tally{ins.Tally}
	for _, other := range others {
		ins.Rows += other.Rows
		other.blocks(func(block native.Packed) { ins.more = append(ins.more, block) })
		tallies = append(tallies, other.Tally)
	}
	ins.Tally = tally.Join(tallies)
	ins.shares = ins.Tally.Shares()
}
