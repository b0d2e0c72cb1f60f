package listen

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Share decides which datagrams a worker drops while it, or the memory for its rows, is overloaded: those of the
// sources that took most of its recent time. A source that has given records in more than one second is judged
// individually. All others share one budget and, within it, are judged by a hash of their address, so that any number
// of forged sources cost the rest no more than one source does.
//
// It also says whose rows the outputs keep apart, to drop them first where they have no room: see Large.
//
// It belongs to the worker's goroutine; Dropped is safe for concurrent use. It allocates only for the first sources
// that it counts individually, and its memory is fixed: some 150 KiB.
type Share struct {
	key     [2]uint64
	known   [knownSets][knownWays]knownSource
	others  [otherBuckets]bucket
	budget  float32 // cost of all unknown sources
	halved  time.Duration
	leveled time.Duration
	second  uint32    // of the latest begin, to count in how many seconds a source gave records
	mean    float32   // of the cost of a datagram, in nanoseconds
	scratch []float32 // for level
	levels  levels    // in force
	pressed float64   // as if the receive buffer were this full, because of the memory for rows
	spares  bool      // only the memory for rows is overloaded, not the worker: sources that are not large keep all
	limited uint32    // the latest second with levels
	asked   uint32    // the latest second in which rows were set apart
	longest uint16    // tenure of a source
	usual   float64   // above which cost sources are large
	census  census
	all     []*census // of all workers
	latest  struct {  // the latest source's entries, because consecutive datagrams are often of one source
		source netip.Addr
		known  *knownSource
		bucket *bucket
	}

	dropped sourceCounts
}

// knownSource is a source that has given records.
type knownSource struct {
	addr   sourceAddr
	cost   float32 // recent cost in nanoseconds: halved every second
	seen   uint32  // the second in which it last gave a record
	tenure uint16  // in how many seconds it did; 0: the entry is free
	large  bool    // see Large
	young  bool    // it has not been heard for long
}

// bucket holds the unknown sources with the same hash.
type bucket struct {
	cost float32
	// The source with most of the dropped datagrams, and its lead over others, found by majority vote.
	most  sourceAddr
	votes uint32
}

// levels are the costs above which datagrams are dropped.
type levels struct {
	each  float32 // for one source, and for the budget of unknown sources
	other float32 // for a bucket while the budget is above each
}

var unlimited = levels{float32(math.Inf(1)), float32(math.Inf(1))}

const (
	knownSets, knownWays = 1024, 4
	// otherBuckets is small, so that a few hundred expensive datagrams of forged sources reach all of them.
	otherBuckets = 128

	// behindFill is how full a receive buffer is when a worker counts as behind: sources may then use most of their
	// recent time. From urgentFill to a full buffer this falls to zero.
	behindFill, urgentFill = 0.6, 0.8
	mostKept               = 0.9
	pressFull              = 0.75
	// mostPressed is as how full a receive buffer the memory for rows counts when it is full.
	mostPressed = 0.98
	// knownTenure is in how many seconds a source must give records before it is judged individually.
	knownTenure = 2
	halfLife    = time.Second
	// levelEvery is how long levels stay in force, because computing them takes some microseconds for each hundred
	// sources.
	levelEvery = 2 * time.Millisecond
	// silentFor is after how many seconds without a record a source loses its entry.
	silentFor = 600
	// namedAfter is how many datagrams of a source without records must be dropped before it is counted individually.
	namedAfter = 64
)

// The most that a datagram is charged, whatever was measured: if the worker lost its core or flushed a block meanwhile,
// the source is not to blame.
const (
	mostForDatagram = 20_000 // nanoseconds
	mostForByte     = 60
	mostForRecord   = 3_000
)

// NewShare returns a share without known sources.
func NewShare() *Share {
	s := &Share{
		key: [2]uint64{rand.Uint64(), rand.Uint64()}, levels: unlimited,
		scratch: make([]float32, 0, max(knownSets*knownWays+1, otherBuckets)),
	}
	s.all = []*census{&s.census}
	return s
}

