package routing

import (
	"fmt"
	"net/netip"
	"testing"
)

// Neighbours have names, of which two can be one router, and a bound of their own.
func TestNeighborNamesAndBounds(t *testing.T) {
	s := open(t, Options{
		Names: map[netip.Addr]string{netip.MustParseAddr("127.0.0.2"): "core",
			netip.MustParseAddr("127.0.0.3"): "core"},
		MaxRoutes: map[netip.Prefix]int64{netip.MustParsePrefix("127.0.0.0/8"): 100,
			netip.MustParsePrefix("127.0.0.3/32"): 2}})
	reader := s.RIB().NewReader()
	two := connect(t, s, "127.0.0.2", local("192.0.2.2"))
	two.announce(64501, "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
	three := connect(t, s, "127.0.0.3", local("192.0.2.3"))
	three.announce(64502, "20.1.0.0/16", "20.2.0.0/16", "20.3.0.0/16")
	// Both sessions fill one router's table, by whichever address the exporter has.
	expect(t, s, reader, "127.0.0.2", map[string]int{"10.3.0.1": 64501, "20.1.0.1": 64502, "20.3.0.1": -1})
	expect(t, s, reader, "192.0.2.3", map[string]int{"10.1.0.1": 64501, "20.2.0.1": 64502})
	eventually(t, func() string {
		all := s.Stats().Sessions
		if len(all) != 2 || all[0].Router != "core" || all[1].Router != "core" || all[1].Refused != 1 ||
			all[0].Refused != 0 {
			return fmt.Sprintf("%+v", all)
		}
		return ""
	})
	// There is room again.
	three.withdraw("20.1.0.0/16")
	three.announce(64503, "20.3.0.0/16")
	expect(t, s, reader, "127.0.0.2", map[string]int{"20.1.0.1": -1, "20.3.0.1": 64503})
}
