package routing

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// history is what the writer remembers of the sessions of one neighbour or BMP router.
type history struct {
	since     time.Time   // when the session came up, or went down
	until     time.Time   // when the routes are removed, while no session is up
	why       string      // why the last session ended
	count     uint64      // number of sessions
	ends      []time.Time // of sessions, the latest ones
	refused   uint64      // routes left out because a limit was reached
	left      uint64      // those of them since all routes were requested
	again     refresh
	undecoded uint64 // routes left out because their attributes cannot be decoded
}

// mostEnds is how many ends of sessions are remembered for a router.
const mostEnds = 8

// begin notes the start of a session, in which all routes come again.
func (h *history) begin() {
	h.since = time.Now()
	h.count++
	h.left, h.again.awaited = 0, 0
}

// end notes the end of a session, whose routes stay for keep.
func (h *history) end(why string, keep time.Duration) {
	h.why, h.since = why, time.Now()
	h.until = h.since.Add(keep)
	if len(h.ends) >= mostEnds {
		h.ends = append(h.ends[:0], h.ends[1:]...)
	}
	h.ends = append(h.ends, h.since)
}

// apply applies a batch to the routing table and counts the routes that are left out. The log has the address as role.
func (h *history) apply(log *zap.Logger, role string, a netip.Addr, source *rib.Source, b *route.Batch) {
	refused, undecoded, _ := source.Apply(b)
	if refused > 0 && h.refused == 0 {
		log.Warn("the routing table is full: routes are left out", zap.Stringer(role, a), zap.Int("routes", refused))
	}
	h.refused, h.undecoded = h.refused+uint64(refused), h.undecoded+uint64(undecoded)
	h.left += uint64(refused)
}

// router is a neighbour or BMP router, of which there is a limited number.
type router interface {
	comparable
	// standing returns its address, whether it has a session, and since when it has one or none.
	standing() (address netip.Addr, up bool, since time.Time)
}

// makePlace makes place for a new router of an address where there are at most most, and maxOfAddress of each address.
// If there are as many already, it forgets the one without a session whose session ended first: of that address if it
// has too many, else of all. It reports whether there is a place: whoever connects with ever new identifiers must not
// fill the memory with routers whose sessions have ended.
func makePlace[K comparable, R router](all map[K]R, most int, address netip.Addr, forget func(R)) bool {
	of := 0
	for _, r := range all {
		if a, _, _ := r.standing(); a == address {
			of++
		}
	}
	if of < maxOfAddress && len(all) < most {
		return true
	}
	var oldest, none R
	var ended time.Time
	for _, r := range all {
		a, up, since := r.standing()
		if up || of >= maxOfAddress && a != address {
			continue
		}
		if oldest == none || since.Before(ended) {
			oldest, ended = r, since
		}
	}
	if oldest == none {
		return false
	}
	forget(oldest)
	return true
}