// begin is called before datagrams of a socket are judged. now is a monotonic time; fill is how full the socket's
// receive buffer is, from 0 to 1.
func (s *Share) begin(now time.Duration, fill float64) {
	s.second = uint32(now/time.Second) + 1
	if now-s.halved >= halfLife {
		s.takeCensus()
		s.halve()
		s.halved = now
	}
	s.spares = fill < behindFill
	fill = max(fill, s.pressed)
	if fill < behindFill {
		s.levels = unlimited
		return
	}
	s.limited = s.second
	if s.levels == unlimited || now-s.leveled >= levelEvery {
		s.setLevels(mostKept * min(1, max(0, (1-fill)/(1-urgentFill))))
		s.leveled = now
	}
}

// Press reports how full the memory for waiting rows is, from 0 to 1, if they cannot go anywhere else. Above pressFull
// datagrams are dropped as if the worker were behind, but none of sources that are not large: rows of these find room.
func (s *Share) Press(full float64) {
	s.pressed = 0
	if full > pressFull {
		s.pressed = behindFill + (min(full, 1)-pressFull)/(1-pressFull)*(mostPressed-behindFill)
	}
}

// Charge records the cost of a datagram of size bytes, and how many records it gave.
func (s *Share) Charge(from netip.Addr, took time.Duration, size, records int) {
	most := mostForDatagram + mostForByte*size + mostForRecord*records
	cost := float32(min(int(took), most))
	// The mean rises fast and falls slowly, because the expensive datagrams of a flood are mixed with others.
	if cost > s.mean {
		s.mean += (cost - s.mean) / 16
	} else {
		s.mean += (cost - s.mean) / 1024
	}
	s.find(from)
	if records > 0 && s.latest.known == nil {
		s.latest.known = s.join(addressOf(from))
	}
	at := s.latest.known
	if !at.judged() {
		s.latest.bucket.cost += cost
		s.budget += cost
	} else {
		at.cost += cost
	}
	if at != nil && records > 0 && at.seen != s.second {
		at.seen = s.second
		at.longer()
		if at.tenure == knownTenure {
			s.separate(at, s.latest.bucket)
		}
	}
}

// separate makes a source judged individually. The cost of its bucket goes with it: if that is high, most of it is the
// source's.
func (s *Share) separate(at *knownSource, b *bucket) {
	at.cost = b.cost
	s.budget = max(0, s.budget-b.cost)
	b.cost = 0
}

// judged reports whether a source is judged individually. A source that gave one record may be forged, and the next one
// another.
func (x *knownSource) judged() bool { return x != nil && x.tenure >= knownTenure }

// admits reports whether a datagram is processed; one that is not is counted.
func (s *Share) admits(from netip.Addr) bool {
	if s.levels == unlimited {
		return true
	}
	s.find(from)
	if at := s.latest.known; at.judged() {
		if at.cost <= s.levels.each || s.spares && !at.large {
			return true
		}
		s.dropped.add(from)
		return false
	}
	b := s.latest.bucket
	if s.budget <= s.levels.each || b.cost <= s.levels.other {
		return true
	}
	if b.vote(addressOf(from)) {
		s.dropped.add(from)
	} else {
		s.dropped.addOther()
	}
	return false
}

// Dropped returns how many datagrams were dropped, by source; sources that are not counted individually are under the
// zero address.
func (s *Share) Dropped() map[netip.Addr]uint64 { return s.dropped.counts() }

// find sets latest to a source.
func (s *Share) find(from netip.Addr) {
	if s.latest.bucket != nil && s.latest.source == from {
		return
	}
	a := addressOf(from)
	hash := s.hash(a)
	s.latest.source, s.latest.known, s.latest.bucket = from, nil, &s.others[hash>>32%otherBuckets]
	set := &s.known[hash%knownSets]
	for i := range set {
		if set[i].addr == a && set[i].tenure > 0 {
			s.latest.known = &set[i]
			return
		}
	}
}

