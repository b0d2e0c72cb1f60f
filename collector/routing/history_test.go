package routing

import (
	"net/netip"
	"testing"
	"time"
)

// Who is forgotten for a new router: of its address if that has too many, else of all; the first whose session ended.
func TestMakePlace(t *testing.T) {
	const most = maxOfAddress + 4
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for name, c := range map[string]struct {
		ofA, ofB  int // routers; those with higher identifiers ended later, all of b before all of a
		upA, upB  int // how many of them have a session: those with the lowest identifiers
		place     bool
		forgotten peerKey // zero: nobody
	}{
		"room":                           {ofA: maxOfAddress - 1, ofB: 4, place: true},
		"address full":                   {ofA: maxOfAddress, ofB: 1, place: true, forgotten: peerKey{a, 0}},
		"address full, one is up":        {ofA: maxOfAddress, ofB: 1, upA: 1, place: true, forgotten: peerKey{a, 1}},
		"address full of sessions":       {ofA: maxOfAddress, ofB: 1, upA: maxOfAddress},
		"all full":                       {ofA: most - 6, ofB: 6, place: true, forgotten: peerKey{b, 0}},
		"all full, the other has ups":    {ofA: most - 6, ofB: 6, upB: 6, place: true, forgotten: peerKey{a, 0}},
		"all full of sessions":           {ofA: most - 6, ofB: 6, upA: most - 6, upB: 6},
		"all full, and the address too":  {ofA: maxOfAddress, ofB: 4, place: true, forgotten: peerKey{a, 0}},
		"all full, no place for address": {ofA: maxOfAddress, ofB: 4, upA: maxOfAddress},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[peerKey]*peer{}
			add := func(address netip.Addr, n, up int, since time.Time) {
				for i := range n {
					p := &peer{key: peerKey{address, uint32(i)}}
					if p.since = since.Add(time.Duration(i) * time.Second); i < up {
						p.session = &session{}
					}
					all[p.key] = p
				}
			}
			add(a, c.ofA, c.upA, time.Unix(1000, 0))
			add(b, c.ofB, c.upB, time.Unix(0, 0)) // before all of a
			var forgotten []peerKey
			place := makePlace(all, most, a, func(p *peer) { forgotten = append(forgotten, p.key) })
			if place != c.place {
				t.Errorf("place %v", place)
			}
			if len(forgotten) > 1 || len(forgotten) == 1 != c.forgotten.address.IsValid() ||
				len(forgotten) == 1 && forgotten[0] != c.forgotten {
				t.Errorf("forgotten %v, want %v", forgotten, c.forgotten)
			}
		})
	}
}
