package enrich

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Rows are the same whether their routes were looked up ahead or not, and whether the records are of one exporter, or
// there are more than are looked up at once, or a record is left out.
func TestRoutes_lookedUpAhead(t *testing.T) {
	all := []testRoute{
		{prefix: "0.0.0.0/0", next: "192.0.2.20", path: sequence(64600)},
		{prefix: "::/0", next: "2001:db8::1", path: sequence(64601)},
		{prefix: "10.0.0.0/8", next: "192.0.2.10", path: sequence(64501, 64502), pref: 200,
			communities: []uint32{1, 2}},
		{prefix: "10.7.0.0/16", id: 1, next: "192.0.2.14", path: sequence(64507), pref: 300},
		{prefix: "10.7.0.0/16", id: 2, next: "192.0.2.15", path: sequence(64508)},
		{prefix: "10.8.0.0/16", class: route.Labelled, next: "192.0.2.16", path: sequence(64509)},
		{prefix: "30.0.0.0/8", class: route.Labelled, next: "192.0.2.16", path: sequence(64510)},
		{prefix: "10.1.0.0/16", class: route.VPN, rd: 64500<<32 | 7, next: "192.0.2.17", path: sequence(64511)},
		{prefix: "20.0.0.0/7", next: "192.0.2.18", path: []route.Segment{
			{Kind: route.ConfedSequence, AS: []uint32{65001}}, {Kind: route.Sequence, AS: []uint32{64504}}}},
		{prefix: "20.1.2.3/32", next: "192.0.2.19"},
	}
	for i := range 40 {
		all = append(all, testRoute{prefix: fmt.Sprintf("10.%d.%d.0/%d", i%12, i*7%256, 17+i%9), next: "192.0.2.30",
			path: sequence(uint32(65100 + i)), communities: []uint32{uint32(i), 0xffffff01}})
	}
	r, _ := testRIB(t, all)
	snapshot, _ := NewBuilder().Build()
	for _, o := range []RouteOptions{
		{AS: ASAuto}, {AS: ASRoute, Confederations: true, Source: true, Meta: true, CommunityNames: true},
		{AS: ASRoute, Fallback: []string{"router"}, FollowDefault: 2, StrictVRF: true},
	} {
		o.RIB = r
		rng := rand.New(rand.NewPCG(5, 5))
		ahead, plain := New(Options{Routes: o}), New(Options{Routes: o})
		lookedUp := 0
		for range 300 {
			records := make([]flow.Record, 1+rng.IntN(150))
			for i := range records {
				records[i] = randomEnds(rng)
			}
			exporter := addr("192.0.2.1")
			if rng.IntN(4) == 0 {
				exporter = addr("203.0.113.9")
			}
			for i := range records {
				records[i].Exporter = exporter
				if rng.IntN(200) == 0 {
					records[i].Exporter = addr("198.51.100.1")
				}
			}
			others := slices.Clone(records)
			ahead.Begin()
			plain.Begin()
			ahead.Prefetch(snapshot, records)
			lookedUp += ahead.routes.ahead.n
			for i := range records {
				if rng.IntN(50) == 0 {
					continue
				}
				if rng.IntN(50) == 0 {
					records[i].Exporter, others[i].Exporter = addr("203.0.113.1"), addr("203.0.113.1")
				}
				var got, want Row
				ahead.Enrich(snapshot, &records[i], &got)
				plain.Enrich(snapshot, &others[i], &want)
				if a, b := wholeRoute(&got), wholeRoute(&want); a != b {
					t.Fatalf("%+v: record %d of %d: looked up ahead:\n%s\nwant\n%s", o, i, len(records), a, b)
				}
			}
			ahead.End()
			plain.End()
		}
		if ahead.RouteCounts() != plain.RouteCounts() {
			t.Errorf("counts %+v, want %+v", ahead.RouteCounts(), plain.RouteCounts())
		}
		if lookedUp < 1000 {
			t.Errorf("only %d addresses were looked up ahead", lookedUp)
		}
	}
}

// wholeRoute is all that a row can have of routes.
func wholeRoute(row *Row) string {
	c := row.Route
	c.Src = nil
	return fmt.Sprint(routeText(row), row.ExtCommunities, row.LargeCommunities, row.CommunityNames, row.MPLSRD, c)
}

func randomEnds(rng *rand.Rand) flow.Record {
	end := func() flow.Addr {
		switch rng.IntN(12) {
		case 0:
			return addr("2001:db8::7")
		case 1:
			return addr4(20, byte(rng.IntN(3)), 2, 3)
		case 2:
			return addr4(30, 1, 2, 3)
		case 3:
			return addr4(99, 1, 2, 3)
		}
		return addr4(10, byte(rng.IntN(14)), byte(rng.IntN(256)), byte(rng.IntN(256)))
	}
	r := flow.Record{SrcAddr: end(), DstAddr: end()}
	if rng.IntN(3) == 0 {
		r.BGPNextHop = addr4(192, 0, 2, byte(14+rng.IntN(3)))
		r.Set(flow.BGPNextHop)
	}
	if rng.IntN(8) == 0 {
		r.MPLSRD = [8]byte{0, 0, 0xfb, 0xf4, 0, 0, 0, byte(7 + rng.IntN(2))}
	}
	if rng.IntN(3) == 0 {
		r.SrcAS, r.DstAS, r.SrcMask, r.DstMask = 64999, 64998, uint8(rng.IntN(33)), uint8(rng.IntN(33))
	}
	return r
}
