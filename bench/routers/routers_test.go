package routers

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
)

// A stream has all prefixes of the table, in UPDATEs that are as they should be, and ends both families.
func TestStream(t *testing.T) {
	var table []route.Prefix
	for i := range 100 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)
		if i%10 == 9 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i)}), 48)
		}
		table = append(table, route.PrefixFrom(p))
	}
	for _, monitoring := range []bool{false, true} {
		w := bgp.NewWalker(bgp.Rules{FourByteAS: true}, route.NewHasher())
		batch := route.Batch{Decode: bgp.Decode}
		for b := Stream(table, 1, monitoring, 7); len(b) > 0; {
			if monitoring {
				n, kind, err := bmp.Header(b)
				if err != nil || kind != bmp.RouteMonitoring {
					t.Fatal(kind, err)
				}
				p, rest, _ := bmp.ReadPeer(b[bmp.HeaderBytes:n])
				if p.View() != bmp.LocRIB || !bmp.Routes(w, &p, rest, &batch) {
					t.Fatalf("peer %+v", p)
				}
				b = b[n:]
				continue
			}
			n, kind, err := bgp.Header(b, false)
			if err != nil || kind != bgp.UpdateType {
				t.Fatal(kind, err)
			}
			if err := w.Update(b[bgp.HeaderBytes:n], &batch); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		if len(batch.Changes) != len(table) || len(batch.Complete) != 2 || w.Counts != [bgp.Reasons]uint64{} {
			t.Fatalf("%d routes, %v complete, reasons %v", len(batch.Changes), batch.Complete, w.Counts)
		}
		for i, c := range batch.Changes {
			var a route.Attributes
			if c.Prefix != table[i] || bgp.Decode(batch.Bundles[c.Bundle].Data, &a) != nil || len(a.Communities) != 8 ||
				a.NextHop.IsUnspecified() || a.NextHop.Is4() == c.Prefix.V6 {
				t.Fatalf("%s: %+v", c.Prefix, a)
			}
		}
	}
}
