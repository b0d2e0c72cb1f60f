package listen

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Tenure is in how many seconds a source gave records, in this run and in earlier ones. A collector that starts knows
// by it whom it has heard for long: a flood that goes on at that time has no older rights than routers then.
type Tenure struct {
	Source  netip.Addr `json:"source"`
	Seconds uint16     `json:"seconds"` // it ends at the largest
	Latest  int64      `json:"latest"`  // when it last gave a record, in Unix nanoseconds
}

// Tenures returns the tenures of all sources that are judged individually. It belongs to the worker's goroutine.
func (s *Share) Tenures(now time.Time) (all []Tenure) {
	s.eachKnown(func(at *knownSource) {
		if at.judged() && at.seen > 0 {
			silent := time.Duration(s.second-at.seen) * time.Second
			all = append(all, Tenure{at.addr.netip(), at.tenure, now.Add(-silent).UnixNano()})
		}
	})
	return all
}

// Restore gives sources the tenures of an earlier run, the longest first where there is no room for all. It is called
// before the first datagram. Sources that do not send within silentFor are forgotten.
func (s *Share) Restore(all []Tenure) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Tenure) int { return int(b.Seconds) - int(a.Seconds) })
	for _, x := range all {
		if !x.Source.IsValid() || x.Seconds < knownTenure {
			continue
		}
		a := addressOf(x.Source)
		set := &s.known[s.hash(a)%knownSets]
		if i := slices.IndexFunc(set[:], func(at knownSource) bool { return at.tenure == 0 || at.addr == a }); i >= 0 {
			set[i] = knownSource{addr: a, tenure: max(set[i].tenure, x.Seconds)}
			s.longest = max(s.longest, x.Seconds)
		}
	}
	// The first census comes in a second: a flood that was heard in the last run is not among routers until then.
	s.eachKnown(func(at *knownSource) {
		at.young = s.isJunior(at)
		at.large = at.young
	})
}

// longer makes a tenure a second longer.
func (x *knownSource) longer() {
	if x.tenure < math.MaxUint16 {
		x.tenure++
	}
}

func (a sourceAddr) netip() netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], a[0])
	binary.NativeEndian.PutUint64(b[8:], a[1])
	return netip.AddrFrom16(b).Unmap()
}
