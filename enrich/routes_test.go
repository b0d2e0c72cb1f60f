package enrich

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// testRoute is a route of a test's router.
type testRoute struct {
	prefix, next string
	class        route.Class
	rd           route.RD
	id           uint32
	path         []route.Segment
	pref, med    uint32 // 0: absent
	communities  []uint32
}

func sequence(as ...uint32) []route.Segment { return []route.Segment{{Kind: route.Sequence, AS: as}} }

// testRIB has the routes of one router with AS 64500, address 192.0.2.1 and identifier 198.51.100.1.
func testRIB(t testing.TB, all []testRoute) (*rib.RIB, *rib.Source) {
	t.Helper()
	r, err := rib.New(rib.Options{MaxMemory: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	router := r.Router("router", true)
	router.AS.Store(64500)
	s := router.NewSource(0)
	s.Begin()
	b := &route.Batch{Decode: func(data []byte, a *route.Attributes) error {
		x := &all[data[0]]
		a.Path, a.Communities = append(a.Path, x.path...), append(a.Communities, x.communities...)
		a.HasLocalPref, a.LocalPref, a.HasMED, a.MED = x.pref > 0, x.pref, x.med > 0, x.med
		if x.next != "" {
			a.NextHop = flow.AddrFrom(netip.MustParseAddr(x.next))
		}
		return nil
	}}
	for i := range all {
		data := []byte{byte(i)}
		b.Changes = append(b.Changes, route.Change{Prefix: route.PrefixFrom(netip.MustParsePrefix(all[i].prefix)),
			Class: all[i].class, RD: all[i].rd, PathID: all[i].id, Bundle: b.AddBundle(r.Hasher().Sum(data), data)})
	}
	if refused, bad, err := s.Apply(b); refused+bad > 0 || err != nil {
		t.Fatal(refused, bad, err)
	}
	r.Publish()
	r.SetAddresses(map[flow.Addr]*rib.Router{addr("192.0.2.1"): router},
		map[flow.Addr]*rib.Router{addr("198.51.100.1"): router})
	return r, s
}

// routeText is what a row says that can come from a route.
func routeText(row *Row) string {
	f := row.Flow
	s := fmt.Sprintf("as %d>%d path %v%v", row.SrcASID, row.DstASID, row.ASPathID, row.ASPathPadding)
	if row.HasPeer {
		s += fmt.Sprintf(" peer %s AS %d", row.PeerIP, row.PeerASID)
	}
	if f.Sent(flow.Communities) {
		s += fmt.Sprint(" communities ", f.Communities)
	}
	if f.Sent(flow.LocalPref) {
		s += fmt.Sprint(" pref ", f.LocalPref)
	}
	if f.Sent(flow.MED) {
		s += fmt.Sprint(" med ", f.MED)
	}
	return s
}

func TestRoutes(t *testing.T) {
	r, source := testRIB(t, []testRoute{
		{prefix: "10.0.0.0/8", next: "192.0.2.10", path: sequence(64501, 64501, 64502), pref: 200, med: 5,
			communities: []uint32{1, 2}},
		{prefix: "10.1.0.0/16", next: "192.0.2.11", path: sequence(64503)},
		{prefix: "172.16.0.0/12", next: "192.0.2.12"}, // the router's own
		{prefix: "20.0.0.0/8", next: "192.0.2.13", path: []route.Segment{
			{Kind: route.ConfedSequence, AS: []uint32{65001}}, {Kind: route.Sequence, AS: []uint32{64504}},
			{Kind: route.Set, AS: []uint32{64505, 64506}}}},
		{prefix: "30.0.0.0/8", next: "192.0.2.14", id: 1, path: sequence(64507), pref: 300},
		{prefix: "30.0.0.0/8", next: "192.0.2.15", id: 2, path: sequence(64508)},
		{prefix: "40.0.0.0/8", class: route.Labelled, next: "192.0.2.16", path: sequence(64509)},
		{prefix: "10.1.0.0/16", class: route.VPN, rd: 64500<<32 | 7, next: "192.0.2.17", path: sequence(64510)},
		{prefix: "2001:db8::/32", next: "2001:db8::1", path: sequence(64511)},
	})
	tests := []struct {
		name   string
		as     ASFrom
		change func(*flow.Record)
		want   string
	}{
		{"no AS in the record", ASAuto, nil,
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"by the BGP identifier", ASAuto, func(r *flow.Record) { r.Exporter = addr("198.51.100.1") },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"by the map of agents", ASAuto, func(r *flow.Record) { r.Exporter = addr("203.0.113.1") },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"another exporter", ASAuto, func(r *flow.Record) { r.Exporter = addr("203.0.113.9"); r.DstAS = 7 },
			"as 0>7 path [][]"},
		{"auto: a longer mask in the record", ASAuto,
			func(r *flow.Record) { r.DstAS, r.DstMask = 7, 9; r.Set(flow.DstMask) },
			"as 64503>7 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"auto: a mask of the route's length", ASAuto,
			func(r *flow.Record) { r.DstAS, r.DstMask = 7, 8; r.Set(flow.DstMask) },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"bgp", ASRoute, func(r *flow.Record) { r.DstAS, r.DstMask = 7, 9; r.Set(flow.DstMask) },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"exporter", ASRecord, func(r *flow.Record) { r.DstAS = 7 },
			"as 0>7 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"no route", ASAuto, func(r *flow.Record) { r.DstAddr = addr("50.0.0.1"); r.DstAS = 7 },
			"as 64503>7 path [][]"},
		{"next hop and peer of the record", ASAuto, func(r *flow.Record) {
			r.BGPNextHop, r.PeerDstAS = addr("192.0.2.99"), 9
			r.Set(flow.BGPNextHop | flow.PeerDstAS)
		}, "as 64503>64502 path [64501 64502][2 1] peer 192.0.2.99 AS 9 communities [1 2] pref 200 med 5"},
		{"unspecified next hop", ASAuto,
			func(r *flow.Record) { r.BGPNextHop = addr("0.0.0.0"); r.Set(flow.BGPNextHop) },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"the router's own prefix", ASAuto, func(r *flow.Record) { r.DstAddr = addr("172.16.1.1"); r.DstAS = 0 },
			"as 64503>64500 path [][] peer 192.0.2.12 AS 0"},
		{"confederation and set", ASAuto, func(r *flow.Record) { r.DstAddr = addr("20.0.0.1") },
			"as 64503>64506 path [64504 64505 64506][1 1 1] peer 192.0.2.13 AS 64504"},
		{"best of two routes", ASAuto, func(r *flow.Record) { r.DstAddr = addr("30.0.0.1") },
			"as 64503>64507 path [64507][1] peer 192.0.2.14 AS 64507 pref 300"},
		{"route of the flow's next hop", ASAuto, func(r *flow.Record) {
			r.DstAddr, r.BGPNextHop = addr("30.0.0.1"), addr("192.0.2.15")
			r.Set(flow.BGPNextHop)
		}, "as 64503>64508 path [64508][1] peer 192.0.2.15 AS 64508"},
		{"labelled route", ASAuto, func(r *flow.Record) { r.DstAddr = addr("40.0.0.1") },
			"as 64503>64509 path [64509][1] peer 192.0.2.16 AS 64509"},
		{"VRF", ASAuto,
			func(r *flow.Record) { r.DstAddr = addr("10.1.0.1"); r.MPLSRD = [8]byte{2: 0xfb, 3: 0xf4, 7: 7} },
			"as 64510>64510 path [64510][1] peer 192.0.2.17 AS 64510"},
		{"unknown VRF", ASAuto, func(r *flow.Record) { r.MPLSRD = [8]byte{2: 0xfb, 3: 0xf4, 7: 8} },
			"as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
		{"IPv6", ASAuto, func(r *flow.Record) { r.DstAddr, r.IPVersion = addr("2001:db8::7"), 6 },
			"as 64503>64511 path [64511][1] peer 2001:db8::1 AS 64511"},
		{"path of sFlow", ASAuto, func(r *flow.Record) {
			r.Protocol, r.ASPath, r.LocalPref = flow.SFlow5, []uint32{1, 1, 3}, 7
			r.Set(flow.ASPath | flow.LocalPref)
		}, "as 64503>64502 path [1 3][2 1] peer 192.0.2.10 AS 64501 pref 7"},
		{"path of sFlow, bgp", ASRoute, func(r *flow.Record) {
			r.Protocol, r.ASPath, r.LocalPref = flow.SFlow5, []uint32{1, 1, 3}, 7
			r.Set(flow.ASPath | flow.LocalPref)
		}, "as 64503>64502 path [64501 64502][2 1] peer 192.0.2.10 AS 64501 communities [1 2] pref 200 med 5"},
	}
	s, _ := NewBuilder().Build()
	maps := new(CurrentMaps)
	maps.Set(RouteMaps{Agents: []AgentRule{{Match: Match{Exporter: netip.MustParsePrefix("203.0.113.1/32")},
		Router: addr("192.0.2.1")}}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := New(Options{Routes: RouteOptions{RIB: r, AS: test.as,
				Maps: maps}})
			record := flow.Record{Exporter: addr("192.0.2.1"), IPVersion: 4, Protocol: flow.IPFIX,
				SrcAddr: addr("10.1.2.3"), DstAddr: addr("10.9.9.9"), Has: flow.SrcAddr | flow.DstAddr}
			if test.change != nil {
				test.change(&record)
			}
			var row Row
			for range 2 { // the second time with what is remembered
				x := record
				e.Begin()
				e.Prefetch(s, []flow.Record{x})
				e.Enrich(s, &x, &row)
				if got := routeText(&row); got != test.want {
					t.Errorf("got\n%s\nwant\n%s", got, test.want)
				}
				e.End()
			}
		})
	}

	e := New(Options{Routes: RouteOptions{RIB: r}})
	look := func(exporter, to string) {
		e.Begin()
		defer e.End()
		e.Enrich(s, &flow.Record{Exporter: addr(exporter), DstAddr: addr(to)}, &Row{})
	}
	look("192.0.2.1", "10.0.0.1")
	look("192.0.2.1", "99.0.0.1")
	look("192.0.2.9", "10.0.0.1")
	source.End()
	look("192.0.2.1", "10.0.0.1")
	if got, want := e.RouteCounts(), (RouteCounts{Hit: 1, Miss: 1, NoRouter: 1, Stale: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// A row's path may be memory of the routing table. The next row must not be written into it.
func TestRouteIsNotWritten(t *testing.T) {
	r, _ := testRIB(t, []testRoute{{prefix: "10.0.0.0/8", next: "192.0.2.10", path: sequence(64501, 64502)}})
	e := New(Options{Routes: RouteOptions{RIB: r}})
	s, _ := NewBuilder().Build()
	var row Row
	e.Begin()
	defer e.End()
	for range 2 {
		e.Enrich(s, &flow.Record{Exporter: addr("192.0.2.1"), DstAddr: addr("10.0.0.1")}, &row)
		if got := fmt.Sprint(row.ASPathID); got != "[64501 64502]" {
			t.Fatalf("path %s", got)
		}
		e.Enrich(s, &flow.Record{Exporter: addr("192.0.2.9"), ASPath: []uint32{1, 2, 3}, Has: flow.ASPath}, &row)
	}
}

func TestRouteAllocations(t *testing.T) {
	r, _ := testRIB(t, []testRoute{
		{prefix: "10.0.0.0/8", next: "192.0.2.10", path: sequence(64501, 64501, 64502), pref: 200,
			communities: []uint32{1, 2}},
		{prefix: "2001:db8::/32", next: "2001:db8::1", path: sequence(64511)}})
	e := New(Options{Routes: RouteOptions{RIB: r}})
	s, _ := NewBuilder().Build()
	records := make([]flow.Record, 16)
	var row Row
	if n := testing.AllocsPerRun(100, func() {
		e.Begin()
		for i := range records {
			records[i] = flow.Record{Exporter: addr4(192, 0, 2, 1), SrcAddr: addr4(10, 1, 2, 3),
				DstAddr: addr4(10, 1, 2, byte(i))}
			if i%2 == 0 {
				records[i].DstAddr = flow.Addr{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: byte(i)}
			}
		}
		e.Prefetch(s, records)
		for i := range records {
			e.Enrich(s, &records[i], &row)
		}
		e.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func addr4(a, b, c, d byte) flow.Addr { return flow.AddrFrom4([4]byte{a, b, c, d}) }
