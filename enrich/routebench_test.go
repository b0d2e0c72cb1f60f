package enrich

import (
	"fmt"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// What a row costs without routes, and with them.
func BenchmarkRoutes(b *testing.B) {
	var all []testRoute
	for i := range 200 {
		all = append(all, testRoute{prefix: fmt.Sprintf("10.%d.0.0/16", i), next: "192.0.2.10", pref: 100,
			path:        []route.Segment{{Kind: route.Sequence, AS: []uint32{64500, 64501, uint32(i)}}},
			communities: []uint32{1, 2, 3, 4, 5, 6, 7, 8}})
	}
	r, _ := testRIB(b, all)
	s, _ := NewBuilder().Build()
	for _, bench := range []struct {
		name   string
		routes RouteOptions
	}{{"Off", RouteOptions{}}, {"On", RouteOptions{RIB: r}}} {
		b.Run(bench.name, func(b *testing.B) {
			e := New(Options{Routes: bench.routes})
			records := make([]flow.Record, 64)
			for i := range records {
				records[i] = flow.Record{Exporter: addr4(192, 0, 2, 1), SrcAddr: addr4(10, byte(i), 2, 3),
					DstAddr: addr4(10, byte(i+64), 2, 3),
					SrcAS:   uint32(i), DstAS: uint32(i + 64), PeerDstAS: 64500, BGPNextHop: addr4(192, 0, 2, 10),
					Has: flow.SrcAS | flow.DstAS | flow.PeerDstAS | flow.BGPNextHop}
			}
			var row Row
			var x flow.Record
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%64 == 0 {
					e.Begin()
					e.Prefetch(s, records)
				}
				x = records[i%64]
				e.Enrich(s, &x, &row)
				if i%64 == 63 {
					e.End()
				}
			}
		})
	}
}