// sourceAddr is an IP address as two words; IPv4 is mapped to IPv6.
type sourceAddr [2]uint64

func addressOf(a netip.Addr) sourceAddr {
	b := a.As16()
	return sourceAddr{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

// hash is unpredictable outside this process, so that nobody can choose sources with equal hashes.
func (s *Share) hash(a sourceAddr) uint64 {
	high, low := bits.Mul64(a[0]^s.key[0], a[1]^s.key[1])
	return high ^ low
}

// join gives an entry to a source with its first record: a free one, or that of a source that gave records in one
// second only; nil if there is none.
func (s *Share) join(a sourceAddr) *knownSource {
	set := &s.known[s.hash(a)%knownSets]
	at := &set[0]
	for i := range set {
		if x := &set[i]; cmp.Or(cmp.Compare(x.tenure, at.tenure), cmp.Compare(x.seen, at.seen)) < 0 {
			at = x
		}
	}
	if at.judged() {
		return nil
	}
	*at = knownSource{addr: a, tenure: 1, seen: s.second, young: true, large: true}
	return at
}

// halve halves all costs, and frees the entries of silent sources.
func (s *Share) halve() {
	for i := range s.known {
		for j := range s.known[i] {
			at := &s.known[i][j]
			at.cost /= 2
			if at.tenure > 0 && s.second-at.seen > silentFor {
				*at = knownSource{}
			}
		}
	}
	for i := range s.others {
		s.others[i].cost /= 2
	}
	s.budget /= 2
	s.latest.bucket = nil
}

// setLevels sets the levels at which all sources together keep a part of their recent time.
func (s *Share) setLevels(keep float64) {
	costs, sum := s.scratch[:0], float64(0)
	add := func(cost float32) {
		if cost >= 1 {
			costs = append(costs, cost)
			sum += float64(cost)
		}
	}
	for i := range s.known {
		for j := range s.known[i] {
			add(s.known[i][j].cost)
		}
	}
	add(s.budget)
	s.levels = unlimited
	s.levels.each = level(costs, sum, keep*sum)
	if s.budget <= s.levels.each {
		return
	}
	costs, sum = s.scratch[:0], 0
	for i := range s.others {
		add(s.others[i].cost)
	}
	s.levels.other = level(costs, sum, float64(s.levels.each))
}

// level returns the limit to which costs must be cut so that their sum is at most target.
func level(costs []float32, sum, target float64) float32 {
	if target >= sum {
		return float32(math.Inf(1))
	}
	// A cost below an even share of target leaves the rest of that share to the others, whose even share grows.
	even := target / float64(len(costs))
	for {
		left, above := target, 0
		for _, c := range costs {
			if float64(c) <= even {
				left -= float64(c)
			} else {
				above++
			}
		}
		if above == 0 {
			return float32(even)
		}
		next := left / float64(above)
		if next <= even*(1+1e-6) {
			return float32(even)
		}
		even = next
	}
}

// vote counts a dropped datagram, and reports whether its source is to be counted individually.
func (b *bucket) vote(a sourceAddr) bool {
	switch {
	case b.most == a:
		b.votes++
		return b.votes > namedAfter
	case b.votes == 0:
		b.most, b.votes = a, 1
	default:
		b.votes--
	}
	return false
}

// batch returns how many datagrams to read at once: as many as take some 2 ms, so that receive buffers are
// checked in time, no socket waits long for its turn, and replaced routes are freed soon.
func (s *Share) batch() int {
	const atOnce = float32(2 * time.Millisecond)
	if s.mean*BatchDatagrams <= atOnce {
		return BatchDatagrams
	}
	return max(int(atOnce/s.mean), leastBatch)
}

const leastBatch = 4
