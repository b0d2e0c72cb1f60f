package listen

import (
	"net/netip"
	"testing"
)

func TestRefusalsAreBounded(t *testing.T) {
	var r sourceCounts
	for n := range 1000 {
		for range 3 {
			r.add(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))
		}
	}
	counts := r.counts()
	if len(counts) != maxCounted+1 || counts[netip.Addr{}] != 3*(1000-maxCounted) ||
		counts[netip.AddrFrom4([4]byte{10, 0, 0, 1})] != 3 {
		t.Errorf("%d sources, %d of others", len(counts), counts[netip.Addr{}])
	}
}
